// Runs a graph on examples in ONNX Runtime Web, under Node.js: node --input-type=module - < check.js
// Arguments: script, WebAssembly, graph, examples, name of the output. Prints JSON.

import fs from "node:fs";
import { pathToFileURL } from "node:url";

const [script, wasm, graph, examples, output] = process.argv.slice(-5);
const ARRAYS = {
  float32: Float32Array,
  float64: Float64Array,
  uint8: Uint8Array,
  uint16: Uint16Array,
  int32: Int32Array,
  int64: BigInt64Array,
};

async function scores() {
  const ort = await import(pathToFileURL(script).href);
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.wasmBinary = fs.readFileSync(wasm);
  ort.env.logLevel = "error";
  const session = await ort.InferenceSession.create(fs.readFileSync(graph));
  const found = [];
  for (const { tensors } of JSON.parse(fs.readFileSync(examples, "utf8"))) {
    const feeds = {};
    for (const [name, { dtype, shape, data }] of Object.entries(tensors)) {
      const values = dtype === "string" ? data : new ARRAYS[dtype](Uint8Array.from(Buffer.from(data, "base64")).buffer);
      feeds[name] = new ort.Tensor(dtype, values, shape);
    }
    const { [output]: scored } = await session.run(feeds, [output]);
    found.push(Array.from(scored.data));
  }
  return found;
}

try {
  console.log(JSON.stringify({ scores: await scores() }));
} catch (error) {
  console.log(JSON.stringify({ error: String(error?.message ?? error) }));
}
