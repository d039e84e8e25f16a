// DICOM files as data sets (PS3.5, PS3.10): explicit and implicit VR, either byte order, deflated.

import { Refusal } from "./errors.js";
import { inflate } from "./inflate.js";

const IMPLICIT = "1.2.840.10008.1.2";
const EXPLICIT = "1.2.840.10008.1.2.1";
const DEFLATED = "1.2.840.10008.1.2.1.99";
const BIG_ENDIAN = "1.2.840.10008.1.2.2";
export const RLE = "1.2.840.10008.1.2.5";
export const JPEG_BASELINE = "1.2.840.10008.1.2.4.50";

const COMPRESSED = [
  ["1.2.840.10008.1.2.4.51", "JPEG Extended"],
  ["1.2.840.10008.1.2.4.57", "JPEG Lossless"],
  ["1.2.840.10008.1.2.4.70", "JPEG Lossless"],
  ["1.2.840.10008.1.2.4.80", "JPEG-LS"],
  ["1.2.840.10008.1.2.4.81", "JPEG-LS"],
  ["1.2.840.10008.1.2.4.9", "JPEG 2000"],
  ["1.2.840.10008.1.2.4.10", "MPEG video"],
  ["1.2.840.10008.1.2.4.11", "JPEG XL"],
  ["1.2.840.10008.1.2.4.20", "High-Throughput JPEG 2000"],
];

const UNDEFINED = 0xffffffff;
const ITEM = 0xfffee000;
const ITEM_END = 0xfffee00d;
const SEQUENCE_END = 0xfffee0dd;
const PIXELS = [0x7fe00010, 0x7fe00008, 0x7fe00009];
const LONG = new Set(["OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"]);
const SEQUENCES = new Set([0x52009229, 0x52009230, 0x00289145, 0x00283000]);
const MOST_DEPTH = 32;

/** One data set: values by tag, read when asked for. */
export class DataSet {
  constructor(little) {
    this.little = little;
    this.elements = new Map();
  }

  has(tag) {
    return this.elements.has(tag);
  }

  bytes(tag) {
    return this.elements.get(tag)?.bytes ?? null;
  }

  vr(tag) {
    return this.elements.get(tag)?.vr ?? "";
  }

  items(tag) {
    return this.elements.get(tag)?.items ?? [];
  }

  /** Return text without its padding; "" where there is none. */
  text(tag) {
    const bytes = this.bytes(tag);
    if (!bytes) return "";
    return new TextDecoder("latin1").decode(bytes).replace(/[\0 ]+$/, "").trimStart();
  }

  /** Return the first of the numbers written as text (IS, DS); null where there is none. */
  decimal(tag) {
    const text = this.text(tag).split("\\")[0].trim();
    if (text === "") return null;
    const value = Number(text);
    if (Number.isNaN(value)) throw new Refusal(`The file says “${text}” where a number belongs.`);
    return value;
  }

  /** Return the numbers of two bytes of a value. */
  shorts(tag) {
    const bytes = this.bytes(tag);
    if (!bytes) return [];
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    return Array.from({ length: bytes.byteLength >> 1 }, (_, i) => view.getUint16(2 * i, this.little));
  }

  short(tag) {
    return this.shorts(tag)[0] ?? null;
  }
}

