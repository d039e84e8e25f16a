// PNG files (ISO/IEC 15948) of every colour type and depth, exact to the bit. The browser's own
// decoder would narrow 16 bits to 8, manage colours, and lose what lies under transparency.

import { joined } from "./bytes.js";
import { Refusal } from "./errors.js";
import { inflate } from "./inflate.js";

const SIGNATURE = [137, 80, 78, 71, 13, 10, 26, 10];
const GREY = 0;
const RGB = 2;
const PALETTE = 3;
const GREY_ALPHA = 4;
const RGBA = 6;
const SAMPLES = { [GREY]: 1, [RGB]: 3, [PALETTE]: 1, [GREY_ALPHA]: 2, [RGBA]: 4 };
const DEPTHS = {
  [GREY]: [1, 2, 4, 8, 16],
  [RGB]: [8, 16],
  [PALETTE]: [1, 2, 4, 8],
  [GREY_ALPHA]: [8, 16],
  [RGBA]: [8, 16],
};
const PASSES = [[0, 0, 8, 8], [4, 0, 8, 8], [0, 4, 4, 8], [2, 0, 4, 4], [0, 2, 2, 4], [1, 0, 2, 2], [0, 1, 1, 2]];
const WHOLE = [[0, 0, 1, 1]];

export function isPng(bytes) {
  return SIGNATURE.every((byte, i) => bytes[i] === byte);
}

/**
 * Decode a PNG file.
 *
 * @param {Uint8Array} bytes the whole file.
 * @param {number} limit pixels beyond which it is refused.
 * @returns {Promise<{width: number, height: number, grey: boolean, top: number,
 *   rgba?: Uint8Array, values?: Uint16Array, exif: Uint8Array | null}>} ``values`` of grey of 16
 *   bits, else ``rgba`` of 8.
 */
export async function decodePng(bytes, limit) {
  const file = chunks(bytes);
  const { width, height, depth, colour } = file;
  if (width * height > limit) {
    throw new Refusal(`The image has ${width * height} pixels; the limit is ${limit}.`);
  }
  if (!DEPTHS[colour]?.includes(depth) || !width || !height) throw new Refusal("The image is damaged.");
  const passes = (file.interlaced ? PASSES : WHOLE).map((pass) => extent(pass, width, height));
  const bits = depth * SAMPLES[colour];
  const expected = passes.reduce((sum, p) => sum + (p.columns ? p.rows * (1 + stride(p, bits)) : 0), 0);
  const packed = await inflate(file.data, "deflate", expected).catch(() => new Uint8Array(0));
  if (packed.length < expected) throw new Refusal("The image is damaged or cut off.");
  const wide = colour === GREY && depth === 16;
  const out = wide ? new Uint16Array(width * height) : new Uint8Array(4 * width * height);
  const paint = painter(file, out);
  let at = 0;
  for (const pass of passes) {
    if (!pass.columns) continue;
    at = unfilter(packed, at, pass, bits, (row, line) => paint(pass, row, line));
  }
  const shared = { width, height, grey: colour === GREY || colour === GREY_ALPHA, exif: file.exif };
  return wide ? { ...shared, top: 65535, values: out } : { ...shared, top: 255, rgba: out };
}

function chunks(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const file = { data: null, palette: null, clear: null, exif: null };
  const parts = [];
  let at = 8;
  while (at + 8 <= bytes.length) {
    const length = view.getUint32(at);
    const name = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    const body = bytes.subarray(at + 8, at + 8 + length);
    if (name === "IHDR" && body.length >= 13) header(file, view, at + 8);
    else if (name === "PLTE") file.palette = body;
    else if (name === "tRNS") file.clear = body;
    else if (name === "eXIf") file.exif = body;
    else if (name === "IDAT") parts.push(body);
    else if (name === "IEND") break;
    at += 12 + length;
  }
  if (file.width === undefined) throw new Refusal("The image is damaged.");
  file.data = joined(parts);
  return file;
}

function header(file, view, at) {
  file.width = view.getUint32(at);
  file.height = view.getUint32(at + 4);
  file.depth = view.getUint8(at + 8);
  file.colour = view.getUint8(at + 9);
  file.interlaced = view.getUint8(at + 12) === 1;
}

