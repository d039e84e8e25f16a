// Reading one value of a form, by the rules of lepta.core.values, and packing values into tensors.

import { Refusal } from "./errors.js";

const WHOLE = /^[+-]?(0|[1-9]\d{0,17})$/;
const DECIMAL = /^[+-]?((0|[1-9]\d*)(\.\d*)?|\.\d+)([eE][+-]?\d+)?$/;
const FLOAT = /^[+-]?((\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|inf(inity)?|nan)$/i;
const LEAST_LENGTH = 8;

/** Return a category as text, "" where it is missing: 1, 1.0 and "1.0" are "1". */
export function labelOf(text) {
  const given = text.trim();
  if (WHOLE.test(given)) return BigInt(given.replace("+", "")).toString();
  if (DECIMAL.test(given)) return labelOfNumber(Number(given));
  const lowered = given.toLowerCase();
  return lowered === "true" || lowered === "false" ? lowered : given;
}

function labelOfNumber(value) {
  if (Number.isInteger(value)) return BigInt(value).toString();
  if (!Number.isFinite(value)) return value < 0 ? "-inf" : "inf";
  if (Math.abs(value) >= 1e-4) return String(value);
  return value.toExponential().replace(/e-(\d)$/, "e-0$1");
}

/** Return a number, NaN where it is missing. */
export function numberOf(text, field = "") {
  const given = text.trim().replace(/(?<=\d)_(?=\d)/g, "");
  if (given === "") return NaN;
  if (!FLOAT.test(given)) {
    throw new Refusal(`“${given}” is not a number.`, `Correct ${field}, or leave it empty where it is not known.`);
  }
  if (/inf/i.test(given)) return given.startsWith("-") ? -Infinity : Infinity;
  return Number(given);
}

/** Return seconds since 1970-01-01 UTC, NaN where missing; a time without a zone is UTC. */
export function secondsOf(text, field = "") {
  const given = text.trim();
  if (given === "") return NaN;
  const zoned = /(Z|[+-]\d\d:?\d\d)$/i.test(given);
  const dated = /^\d{4}-\d\d-\d\d$/.test(given);
  const time = Date.parse(zoned || dated ? given : `${given}Z`);
  if (Number.isNaN(time)) {
    throw new Refusal(`“${given}” is not a point in time.`, `Correct ${field}, or leave it empty.`);
  }
  return time / 1000;
}

/** Return a series (length, channels): its end is kept, its beginning filled with NaN. */
export function seriesOf(text, spec) {
  const [, length, channels] = spec.shape;
  const lines = text.split("\n").map((line) => line.trim()).filter(Boolean);
  const flat = channels === 1 && lines.length === 1;
  const steps = (flat ? lines[0].split(/[\s,;]+/) : lines).map((line) => line.split(/[\s,;]+/).map((part) => numberOf(part, spec.name)));
  if (!steps.length && spec.required) throw new Refusal(`${spec.name} is missing.`, "Write one step a line.");
  const wrong = steps.findIndex((step) => step.length !== channels);
  if (wrong >= 0) throw new Refusal(`Line ${wrong + 1} of ${spec.name} does not hold ${channels} number(s).`);
  const data = new Float32Array(length * channels).fill(NaN);
  const kept = steps.slice(-length).flat();
  data.set(kept, data.length - kept.length);
  return { data, shape: [length, channels] };
}

/** Return a sequence of labels, the latest last, filled with "" at its beginning. */
export function sequenceOf(text, spec) {
  const labels = text.split(/[;\n]/).map(labelOf).filter(Boolean).slice(-spec.options.length);
  let size = LEAST_LENGTH;
  while (size < labels.length) size *= 2;
  return { data: [...Array(size - labels.length).fill(""), ...labels], shape: [size] };
}

/** Return a decoded image in the layout and type of its field. */
export function fitImage(image, spec) {
  const [, height, width, channels] = spec.shape;
  const given = [image.height, image.width, image.channels];
  if ([height, width, channels].some((size, i) => size !== -1 && size !== given[i])) {
    throw new Refusal(`An image of ${given.join(" x ")} does not fit; expected ${[height, width, channels].join(" x ")}.`);
  }
  let { data } = image;
  let shape = given;
  if (!spec.required && width === -1 && image.height === 1 && image.width === 1) {
    data = new data.constructor([...data, ...data]); // unlike the array of a missing image
    shape = [1, 2, image.channels];
  }
  if (spec.dtype === image.dtype) return { data, shape };
  if (spec.dtype === "float32") return { data: Float32Array.from(data), shape };
  if (spec.dtype === "uint16" && image.dtype === "uint8") return { data: Uint16Array.from(data, (v) => 257 * v), shape };
  throw new Refusal(`Values of type ${image.dtype} do not fit the model's ${spec.dtype}.`);
}

/** Return the array that stands for a missing image. */
export function absentImage(spec) {
  if (spec.required) throw new Refusal(`The image “${spec.name}” is missing.`, "Choose a file.");
  const shape = spec.shape.slice(1).map((size) => (size === -1 ? 1 : size));
  const count = shape.reduce((product, size) => product * size, 1);
  return { data: new ARRAYS[spec.dtype](count), shape };
}

export const ARRAYS = {
  float32: Float32Array,
  float64: Float64Array,
  uint8: Uint8Array,
  uint16: Uint16Array,
  int32: Int32Array,
  int64: BigInt64Array,
};

/**
 * Pack the values of one row into the graph's tensors.
 *
 * @param {object} signature inputs and tensors of the model.
 * @param {Map<string, any>} values by field: numbers, labels, or {data, shape}.
 * @returns {Object<string, {dtype: string, shape: number[], data: any}>}
 */
export function pack(signature, values) {
  const tensors = {};
  for (const tensor of signature.tensors) {
    const first = values.get(tensor.fields[0]);
    if (tensor.fields.length === 1 && first?.shape) {
      tensors[tensor.name] = { dtype: tensor.dtype, shape: [1, ...first.shape], data: first.data };
      continue;
    }
    const row = tensor.fields.map((name) => values.get(name));
    const data = tensor.dtype === "string" ? row : ARRAYS[tensor.dtype].from(row);
    const shape = tensor.shape.length === 1 ? [1] : [1, row.length];
    tensors[tensor.name] = { dtype: tensor.dtype, shape, data };
  }
  return tensors;
}
