// The model in ONNX Runtime Web: fetched from this folder, checked, self-tested, run.

import { joined } from "./bytes.js";
import { Refusal } from "./errors.js";
import { gap } from "./gap.js";
import { ARRAYS } from "./values.js";

const TOLERANCE = 1e-3;

/** A model that is loaded and ready. */
export class Model {
  constructor(ort, session, about) {
    this.ort = ort;
    this.session = session;
    this.about = about;
  }

  /**
   * Load what the folder holds.
   *
   * @param {object} about the content of model.json.
   * @param {(done: number, total: number) => void} progress told of bytes.
   */
  static async load(about, progress = () => {}) {
    const total = about.model.size + about.runtime.size;
    let done = 0;
    const step = (bytes) => progress((done += bytes), total);
    const [graph, wasm, ort] = await Promise.all([
      fetched(about.model.file, step),
      fetched(about.runtime.wasm, step),
      import(`./${about.runtime.script}`),
    ]);
    await verify(graph, about.model);
    ort.env.wasm.numThreads = 1; // more need headers that a plain file server does not send
    ort.env.wasm.wasmBinary = wasm.buffer;
    ort.env.logLevel = "error";
    const session = await ort.InferenceSession.create(graph, { graphOptimizationLevel: "all" });
    return new Model(ort, session, about);
  }

  /**
   * Return the scores of one row.
   *
   * @param {Object<string, {dtype: string, shape: number[], data: any}>} tensors
   * @returns {Promise<{data: Float32Array, shape: number[], milliseconds: number}>}
   */
  async run(tensors) {
    const feeds = {};
    for (const [name, { dtype, shape, data }] of Object.entries(tensors)) {
      feeds[name] = new this.ort.Tensor(dtype, data, shape);
    }
    const begin = performance.now();
    const { [this.about.output.name]: scores } = await this.session.run(feeds, [this.about.output.name]);
    const milliseconds = performance.now() - begin;
    if (scores.data.some(Number.isNaN)) {
      throw new Refusal("The model gives no number for these values.", "Look for missing or huge values.");
    }
    return { data: scores.data, shape: scores.dims, milliseconds };
  }

  /** Run the examples of the bundle; return how many there are and the largest difference. */
  async selfTest(examples) {
    let largest = 0;
    for (const { tensors, expected } of examples) {
      const wanted = unpacked(expected).data;
      const inputs = Object.fromEntries(Object.entries(tensors).map(([name, value]) => [name, unpacked(value)]));
      const { data } = await this.run(inputs);
      let scale = 1;
      if (!this.about.bounded) for (const value of wanted) scale = Math.max(scale, Math.abs(value));
      const apart = gap(this.about.task, wanted, data);
      if (!(apart <= TOLERANCE * scale)) {
        throw new Refusal(
          "The self-test of the model gives other answers than when it was made.",
          "Do not use it in this browser.",
        );
      }
      largest = Math.max(largest, apart);
    }
    return { count: examples.length, largest };
  }
}

/** Return a tensor from its form in JSON: text as a list, numbers in base64. */
export function unpacked({ dtype, shape, data }) {
  if (dtype === "string") return { dtype, shape, data };
  const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
  return { dtype, shape, data: new ARRAYS[dtype](bytes.buffer) };
}

async function fetched(path, step) {
  const response = await fetch(path);
  if (!response.ok) throw new Refusal(`The file ${path} is missing (${response.status}).`, "Export the page again.");
  const parts = [];
  for (const reader = response.body.getReader(); ; ) {
    const { done, value } = await reader.read();
    if (done) break;
    parts.push(value);
    step(value.length);
  }
  return joined(parts);
}

async function verify(bytes, { file, sha256 }) {
  if (!crypto.subtle) return; // only where the page comes from this machine or by HTTPS
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  const found = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
  if (found !== sha256) throw new Refusal(`The file ${file} is damaged.`, "Export the page again.");
}