class Reader {
  constructor(bytes, at, explicit, little) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.at = at;
    this.explicit = explicit;
    this.little = little;
    this.cut = false;
  }

  left(end) {
    return Math.min(end, this.bytes.length) - this.at;
  }

  tag() {
    const group = this.view.getUint16(this.at, this.little);
    const element = this.view.getUint16(this.at + 2, this.little);
    return group * 0x10000 + element;
  }

  /** Read the header of an element: its tag, value representation and length. */
  header() {
    const tag = this.tag();
    if (!this.explicit || tag >= 0xfffe0000) {
      const length = this.view.getUint32(this.at + 4, this.little);
      this.at += 8;
      return { tag, vr: "", length };
    }
    const vr = String.fromCharCode(this.bytes[this.at + 4], this.bytes[this.at + 5]);
    if (!/^[A-Z]{2}$/.test(vr)) { // written as implicit in the midst of an explicit file
      const length = this.view.getUint32(this.at + 4, this.little);
      this.at += 8;
      return { tag, vr: "UN", length };
    }
    if (!LONG.has(vr)) {
      const length = this.view.getUint16(this.at + 6, this.little);
      this.at += 8;
      return { tag, vr, length };
    }
    const length = this.left(Infinity) >= 12 ? this.view.getUint32(this.at + 8, this.little) : 0;
    this.at += 12;
    return { tag, vr, length };
  }

  take(length) {
    const end = this.at + length;
    if (end > this.bytes.length) this.cut = true;
    const value = this.bytes.subarray(this.at, Math.min(end, this.bytes.length));
    this.at = Math.min(end, this.bytes.length);
    return value;
  }

  /** Read elements up to ``end``, or to the end of the item they stand in. */
  dataset(end, depth = 0) {
    if (depth > MOST_DEPTH) throw new Refusal("The file nests sequences too deeply.");
    const found = new DataSet(this.little);
    while (this.left(end) >= 8) {
      const { tag, vr, length } = this.header();
      if (tag === ITEM_END || tag === SEQUENCE_END) break;
      if (length === UNDEFINED && PIXELS.includes(tag)) {
        found.elements.set(tag, { vr, fragments: this.fragments() });
      } else if (length === UNDEFINED || vr === "SQ" || (SEQUENCES.has(tag) && !this.explicit)) {
        found.elements.set(tag, { vr: "SQ", items: this.sequence(tag, vr, length, depth) });
      } else {
        found.elements.set(tag, { vr, bytes: this.take(length) });
      }
    }
    return found;
  }

  sequence(tag, vr, length, depth) {
    const explicit = this.explicit;
    if (vr === "UN") this.explicit = false; // PS3.5 6.2.2: of unknown kind, so implicit inside
    const end = length === UNDEFINED ? Infinity : this.at + length;
    const items = [];
    while (this.left(end) >= 8) {
      const header = this.header();
      if (header.tag === SEQUENCE_END) break;
      if (header.tag !== ITEM) throw new Refusal("A sequence of the file is damaged.");
      const stop = header.length === UNDEFINED ? Infinity : this.at + header.length;
      items.push(this.dataset(stop, depth + 1));
      if (stop !== Infinity) this.at = Math.min(stop, this.bytes.length);
    }
    if (end !== Infinity) this.at = Math.min(end, this.bytes.length);
    this.explicit = explicit;
    return items;
  }

  /** Read encapsulated pixels (PS3.5 A.4): the offset table, then the fragments. */
  fragments() {
    const found = [];
    while (this.left(Infinity) >= 8) {
      const { tag, length } = this.header();
      if (tag !== ITEM) break;
      found.push(this.take(length));
    }
    return { table: found[0] ?? new Uint8Array(0), parts: found.slice(1) };
  }
}

/**
 * Read a DICOM file, with or without its preamble of 128 bytes.
 *
 * @param {Uint8Array} bytes the whole file.
 * @returns {Promise<{set: DataSet, syntax: string, cut: boolean}>}
 */
export async function readDicom(bytes) {
  const named = isDicom(bytes);
  const { syntax, at } = meta(bytes, named ? 132 : 0);
  let body = bytes;
  let begin = at;
  let known = syntax || guess(bytes, at);
  if (known === DEFLATED) {
    body = await inflate(bytes.subarray(at), "deflate-raw");
    begin = 0;
  }
  const implicit = known === IMPLICIT;
  const little = known !== BIG_ENDIAN;
  const reader = new Reader(body, begin, !implicit, little);
  let set;
  try {
    set = reader.dataset(Infinity);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw cutOff();
  }
  if (![0x00080016, 0x00080060, 0x00280010].some((tag) => set.has(tag))) {
    throw named ? cutOff() : new Refusal("This is not a DICOM file.");
  }
  return { set, syntax: known, cut: reader.cut };
}

export function isDicom(bytes) {
  return bytes.length > 132 && String.fromCharCode(...bytes.subarray(128, 132)) === "DICM";
}

/** Return the name of a compression that this page cannot undo, or "". */
export function unreadable(syntax) {
  if (syntax === RLE || syntax === JPEG_BASELINE) return "";
  return COMPRESSED.find(([uid]) => syntax.startsWith(uid))?.[1] ?? "";
}

export function cutOff() {
  return new Refusal(
    "The DICOM file is cut off: it ends before its data does.",
    "Get the complete file from its source.",
  );
}

/** Read the file meta information (group 0002), which is explicit and little endian. */
function meta(bytes, begin) {
  const reader = new Reader(bytes, begin, true, true);
  let syntax = "";
  while (reader.left(Infinity) >= 8 && reader.view.getUint16(reader.at, true) === 2) {
    const { tag, length } = reader.header();
    const value = reader.take(length);
    if (tag === 0x00020010) {
      syntax = new TextDecoder("latin1").decode(value).replace(/[\0 ]+$/, "");
    }
  }
  return { syntax, at: reader.at };
}

/** Tell how a data set without meta information is written from how it begins. */
function guess(bytes, at) {
  if (bytes.length < at + 8) throw new Refusal(bytes.length ? "This is not a DICOM file." : "The file is empty.");
  const explicit = /^[A-Z]{2}$/.test(String.fromCharCode(bytes[at + 4], bytes[at + 5]));
  const group = bytes[at] + 256 * bytes[at + 1];
  if (group >= 0x0800) return BIG_ENDIAN;
  return explicit ? EXPLICIT : IMPLICIT;
}
