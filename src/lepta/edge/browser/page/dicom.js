// DICOM images: one frame in modality units, or in colour, as the decoder "dicom" of Lepta gives it.

import { joined } from "./bytes.js";
import { cutOff, JPEG_BASELINE, readDicom, RLE, unreadable } from "./dicomfile.js";
import { Refusal } from "./errors.js";
import { photograph } from "./photograph.js";
import { unpackRle } from "./rle.js";

const MODALITY = 0x00080060;
const FRAMES = 0x00280008;
const SAMPLES = 0x00280002;
const PHOTOMETRIC = 0x00280004;
const PLANAR = 0x00280006;
const ROWS = 0x00280010;
const COLUMNS = 0x00280011;
const ALLOCATED = 0x00280100;
const STORED = 0x00280101;
const SIGNED = 0x00280103;
const CENTRE = 0x00281050;
const WIDTH = 0x00281051;
const INTERCEPT = 0x00281052;
const SLOPE = 0x00281053;
const RESCALE_TYPE = 0x00281054;
const LUT = 0x00283000;
const LUT_DESCRIPTOR = 0x00283002;
const LUT_TYPE = 0x00283004;
const LUT_DATA = 0x00283006;
const SHARED = 0x52009229;
const PER_FRAME = 0x52009230;
const TRANSFORMATION = 0x00289145;
const DOSE_SCALING = 0x3004000e;
const SEGMENTATION = 0x00620001;
const MOST_FRACTION = 0x0062000e;
const PIXELS = 0x7fe00010;
const FLOATS = 0x7fe00008;
const DOUBLES = 0x7fe00009;
const PALETTE = [0x00281201, 0x00281202, 0x00281203];
const PALETTE_DESCRIPTOR = 0x00281101;

const MEASURED = new Set(["CT", "PT", "RTDOSE"]);
const NO_UNIT = new Set(["", "US", "UNSPECIFIED"]);
const LUMA = [0.299, 0.587, 0.114].map(Math.fround);

/**
 * Decode one frame to float32, (height, width, channels).
 *
 * @param {Uint8Array} bytes the whole file.
 * @param {{frame?: number | "middle", channels?: number | null, max_pixels?: number}} options
 * @returns {Promise<{data: Float32Array, height: number, width: number, channels: number,
 *   dtype: "float32", about: object}>}
 */
export async function decodeDicom(bytes, options = {}) {
  const { set, syntax, cut } = await readDicom(bytes);
  const info = describe(set, syntax, cut);
  const index = frameIndex(info.frames, options.frame ?? "middle");
  const limit = options.max_pixels ?? 89478485;
  if (info.rows * info.columns > limit) {
    throw new Refusal(`The image has ${info.rows * info.columns} pixels; the limit is ${limit}.`);
  }
  const stored = await storedFrame(set, info, index);
  const colour = info.samples === 3 || info.photometric === "PALETTE COLOR";
  const values = colour ? colours(stored, set, info) : modality(stored, set, info, index);
  const image = { data: values, height: info.rows, width: info.columns, channels: colour ? 3 : 1 };
  return { ...channelled(image, options.channels ?? null), dtype: "float32", about: about(set, info, index) };
}

function describe(set, syntax, cut) {
  const pixels = [PIXELS, FLOATS, DOUBLES].find((tag) => set.has(tag));
  if (pixels === undefined) {
    if (cut) throw cutOff();
    const kind = set.text(MODALITY) || "unknown";
    throw new Refusal(`The file holds no image: it is of the modality ${kind}.`, "Choose another file.");
  }
  const compression = unreadable(syntax);
  if (compression) {
    throw new Refusal(
      `The pixels are compressed as ${compression}, which this page does not decode.`,
      "Save the image uncompressed (for example “gdcmconv --raw IN OUT”, or “dcmdjpeg IN OUT”).",
    );
  }
  const info = {
    pixels,
    syntax,
    rows: set.short(ROWS),
    columns: set.short(COLUMNS),
    samples: set.short(SAMPLES) ?? 1,
    photometric: set.text(PHOTOMETRIC) || "MONOCHROME2",
    allocated: set.short(ALLOCATED),
    signed: Boolean(set.short(SIGNED)),
    planar: set.short(PLANAR) ?? 0,
    frames: Math.max(1, Math.trunc(set.decimal(FRAMES) ?? 1)),
  };
  info.stored = set.short(STORED) || info.allocated;
  if (!info.rows || !info.columns || ![1, 3].includes(info.samples)) {
    throw new Refusal("The file does not say the size of its image.");
  }
  return info;
}

