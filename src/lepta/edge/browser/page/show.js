// What the page shows: the answer, the picture, and what a person should know of the model.

import { make } from "./form.js";

function percent(value) {
  if (value > 0 && value < 0.0005) return "< 0.1 %";
  if (value < 1 && value > 0.9995) return "> 99.9 %";
  return `${(100 * value).toFixed(1)} %`;
}

const MANY = 12;
const COLOURS = ["#e4572e", "#2a9df4", "#3fb950", "#d29922", "#a371f7", "#f778ba", "#39c5cf", "#bf8700"];
const SHARP = 640;

/** Return the answer as elements. */
export function answerOf(about, decided, times, strange) {
  const parts = [make("p", { class: "target" }, about.task.target), make("p", { class: "verdict", id: "verdict" }, decided.answer)];
  if (strange.length) parts.push(strangeOf(strange));
  if (decided.note) parts.push(make("p", { class: "target" }, decided.note));
  if (decided.bars.length) parts.push(barsOf(decided.bars));
  if (decided.rows) parts.push(tableOf(decided.heads ?? ["", "Value"], decided.rows));
  const decode = times.decode === 0 ? "" : `Decoded in ${milliseconds(times.decode)}. `;
  parts.push(make("p", { class: "times", id: "times" }, `${decode}Answered in ${milliseconds(times.run)}, on this device.`));
  return parts;
}

function strangeOf(strange) {
  const lines = strange.slice(0, MANY).map((line) => make("li", {}, line));
  const head = make("strong", {}, "Unlike what the model was trained on: its answer may mean nothing.");
  return make("div", { class: "strange", id: "strange" }, head, make("ul", {}, ...lines));
}

function milliseconds(value) {
  return value < 10 ? `${value.toFixed(1)} ms` : `${Math.round(value)} ms`;
}

function barsOf(bars) {
  const order = bars.length > MANY ? [...bars].sort((a, b) => b.value - a.value).slice(0, MANY) : bars;
  return make("ul", { class: "bars" }, ...order.map(barOf));
}

function barOf({ label, value, answered, mark, colour }) {
  const fill = make("div", { class: "fill" });
  if (colour !== undefined) fill.style.background = COLOURS[colour % COLOURS.length];
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

/** Draw a decoded image, grey between its window or its extremes, and what was found in it. */
export function draw(canvas, caption, image, decided) {
  const { height, width, about } = image;
  const scale = Math.max(1, Math.floor(SHARP / Math.max(height, width)));
  canvas.width = width * scale;
  canvas.height = height * scale;
  const context = canvas.getContext("2d");
  context.imageSmoothingEnabled = scale < 4;
  paint(context, pixelsOf(image), scale);
  if (decided.mask) paint(context, maskOf(decided.mask), scale);
  if (decided.boxes) frame(context, decided.boxes, scale);
  const parts = [about.format, about.modality, `${width} x ${height}`, about.frame ? `frame ${about.frame}` : ""];
  caption.textContent = parts.filter(Boolean).join(" · ");
}

function paint(context, pixels, scale) {
  const layer = new OffscreenCanvas(pixels.width, pixels.height);
  layer.getContext("2d").putImageData(pixels, 0, 0);
  context.drawImage(layer, 0, 0, pixels.width * scale, pixels.height * scale);
}

function pixelsOf(image) {
  const { data, height, width, channels, about } = image;
  const [low, high] = windowOf(image);
  const pixels = new ImageData(width, height);
  const scale = 255 / (high - low || 1);
  for (let i = 0; i < width * height; i++) {
    for (let c = 0; c < 3; c++) {
      const value = (data[i * channels + (channels === 3 ? c : 0)] - low) * scale;
      pixels.data[4 * i + c] = about.inverted ? 255 - value : value;
    }
    pixels.data[4 * i + 3] = 255;
  }
  return pixels;
}

function maskOf({ codes, height, width }) {
  const pixels = new ImageData(width, height);
  codes.forEach((code, i) => {
    if (!code) return;
    const colour = COLOURS[(code - 1) % COLOURS.length];
    for (let c = 0; c < 3; c++) pixels.data[4 * i + c] = parseInt(colour.slice(1 + 2 * c, 3 + 2 * c), 16);
    pixels.data[4 * i + 3] = 120;
  });
  return pixels;
}

function frame(context, boxes, scale) {
  context.lineWidth = Math.max(2, context.canvas.width / 250);
  for (const [x0, y0, x1, y1, , code] of boxes) {
    context.strokeStyle = COLOURS[code % COLOURS.length];
    context.strokeRect(x0 * scale, y0 * scale, (x1 - x0) * scale, (y1 - y0) * scale);
  }
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
