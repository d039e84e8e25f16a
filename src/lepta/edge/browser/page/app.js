// The page: loads the model of this folder, takes a row, shows the answer. Nothing is sent anywhere.

import { decide } from "./answers.js";
import { Refusal } from "./errors.js";
import { controls, make } from "./form.js";
import { Model, unpacked } from "./model.js";
import { answerOf, describe, draw } from "./show.js";
import { unlike } from "./unlike.js";
import { pack } from "./values.js";

const at = (id) => document.getElementById(id);
const page = { model: null, fields: [], examples: [], turn: 0, waiting: false, queue: Promise.resolve() };

async function json(path) {
  const response = await fetch(path);
  if (!response.ok) throw new Refusal(`The file ${path} is missing (${response.status}).`, "Export the page again.");
  return response.json();
}

function state(text, share = null) {
  at("state-text").textContent = text;
  at("loading").hidden = share === null;
  if (share !== null) at("loading").value = share;
}

async function start() {
  state("Reading the description of the model …");
  const about = await json("model.json");
  describe(about);
  const alone = about.signature.inputs.length === 1;
  page.fields = controls(about.signature.inputs, () => alone && predict());
  at("fields").replaceChildren(...page.fields.map((field) => field.element));
  at("predict").hidden = alone && about.signature.inputs[0].kind === "image";
  at("input").hidden = false;
  at("predict").disabled = true;
  at("input").addEventListener("submit", (event) => {
    event.preventDefault();
    predict();
  });
  at("input").addEventListener("reset", clear);
  const size = ((about.model.size + about.runtime.size) / 1e6).toFixed(0);
  for (const name of ["dragover", "drop"]) window.addEventListener(name, dropped);
  page.model = await Model.load(about, (done, total) => state(`Loading the model, ${size} MB …`, done / total));
  state("Testing the model on this device …");
  page.examples = await json("examples.json");
  const tested = await page.model.selfTest(page.examples);
  at("predict").disabled = false;
  at("example").hidden = !fillable(about);
  at("example").addEventListener("click", fillExample);
  const what = `The model is ready and passed its self-test: ${tested.count} example(s), largest difference ${tested.largest.toExponential(0)}.`;
  state(tested.count ? what : "The model is ready. It brought no examples to test it with.");
  document.documentElement.dataset.ready = "true";
  if (page.waiting) await predict();
}

/** Take a file that was dropped beside its place, which the browser would otherwise open. */
function dropped(event) {
  if (event.defaultPrevented) return;
  event.preventDefault();
  const field = page.fields.find(({ take }) => take);
  if (event.type === "drop" && field && event.dataTransfer.files.length) field.take(event.dataTransfer.files[0]);
}

/** Whether the examples show what a person can fill in: images and plain values. */
function fillable(about) {
  return page.examples.length > 0 && about.signature.inputs.every(({ kind }) => ["number", "category", "datetime", "image", "id"].includes(kind));
}

function fillExample() {
  const example = page.examples[page.turn++ % page.examples.length];
  for (const tensor of page.model.about.signature.tensors) {
    const held = unpacked(example.tensors[tensor.name]);
    tensor.fields.forEach((name, i) => {
      const field = page.fields.find(({ spec }) => spec.name === name);
      field.fill(field.spec.kind === "image" ? held : held.data[i]);
    });
  }
  return predict();
}

/** Answer, after what was asked before; once the model is there, if it is not yet. */
function predict() {
  page.waiting = !page.model;
  if (page.model) page.queue = page.queue.then(answer);
  return page.queue;
}

async function answer() {
  at("problem").hidden = true;
  at("answer-card").setAttribute("aria-busy", "true");
  try {
    const values = new Map();
    for (const field of page.fields) values.set(field.spec.name, await field.read());
    const read = [...values.values()].filter((value) => value?.image);
    const { data, shape, milliseconds } = await page.model.run(pack(page.model.about.signature, values));
    const decode = read.reduce((sum, value) => sum + (value.milliseconds ?? 0), 0);
    const { about } = page.model;
    const decided = decide(about.task, data, shape);
    const strange = unlike(about.known, values);
    at("answer").replaceChildren(...answerOf(about, decided, { decode, run: milliseconds }, strange));
    at("preview").hidden = !read.length;
    if (read.length) draw(at("picture"), at("caption"), read[0].image, decided);
  } catch (error) {
    fail(error);
  } finally {
    at("answer-card").removeAttribute("aria-busy");
  }
}

function clear() {
  for (const field of page.fields) field.clear?.();
  at("problem").hidden = true;
  blank();
}

function blank() {
  at("preview").hidden = true;
  at("answer").replaceChildren(make("p", { class: "soft" }, "Nothing asked yet."));
}

function fail(error) {
  blank();
  const known = error instanceof Refusal;
  const what = known ? error.message : `Something unforeseen: ${error.message ?? error}`;
  at("problem").replaceChildren(make("p", {}, what), ...(known && error.fix ? [make("p", {}, error.fix)] : []));
  at("problem").hidden = false;
}

start().catch((error) => {
  at("state").classList.add("failed");
  state("The model cannot be used here.");
  fail(error);
  document.documentElement.dataset.ready = "failed";
});