function frameIndex(count, wanted) {
  const index = wanted === "middle" ? Math.floor(count / 2) : wanted;
  if (index >= count) throw new Refusal(`There is no frame ${index}; the file has ${count}, counted from 0.`);
  return index;
}

/** Return the stored values of a frame, colours by pixel, YBR turned into RGB. */
async function storedFrame(set, info, index) {
  const element = set.elements.get(info.pixels);
  if (!element.fragments) return native(element, set, info, index);
  const frame = fragment(element.fragments, info, index);
  if (info.syntax === RLE) return inRgb(unused(unpackRle(frame, info, arrayOf(info)), info), info);
  return jpeg(frame, info);
}

function inRgb(frame, info) {
  return info.photometric.startsWith("YBR_FULL") && info.samples === 3 ? toRgb(frame) : frame;
}

function fragment({ table, parts }, info, index) {
  if (info.frames === 1) return joined(parts);
  if (parts.length === info.frames) return parts[index];
  const view = new DataView(table.buffer, table.byteOffset, table.byteLength);
  if (table.byteLength < 4 * info.frames) throw new Refusal("The frames of the file cannot be told apart.");
  const begin = view.getUint32(4 * index, true);
  const end = index + 1 < info.frames ? view.getUint32(4 * index + 4, true) : Infinity;
  let at = 0;
  return joined(parts.filter((part) => {
    const inside = at >= begin && at < end;
    at += part.length + 8;
    return inside;
  }));
}

async function jpeg(frame, info) {
  if (info.samples === 3 && !info.photometric.startsWith("YBR_FULL")) {
    throw new Refusal(
      `A JPEG in the colours “${info.photometric}” is not decoded by this page.`,
      "Save the image uncompressed.",
    );
  }
  const image = await photograph(new Blob([frame], { type: "image/jpeg" }));
  if (image.width !== info.columns || image.height !== info.rows) {
    throw new Refusal("The size of the JPEG is not that which the file says.");
  }
  const out = new Uint8Array(image.width * image.height * info.samples);
  for (let i = 0; i < image.width * image.height; i++) {
    for (let c = 0; c < info.samples; c++) out[i * info.samples + c] = image.rgba[4 * i + c];
  }
  return out;
}

function arrayOf(info) {
  if (info.pixels === FLOATS) return Float32Array;
  if (info.pixels === DOUBLES) return Float64Array;
  const arrays = info.signed
    ? { 8: Int8Array, 16: Int16Array, 32: Int32Array }
    : { 1: Uint8Array, 8: Uint8Array, 16: Uint16Array, 32: Uint32Array };
  const found = arrays[info.allocated];
  if (!found) throw new Refusal(`Pixels of ${info.allocated} bits are not read.`);
  return found;
}

function native(element, set, info, index) {
  const type = arrayOf(info);
  const count = info.rows * info.columns * info.samples;
  if (info.allocated === 1) return bits(element.bytes, count, index);
  const subsampled = info.photometric === "YBR_FULL_422" && info.samples === 3;
  const values = subsampled ? (count / 3) * 2 : count;
  const size = values * type.BYTES_PER_ELEMENT;
  const begin = index * size;
  if (begin + size > element.bytes.length) {
    throw new Refusal(
      `The pixels are cut off: the file holds ${element.bytes.length} bytes of them, but needs ${begin + size}.`,
      "Get the complete file from its source.",
    );
  }
  const swapped = !set.little && (type.BYTES_PER_ELEMENT > 1 || element.vr === "OW");
  let frame = swapped
    ? swap(element.bytes, begin, size, Math.max(2, type.BYTES_PER_ELEMENT))
    : element.bytes.slice(begin, begin + size);
  frame = new type(frame.buffer, 0, values);
  if (subsampled) frame = doubled(frame);
  else if (info.samples === 3 && info.planar === 1) frame = interleaved(frame);
  return inRgb(unused(frame, info), info);
}

