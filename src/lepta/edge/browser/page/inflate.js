// Inflating by the browser's own code, with a limit on what a small file may grow to.

import { joined } from "./bytes.js";
import { Refusal } from "./errors.js";

const MOST = 1 << 29;
const TAIL = 16;

/**
 * Inflate data. What stands behind its end (padding, the trailer of another format) is no error,
 * which it is to the browser: so the last bytes are given one by one, when all else has been read.
 *
 * @param {Uint8Array} bytes compressed data.
 * @param {"deflate" | "deflate-raw"} format with a zlib header, or without.
 * @param {number} enough bytes that are wanted; what follows is not read.
 * @returns {Promise<Uint8Array>} less than there should be where the data are cut off.
 */
export async function inflate(bytes, format, enough = MOST + 1) {
  const { readable, writable } = new DecompressionStream(format);
  const writer = writable.getWriter();
  let taken = false;
  const writing = (async () => {
    await writer.write(bytes.subarray(0, -TAIL));
    taken = true;
    for (const byte of bytes.subarray(-TAIL)) await writer.write(Uint8Array.of(byte));
    await writer.close();
  })().catch(() => {});
  const whole = await read(readable.getReader(), enough);
  await writing;
  if (whole.length > MOST) throw new Refusal(`The file inflates to more than ${MOST} bytes.`);
  if (!taken && whole.length < enough) throw new Refusal("The compressed data are damaged.");
  return whole;
}

async function read(reader, enough) {
  const parts = [];
  let size = 0;
  try {
    while (size < enough) {
      const { done, value } = await reader.read();
      if (done) break;
      parts.push(value);
      size += value.length;
    }
    await reader.cancel();
  } catch {
    return joined(parts);
  }
  return joined(parts);
}
