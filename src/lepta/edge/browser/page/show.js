// What the page shows: the answer, the picture, and what a person should know of the model.

import { make } from "./form.js";

function percent(value) {
  if (value > 0 && value < 0.0005) return "< 0.1 %";
  if (value < 1 && value > 0.9995) return "> 99.9 %";
  return `${(100 * value).toFixed(1)} %`;
}

const MANY = 12;

/** Return the answer as elements. */
export function answerOf(about, decided, times) {
  const parts = [make("p", { class: "target" }, about.task.target), make("p", { class: "verdict", id: "verdict" }, decided.answer)];
  if (decided.bars.length) parts.push(barsOf(decided.bars));
  if (decided.rows) parts.push(tableOf(["", "Value"], decided.rows));
  const decode = times.decode === null ? "" : `Decoded in ${milliseconds(times.decode)}. `;
  parts.push(make("p", { class: "times", id: "times" }, `${decode}Answered in ${milliseconds(times.run)}, on this device.`));
  return parts;
}

function milliseconds(value) {
  return value < 10 ? `${value.toFixed(1)} ms` : `${Math.round(value)} ms`;
}

function barsOf(bars) {
  const order = bars.length > MANY ? [...bars].sort((a, b) => b.value - a.value).slice(0, MANY) : bars;
  return make("ul", { class: "bars" }, ...order.map(barOf));
}

function barOf({ label, value, answered, mark }) {
  const fill = make("div", { class: "fill" });
  fill.style.width = `${100 * Math.min(1, Math.max(0, value))}%`;
  const track = make("div", { class: "track", "aria-hidden": "true" }, fill);
  const line = make("div", { class: "line" }, make("span", { class: "label" }, label), make("span", { class: "figure" }, percent(value)));
  if (mark !== undefined && mark > 0 && mark < 1) {
    const tick = make("div", { class: "mark", title: `Answered from ${percent(mark)} on` });
    tick.style.left = `${100 * mark}%`;
    track.append(tick);
  }
  const item = make("li", { class: answered ? "answered" : "", "data-score": String(value) }, line, track);
  if (answered) line.firstChild.append(make("span", { class: "unseen" }, " (answered)"));
  return item;
}

export function tableOf(heads, rows) {
  const head = make("tr", {}, ...heads.map((text) => make("th", { scope: "col" }, text)));
  const body = rows.map((row) => make("tr", {}, ...row.map((text, i) => make(i ? "td" : "th", i ? {} : { scope: "row" }, text))));
  return make("div", { class: "scroll" }, make("table", {}, make("thead", {}, head), make("tbody", {}, ...body)));
}

/** Draw a decoded image: grey between its window, or its extremes. */
export function draw(canvas, caption, image) {
  const { data, height, width, channels, about } = image;
  canvas.width = width;
  canvas.height = height;
  const [low, high] = channels === 1 || image.dtype !== "uint8" ? windowOf(image) : [0, 255];
  const pixels = new ImageData(width, height);
  const scale = 255 / (high - low || 1);
  for (let i = 0; i < width * height; i++) {
    for (let c = 0; c < 3; c++) {
      const value = (data[i * channels + (channels === 3 ? c : 0)] - low) * scale;
      pixels.data[4 * i + c] = about.inverted ? 255 - value : value;
    }
    pixels.data[4 * i + 3] = 255;
  }
  canvas.getContext("2d").putImageData(pixels, 0, 0);
  const parts = [about.format, about.modality, `${width} x ${height}`, about.frame ? `frame ${about.frame}` : ""];
  caption.textContent = parts.filter(Boolean).join(" · ");
}

function windowOf({ data, dtype, about, channels }) {
  if (about.window && channels === 1) return about.window;
  if (dtype === "uint8") return [0, 255];
  if (dtype === "uint16") return [0, 65535];
  if (channels === 3) return [0, 255];
  const sample = Float32Array.from({ length: Math.min(20000, data.length) }, (_, i) => data[Math.floor((i * data.length) / Math.min(20000, data.length))]).sort();
  const at = (share) => sample[Math.floor(share * (sample.length - 1))];
  return [at(0.005), at(0.995)];
}

/** Fill in what is known of the model. */
export function describe(about) {
  const set = (id, ...children) => document.getElementById(id).replaceChildren(...children);
  document.title = `${about.name} · Lepta`;
  set("name", about.name);
  set("purpose", about.purpose);
  set("warnings", make("ul", {}, ...about.warnings.map(({ text, strong }) => make("li", { class: strong ? "warning" : "" }, text))));
  const parts = [];
  if (about.metrics.length) {
    parts.push(make("h3", {}, "How well it does"), make("p", { class: "soft" }, about.measured));
    parts.push(tableOf(["Metric", "Value", "95 % interval"], about.metrics));
  }
  for (const { title, lines } of about.card) {
    parts.push(make("h3", {}, title), make("ul", {}, ...lines.map((line) => make("li", {}, line))));
  }
  parts.push(make("h3", {}, "What runs here"), tableOf(["", ""], about.facts));
  set("card", ...parts);
  set("footer", about.footer);
}