/** Return bytes in the other order within words of ``width`` bytes. */
function swap(bytes, begin, size, width) {
  const out = new Uint8Array(size);
  for (let i = 0; i < size; i++) {
    const at = begin + i;
    out[i] = bytes[at - (at % width) + (width - 1 - (at % width))];
  }
  return out;
}

function bits(bytes, count, index) {
  const out = new Uint8Array(count);
  if ((index + 1) * count > bytes.length * 8) throw cutOff();
  for (let i = 0; i < count; i++) {
    const at = index * count + i;
    out[i] = (bytes[at >> 3] >> (at & 7)) & 1;
  }
  return out;
}

/** Drop what stands in the bits above those that are stored. */
function unused(frame, info) {
  const shift = info.allocated - info.stored;
  if (shift <= 0 || frame instanceof Float32Array || frame instanceof Float64Array) return frame;
  for (let i = 0; i < frame.length; i++) {
    frame[i] <<= shift;
    frame[i] = info.signed ? frame[i] >> shift : frame[i] >>> shift;
  }
  return frame;
}

function interleaved(planes) {
  const size = planes.length / 3;
  const out = new planes.constructor(planes.length);
  for (let c = 0; c < 3; c++) for (let i = 0; i < size; i++) out[3 * i + c] = planes[c * size + i];
  return out;
}

function doubled(frame) {
  const out = new frame.constructor((frame.length / 2) * 3);
  for (let i = 0, o = 0; i + 3 < frame.length; i += 4, o += 6) {
    out.set([frame[i], frame[i + 2], frame[i + 3], frame[i + 1], frame[i + 2], frame[i + 3]], o);
  }
  return out;
}

function toRgb(frame) {
  const clip = (value) => Math.min(255, Math.max(0, Math.floor(value + 0.5)));
  for (let i = 0; i < frame.length; i += 3) {
    const y = frame[i];
    const b = frame[i + 1] - 128;
    const r = frame[i + 2] - 128;
    frame[i] = clip(y + 1.402 * r);
    frame[i + 1] = clip(y - ((0.114 * 1.772) / 0.587) * b - ((0.299 * 1.402) / 0.587) * r);
    frame[i + 2] = clip(y + 1.772 * b);
  }
  return frame;
}

/** Turn stored values into modality units (PS3.3 C.11.1). */
function modality(stored, set, info, index) {
  const source = transformation(set, index);
  const table = source.items(LUT)[0];
  const look = table ? lookup(table, info) : rescale(stored, set, source, info);
  const mirrored = info.photometric === "MONOCHROME1" && !measured(set, source);
  const out = new Float32Array(stored.length);
  for (let i = 0; i < stored.length; i++) {
    const value = look.of(stored[i]);
    out[i] = mirrored ? look.low + look.high - value : value;
  }
  return out;
}

function transformation(set, index) {
  for (const group of [set.items(PER_FRAME)[index], set.items(SHARED)[0]]) {
    const found = group?.items(TRANSFORMATION)[0];
    if (found) return found;
  }
  return set;
}

function rescale(stored, set, source, info) {
  const [slope, intercept] = coefficients(set, source);
  if (slope === 0 || !Number.isFinite(slope) || !Number.isFinite(intercept)) {
    throw new Refusal(`The rescale slope is ${slope} and the intercept ${intercept}.`);
  }
  const [low, high] = range(stored, info).map((bound) => bound * slope + intercept);
  return { of: (value) => value * slope + intercept, low, high };
}

function coefficients(set, source) {
  const dose = set.decimal(DOSE_SCALING);
  if (set.text(MODALITY) === "RTDOSE" && dose !== null) return [dose, 0];
  if (set.text(SEGMENTATION) === "FRACTIONAL") return [1 / (set.short(MOST_FRACTION) || 255), 0];
  return [source.decimal(SLOPE) ?? 1, source.decimal(INTERCEPT) ?? 0];
}

