// From a picture file to pixels, refusing what `edge` refuses: more than 8 bits a channel and
// transparent pixels would be judged on a guess.

import { PictureError } from "../core/errors";
import type { Picture } from "../core/preprocess";

const PNG = [0x89, 0x50, 0x4e, 0x47];

/** Upright as its EXIF orientation says. Raises: PictureError. */
export async function readPicture(file: Blob): Promise<ImageBitmap> {
  const start = new Uint8Array(await file.slice(0, 32).arrayBuffer());
  if (PNG.every((byte, i) => start[i] === byte) && start[24] === 16) {
    throw new PictureError("expected 8 bits a channel, got 16; scale it to 8 bits first, the same way for every picture");
  }
  try {
    // Values as they are in the file, without colour profiles, as Pillow reads them.
    return await createImageBitmap(file, { colorSpaceConversion: "none", premultiplyAlpha: "none" });
  } catch {
    throw new PictureError("expected a picture that this browser can read (JPEG, PNG, ...); the file is none or is damaged");
  }
}

/** The pixels of a picture, or of a part of it: left, top, width, height in its pixels. */
export function pixels(
  source: CanvasImageSource,
  [left, top, width, height]: [number, number, number, number],
): Picture {
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  drawn.clearRect(0, 0, width, height);
  drawn.drawImage(source, left, top, width, height, 0, 0, width, height);
  const { data } = drawn.getImageData(0, 0, width, height);
  return { width, height, data };
}

const canvas = document.createElement("canvas");
// Kept in memory that the CPU reads: it is read after each drawing.
const drawn = canvas.getContext("2d", { willReadFrequently: true })!;
