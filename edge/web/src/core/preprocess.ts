// From a decoded picture to what the graphs take: `edge/preprocess.py` once more.
// Grey is ITU-R 601 luma as Pillow computes it; resizing is Pillow's (see resize.ts).

import { PictureError } from "./errors";
import { resize } from "./resize";

export const MIN_SIDE = 8; // pixels

/** What a graph takes: uint8 pictures of shape (height, width, channels). */
export interface InputSpec {
  height: number;
  width: number;
  channels: 1 | 3;
}

/** A decoded picture, RGBA as a canvas gives it. */
export interface Picture {
  width: number;
  height: number;
  data: Uint8Array | Uint8ClampedArray;
}

/** Converts colour and size. Returns: (height, width, channels) of the spec. */
export function preprocess(picture: Picture, spec: InputSpec): Uint8Array {
  checkPicture(picture);
  const pixels = spec.channels === 1 ? grey(picture) : rgb(picture);
  const { height, width } = picture;
  if (height === spec.height && width === spec.width) return pixels;
  return resize(pixels, height, width, spec.channels, spec.height, spec.width);
}

/** Raises: PictureError on pictures that `edge` refuses as well. */
export function checkPicture({ width, height, data }: Picture): void {
  if (Math.min(width, height) < MIN_SIDE) {
    throw new PictureError(`expected at least ${MIN_SIDE} pixels a side, got ${width} x ${height}`);
  }
  for (let at = 3; at < data.length; at += 4) {
    if (data[at] !== 255) {
      throw new PictureError(
        "expected an opaque picture, got transparent pixels; " +
          "flatten it on a background, the same for every picture",
      );
    }
  }
}

function grey({ width, height, data }: Picture): Uint8Array {
  const pixels = new Uint8Array(width * height);
  for (let i = 0, at = 0; i < pixels.length; i++, at += 4) {
    pixels[i] = (19595 * data[at] + 38470 * data[at + 1] + 7471 * data[at + 2] + 0x8000) >> 16;
  }
  return pixels;
}

function rgb({ width, height, data }: Picture): Uint8Array {
  const pixels = new Uint8Array(width * height * 3);
  for (let to = 0, at = 0; to < pixels.length; to += 3, at += 4) {
    pixels[to] = data[at];
    pixels[to + 1] = data[at + 1];
    pixels[to + 2] = data[at + 2];
  }
  return pixels;
}