function range(stored, info) {
  if (stored instanceof Float32Array || stored instanceof Float64Array) return extremes(stored);
  const bits = info.stored;
  return info.signed ? [-(2 ** (bits - 1)), 2 ** (bits - 1) - 1] : [0, 2 ** bits - 1];
}

function extremes(values) {
  let low = Infinity;
  let high = -Infinity;
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return [low, high];
}

function lookup(table, info) {
  const [count, begin, bits] = table.shorts(LUT_DESCRIPTOR);
  const bytes = table.bytes(LUT_DATA);
  const wide = table.vr(LUT_DATA) === "US" || Math.floor(bytes.length / (count || 65536)) >= 2;
  const entries = wide ? table.shorts(LUT_DATA) : bytes;
  const signed = begin > 32767 && (info.signed || table.vr(LUT_DESCRIPTOR) === "SS");
  const first = signed ? begin - 65536 : begin;
  const last = entries.length - 1;
  return { of: (value) => entries[Math.min(last, Math.max(0, value - first))], low: 0, high: 2 ** bits - 1 };
}

/** Whether the values are a physical quantity rather than a brightness. */
function measured(set, source) {
  const unit = (source.text(RESCALE_TYPE) || source.text(LUT_TYPE)).toUpperCase();
  return MEASURED.has(set.text(MODALITY)) || !NO_UNIT.has(unit);
}

function colours(stored, set, info) {
  const palette = info.samples === 1 ? palettes(set, info) : null;
  const top = palette ? palette.top : 2 ** info.stored - 1;
  const scale = Math.fround(255 / top);
  const pixels = info.rows * info.columns;
  const out = new Float32Array(pixels * 3);
  for (let i = 0; i < pixels; i++) {
    for (let c = 0; c < 3; c++) {
      const value = palette ? palette.of(stored[i], c) : stored[3 * i + c];
      out[3 * i + c] = Math.min(255, Math.max(0, Math.fround(value * scale)));
    }
  }
  return out;
}

function palettes(set, info) {
  const [count, begin] = set.shorts(PALETTE_DESCRIPTOR);
  if (!PALETTE.every((tag) => set.has(tag)) || count === undefined) {
    throw new Refusal("The palette of the file is absent or segmented, which this page does not read.");
  }
  const entries = count || 65536;
  const wide = Math.round(set.bytes(PALETTE[0]).length / entries) >= 2;
  const tables = PALETTE.map((tag) => (wide ? set.shorts(tag) : set.bytes(tag)));
  const signed = begin > 32767 && (info.signed || set.vr(PALETTE_DESCRIPTOR) === "SS");
  const first = signed ? begin - 65536 : begin;
  const at = (value) => Math.min(entries - 1, Math.max(0, value - first));
  return { top: wide ? 65535 : 255, of: (value, channel) => tables[channel][at(value)] };
}

function channelled(image, wanted) {
  const { data, channels, height, width } = image;
  if (wanted === null || wanted === channels) return image;
  const out = new Float32Array(height * width * wanted);
  for (let i = 0; i < height * width; i++) {
    if (wanted === 1) {
      out[i] = LUMA[0] * data[3 * i] + LUMA[1] * data[3 * i + 1] + LUMA[2] * data[3 * i + 2];
    } else {
      out.fill(data[i], 3 * i, 3 * i + 3);
    }
  }
  return { data: out, height, width, channels: wanted };
}

/** What the page shows of the file: never the patient's name, number or dates. */
function about(set, info, index) {
  const centre = set.decimal(CENTRE);
  const width = set.decimal(WIDTH);
  const window = centre !== null && width !== null && width > 0 ? [centre - width / 2, centre + width / 2] : null;
  return {
    format: "DICOM",
    modality: set.text(MODALITY),
    frame: info.frames > 1 ? `${index + 1} of ${info.frames}` : "",
    inverted: info.photometric === "MONOCHROME1" && measured(set, transformation(set, index)),
    window,
  };
}
