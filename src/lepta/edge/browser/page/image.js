// Photographs and scans, (height, width, channels), as the decoder "image" of Lepta gives them.

import { isDicom } from "./dicomfile.js";
import { Refusal } from "./errors.js";
import { photograph } from "./photograph.js";
import { decodePng, isPng } from "./png.js";

const ARRAYS = { 8: Uint8Array, 16: Uint16Array, 32: Float32Array };
const DTYPES = { 8: "uint8", 16: "uint16", 32: "float32" };
const READ = "This page reads PNG, JPEG, BMP, GIF and WebP.";
/** For each EXIF orientation, where the pixel at (x, y) of the upright image comes from. */
const UPRIGHT = {
  2: (x, y, w) => [w - 1 - x, y],
  3: (x, y, w, h) => [w - 1 - x, h - 1 - y],
  4: (x, y, w, h) => [x, h - 1 - y],
  5: (x, y) => [y, x],
  6: (x, y, w, h) => [y, h - 1 - x],
  7: (x, y, w, h) => [w - 1 - y, h - 1 - x],
  8: (x, y, w) => [w - 1 - y, x],
};

/**
 * Decode an image file.
 *
 * @param {Uint8Array} bytes the whole file.
 * @param {{channels?: 1 | 3, bits?: 8 | 16 | 32, frame?: number, max_pixels?: number}} options
 * @returns {Promise<{data: Uint8Array | Uint16Array | Float32Array, height: number, width: number,
 *   channels: number, dtype: string, about: object}>}
 */
export async function decodeImage(bytes, options = {}) {
  const { channels = 3, bits = 8, frame = 0, max_pixels: limit = 89478485 } = options;
  if (frame !== 0) throw new Refusal("This page reads the first page of an image only.");
  const format = formatOf(bytes);
  const image = format === "PNG" ? await opened(bytes, limit) : await browsed(bytes, format, limit);
  const data = new ARRAYS[bits](image.width * image.height * channels);
  if (image.values) fill(data, image.values, channels, 1, depth(image.top, bits));
  else fillColours(data, image, channels, depth(image.top, bits));
  return { data, height: image.height, width: image.width, channels, dtype: DTYPES[bits], about: { format } };
}

function formatOf(bytes) {
  if (!bytes.length) throw new Refusal("The file is empty.");
  if (isDicom(bytes)) {
    throw new Refusal("This is a DICOM file, not a plain image.", "The model was made for plain images.");
  }
  const head = String.fromCharCode(...bytes.subarray(0, 12));
  if (isPng(bytes)) return "PNG";
  if (head.startsWith("\xff\xd8")) return "JPEG";
  if (head.startsWith("BM")) return "BMP";
  if (head.startsWith("GIF8")) return "GIF";
  if (head.startsWith("RIFF") && head.endsWith("WEBP")) return "WebP";
  if (/^(II\*\0|MM\0\*)/.test(head)) throw new Refusal("TIFF files are not read by this page.", READ);
  throw new Refusal("This is not an image in a known format, or its beginning is damaged.", READ);
}

async function opened(bytes, limit) {
  const image = await decodePng(bytes, limit);
  if (image.rgba) onWhite(image.rgba);
  return turned(image, image.exif ? orientation(image.exif) : 1);
}

async function browsed(bytes, format, limit) {
  if (format === "JPEG" && components(bytes) === 4) {
    throw new Refusal("This JPEG holds the colours of print (CMYK), which this page does not read.", "Save it as RGB.");
  }
  const image = await photograph(new Blob([bytes], { type: `image/${format.toLowerCase()}` }));
  if (image.width * image.height > limit) {
    throw new Refusal(`The image has ${image.width * image.height} pixels; the limit is ${limit}.`);
  }
  return { ...image, top: 255, grey: format === "JPEG" && components(bytes) === 1 };
}

/** Return the number of colour components that the frame header of a JPEG names. */
function components(bytes) {
  let at = 2;
  while (at + 9 < bytes.length && bytes[at] === 0xff) {
    const marker = bytes[at + 1];
    if (marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker)) return bytes[at + 9];
    at += marker === 0xff ? 1 : 2 + 256 * bytes[at + 2] + bytes[at + 3];
  }
  return 0;
}

/** Lay a picture on white, with the rounding of Pillow. */
function onWhite(rgba) {
  for (let i = 0; i < rgba.length; i += 4) {
    const alpha = rgba[i + 3];
    if (alpha === 255) continue;
    for (let c = i; c < i + 3; c++) {
      const sum = (rgba[c] * alpha + 255 * (255 - alpha)) * 128 + (128 << 7);
      rgba[c] = ((sum >> 8) + sum) >> 15;
    }
    rgba[i + 3] = 255;
  }
}

/** Read the orientation of an EXIF block (TIFF tag 0x0112). */
function orientation(exif) {
  const view = new DataView(exif.buffer, exif.byteOffset, exif.byteLength);
  try {
    const little = view.getUint16(0) === 0x4949;
    const at = view.getUint32(4, little);
    for (let i = 0; i < view.getUint16(at, little); i++) {
      const entry = at + 2 + 12 * i;
      if (view.getUint16(entry, little) === 0x0112) return view.getUint16(entry + 8, little);
    }
  } catch {
    return 1; // a damaged EXIF block does not make the pixels unreadable
  }
  return 1;
}

function turned(image, turn) {
  const from = UPRIGHT[turn];
  if (!from) return image;
  const { width: w, height: h } = image;
  const [width, height] = turn >= 5 ? [h, w] : [w, h];
  const step = image.values ? 1 : 4;
  const source = image.values ?? image.rgba;
  const out = new source.constructor(source.length);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const [sx, sy] = from(x, y, w, h);
      for (let c = 0; c < step; c++) out[(y * width + x) * step + c] = source[(sy * w + sx) * step + c];
    }
  }
  return { ...image, width, height, [image.values ? "values" : "rgba"]: out };
}

/** Return the function that scales from 0..top to the range of ``bits``. */
function depth(top, bits) {
  const wanted = 2 ** bits - 1;
  if (bits === 32 || top === wanted) return (value) => value;
  return (value) => Math.floor((value * wanted + (top >> 1)) / top);
}

function fill(data, values, channels, step, scale) {
  for (let i = 0; i * channels < data.length; i++) {
    const value = scale(values[i * step]);
    for (let c = 0; c < channels; c++) data[i * channels + c] = value;
  }
}

function fillColours(data, image, channels, scale) {
  const { rgba } = image;
  if (image.grey) fill(data, rgba, channels, 4, scale);
  else if (channels === 1) {
    for (let i = 0; i < data.length; i++) {
      const at = 4 * i; // ITU-R BT.601 in fixed point
      data[i] = scale((rgba[at] * 19595 + rgba[at + 1] * 38470 + rgba[at + 2] * 7471 + 0x8000) >> 16);
    }
  } else {
    for (let i = 0; 3 * i < data.length; i++) {
      for (let c = 0; c < 3; c++) data[3 * i + c] = scale(rgba[4 * i + c]);
    }
  }
}
