// DICOM's run-length encoding (PS3.5 annex G).

import { Refusal } from "./errors.js";

/**
 * Return the values of a frame, colours by pixel.
 *
 * @param {Uint8Array} frame the segments behind their header.
 * @param {{rows: number, columns: number, samples: number}} info
 * @param {Function} type array type of the values.
 */
export function unpackRle(frame, info, type) {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  const size = type.BYTES_PER_ELEMENT;
  const count = frame.length >= 64 ? view.getUint32(0, true) : 0;
  if (count !== size * info.samples) throw new Refusal("The run-length encoding of the file is damaged.");
  const pixels = info.rows * info.columns;
  const bytes = new Uint8Array(pixels * info.samples * size);
  for (let segment = 0; segment < count; segment++) {
    const begin = view.getUint32(4 + 4 * segment, true);
    const end = segment + 1 < count ? view.getUint32(8 + 4 * segment, true) : frame.length;
    const sample = Math.floor(segment / size);
    const byte = size - 1 - (segment % size); // the most significant byte comes first
    spread(frame.subarray(begin, end), bytes, sample * size + byte, info.samples * size, pixels);
  }
  return new type(bytes.buffer);
}

/** Unpack one segment into every ``step``-th byte of ``out``. */
function spread(segment, out, first, step, count) {
  let written = 0;
  const put = (value) => {
    if (written < count) out[first + step * written++] = value;
  };
  for (let i = 0; i < segment.length && written < count; ) {
    const head = segment[i++];
    if (head < 128) for (let k = 0; k <= head && i < segment.length; k++) put(segment[i++]);
    else if (head > 128) {
      for (let k = 0; k < 257 - head; k++) put(segment[i]);
      i++;
    }
  }
  if (written < count) throw new Refusal("The run-length encoding of the file is cut off.");
}