/** Return the pixels that a pass covers: every ``dx``-th from ``x`` on, every ``dy``-th from ``y``. */
function extent([x, y, dx, dy], width, height) {
  return { x, y, dx, dy, columns: Math.ceil((width - x) / dx), rows: Math.ceil((height - y) / dy) };
}

function stride({ columns }, bits) {
  return Math.ceil((columns * bits) / 8);
}

/** Undo the filters of one pass; return where the next one begins. */
function unfilter(packed, begin, pass, bits, use) {
  const length = stride(pass, bits);
  const back = Math.max(1, bits >> 3);
  let above = new Uint8Array(length);
  let at = begin;
  for (let row = 0; row < pass.rows; row++) {
    const kind = packed[at];
    const line = packed.subarray(at + 1, at + 1 + length);
    if (kind > 4) throw new Refusal("The image is damaged.");
    restore(kind, line, above, back);
    use(row, line);
    above = line;
    at += 1 + length;
  }
  return at;
}

function restore(kind, line, above, back) {
  if (kind === 0) return;
  for (let i = 0; i < line.length; i++) {
    const left = i >= back ? line[i - back] : 0;
    const up = above[i];
    if (kind === 1) line[i] += left;
    else if (kind === 2) line[i] += up;
    else if (kind === 3) line[i] += (left + up) >> 1;
    else line[i] += paeth(left, up, i >= back ? above[i - back] : 0);
  }
}

function paeth(left, up, corner) {
  const estimate = left + up - corner;
  const [a, b, c] = [Math.abs(estimate - left), Math.abs(estimate - up), Math.abs(estimate - corner)];
  if (a <= b && a <= c) return left;
  return b <= c ? up : corner;
}

/** Return what writes a line of samples into the image. */
function painter(file, out) {
  const { width, depth, colour } = file;
  const colours = colourOf(file);
  const samples = SAMPLES[colour];
  const wide = out instanceof Uint16Array;
  const pixel = new Uint16Array(samples);
  return (pass, row, line) => {
    for (let column = 0; column < pass.columns; column++) {
      for (let s = 0; s < samples; s++) pixel[s] = sample(line, column * samples + s, depth);
      const at = (pass.y + row * pass.dy) * width + pass.x + column * pass.dx;
      if (wide) out[at] = colours(pixel);
      else out.set(colours(pixel), 4 * at);
    }
  };
}

function sample(line, index, depth) {
  if (depth === 8) return line[index];
  if (depth === 16) return 256 * line[2 * index] + line[2 * index + 1];
  const bit = index * depth;
  return (line[bit >> 3] >> (8 - depth - (bit & 7))) & ((1 << depth) - 1);
}

/** Return the function from the samples of a pixel to red, green, blue and opacity of 8 bits. */
function colourOf({ colour, depth, palette, clear }) {
  const shift = depth === 16 ? 8 : 0;
  const words = clear ? Array.from({ length: clear.length >> 1 }, (_, i) => 256 * clear[2 * i] + clear[2 * i + 1]) : [];
  if (colour === GREY && depth === 16) return ([value]) => (value === words[0] ? 65535 : value);
  if (colour === GREY) {
    const scale = 255 / (2 ** depth - 1);
    return ([value]) => [value * scale, value * scale, value * scale, value * scale === words[0] ? 0 : 255];
  }
  if (colour === PALETTE) {
    return ([i]) => [palette?.[3 * i] ?? 0, palette?.[3 * i + 1] ?? 0, palette?.[3 * i + 2] ?? 0, clear?.[i] ?? 255];
  }
  if (colour === GREY_ALPHA) return ([value, alpha]) => [value >> shift, value >> shift, value >> shift, alpha >> shift];
  if (colour === RGBA) return ([r, g, b, alpha]) => [r >> shift, g >> shift, b >> shift, alpha >> shift];
  const hidden = ([r, g, b]) => words.length === 3 && r >> shift === words[0] && g >> shift === words[1] && b >> shift === words[2];
  return (p) => [p[0] >> shift, p[1] >> shift, p[2] >> shift, hidden(p) ? 0 : 255];
}
