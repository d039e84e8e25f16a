// The form of a model's inputs: one control a field, made from the signature.

import { decodeDicom } from "./dicom.js";
import { Refusal } from "./errors.js";
import { decodeImage } from "./image.js";
import { absentImage, fitImage, labelOf, numberOf, secondsOf, sequenceOf, seriesOf } from "./values.js";

const FEW = 60;
const DECODERS = { image: decodeImage, dicom: decodeDicom };
const ACCEPT = { image: "image/png,image/jpeg,image/bmp,image/gif,image/webp", dicom: ".dcm,.dicom,.ima,application/dicom,*/*" };

export function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === true) element.setAttribute(key, "");
    else if (value !== false && value !== null) element.setAttribute(key, value);
  }
  element.append(...children);
  return element;
}

/**
 * Make the controls of the inputs.
 *
 * @param {object[]} inputs of the signature.
 * @param {() => void} chosen called when a file was given.
 * @returns {{element: HTMLElement, read: () => Promise<any>, fill: (value: any) => void, spec: object}[]}
 */
export function controls(inputs, chosen) {
  return inputs.map((spec, i) => {
    const id = `field-${i}`;
    if (spec.kind === "image") return imageControl(spec, id, chosen);
    return plainControl(spec, id);
  });
}

function labelled(spec, id, control, note = "", wide = false) {
  const label = make("label", { for: id }, spec.name);
  if (spec.unit) label.append(" ", make("span", { class: "unit" }, `in ${spec.unit}`));
  const element = make("div", { class: wide ? "field wide" : "field" }, label, control);
  if (note) {
    control.setAttribute("aria-describedby", `${id}-note`);
    element.append(make("small", { class: "soft", id: `${id}-note` }, note));
  }
  return element;
}

const READERS = {
  number: (text, spec) => numberOf(text, spec.name),
  datetime: (text, spec) => secondsOf(text, spec.name),
  series: seriesOf,
  sequence: sequenceOf,
};

function plainControl(spec, id) {
  const { control, note, list } = inputOf(spec, id);
  const read = async () => {
    control.removeAttribute("aria-invalid");
    try {
      return (READERS[spec.kind] ?? labelOf)(control.value, spec);
    } catch (error) {
      control.setAttribute("aria-invalid", "true");
      control.focus();
      throw error;
    }
  };
  const fill = (value) => {
    if (spec.kind === "number") control.value = Number.isNaN(value) ? "" : String(Number(value.toPrecision(7)));
    else if (spec.kind === "datetime") control.value = Number.isNaN(value) ? "" : new Date(value * 1000).toISOString().slice(0, 19);
    else control.value = value;
  };
  const element = labelled(spec, id, control, note, control.tagName === "TEXTAREA");
  if (list) element.append(list);
  return { element, read, fill, spec };
}

function inputOf(spec, id) {
  const shared = { id, name: spec.name, autocomplete: "off" };
  if (spec.kind === "number") return { control: make("input", { ...shared, inputmode: "decimal" }) };
  if (spec.kind === "datetime") {
    return { control: make("input", { ...shared, type: "datetime-local", step: "1" }), note: "Time in UTC" };
  }
  if (spec.kind === "series") {
    const channels = spec.shape[2];
    const note = `One step a line${channels > 1 ? `, ${channels} numbers each` : ""}, the latest last`;
    return { control: make("textarea", shared), note };
  }
  if (spec.kind === "sequence") return { control: make("textarea", shared), note: "Labels with ; between them, the latest last" };
  if (spec.classes.length && spec.classes.length <= FEW) {
    const options = spec.classes.map((label) => make("option", { value: label }, label));
    return { control: make("select", shared, make("option", { value: "" }, "not known"), ...options) };
  }
  const list = make("datalist", { id: `${id}-list` }, ...spec.classes.slice(0, 5000).map((label) => make("option", { value: label })));
  return { control: make("input", { ...shared, list: `${id}-list` }), list };
}

function imageControl(spec, id, chosen) {
  const control = make("input", { type: "file", id, name: spec.name, accept: ACCEPT[spec.decoder] });
  const named = make("span", { class: "chosen" });
  const what = spec.decoder === "dicom" ? "a DICOM file" : "an image file";
  const drop = make("label", { class: "drop", for: id }, control, make("strong", {}, `Drop ${what} here`), make("span", { class: "soft" }, "or press to choose one"), named);
  const element = make("div", { class: "field wide" });
  if (spec.name) element.append(make("label", { for: id }, spec.name, spec.required ? "" : " (may be left out)"));
  element.append(drop);
  const held = { file: null, image: null };
  const take = (file) => {
    held.file = file ?? null;
    held.image = null;
    named.textContent = file ? file.name : "";
    if (file) chosen();
  };
  control.addEventListener("change", () => {
    if (control.files.length) take(control.files[0]);
    control.value = ""; // so that the same file may be chosen once more
  });
  for (const name of ["dragenter", "dragover", "dragleave", "drop"]) {
    drop.addEventListener(name, (event) => {
      event.preventDefault();
      drop.classList.toggle("over", name === "dragenter" || name === "dragover");
      if (name === "drop" && event.dataTransfer.files.length) take(event.dataTransfer.files[0]);
    });
  }
  const read = async () => {
    if (held.image) return { ...fitImage(held.image, spec), image: held.image };
    if (!held.file) return absentImage(spec);
    const begin = performance.now();
    const decode = DECODERS[spec.decoder];
    const image = await decode(new Uint8Array(await held.file.arrayBuffer()), spec.options).catch((error) => {
      if (error instanceof Refusal) throw error;
      throw new Refusal(`The file cannot be decoded: ${error.message}`, "It may be damaged.");
    });
    return { ...fitImage(image, spec), image, milliseconds: performance.now() - begin };
  };
  const fill = (tensor) => {
    const [, height, width, channels] = tensor.shape;
    held.image = { data: tensor.data, height, width, channels, dtype: tensor.dtype, about: { format: "example" } };
    named.textContent = "the example that came with the model";
  };
  const clear = () => take(null);
  return { element, read, fill, take, clear, spec };
}
