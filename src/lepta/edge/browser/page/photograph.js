// Pixels from the browser's own decoders: no colour management, no scaling, transparency on white.

import { Refusal } from "./errors.js";

/**
 * Decode an image file, turned upright as its EXIF orientation says.
 *
 * @param {Blob} blob the file.
 * @returns {Promise<{rgba: Uint8ClampedArray, width: number, height: number}>}
 */
export async function photograph(blob) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(blob, {
      colorSpaceConversion: "none",
      premultiplyAlpha: "none",
      imageOrientation: "from-image",
    });
  } catch {
    throw new Refusal("The image is damaged, or of a kind that this browser does not read.");
  }
  const { width, height } = bitmap;
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", { colorSpace: "srgb", willReadFrequently: true });
  context.fillStyle = "#fff";
  context.fillRect(0, 0, width, height);
  context.imageSmoothingEnabled = false;
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  return { rgba: context.getImageData(0, 0, width, height).data, width, height };
}
