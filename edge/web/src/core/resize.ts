// Pillow's antialiased bilinear resize of 8-bit pictures (libImaging/Resample.c), bit for bit.
//
// `edge.preprocess` resizes with Pillow, so this is the arithmetic that the thresholds were set
// with: a triangle as wide as the pixels of the smaller picture, weights rounded to 22 bits behind
// the point, sums in 32-bit integers, and 8 bits again between the two passes, rows first.

const PRECISION = 22;
const HALF = 1 << (PRECISION - 1);

/** For each pixel of one side: where its sources begin, how many they are, and their weights. */
interface Taps {
  first: Int32Array;
  count: Int32Array;
  weights: Int32Array; // `most` for each pixel
  most: number;
}

/**
 * Resizes a picture.
 *
 * pixels: (height, width, channels), interleaved. Returns: (newHeight, newWidth, channels).
 */
export function resize(
  pixels: Uint8Array,
  height: number,
  width: number,
  channels: number,
  newHeight: number,
  newWidth: number,
): Uint8Array {
  let now = pixels;
  if (newWidth !== width) now = alongRows(now, height, width, channels, newWidth);
  if (newHeight !== height) now = alongColumns(now, height, newWidth * channels, newHeight);
  return now === pixels ? pixels.slice() : now;
}

function taps(from: number, to: number): Taps {
  const scale = from / to;
  const reach = Math.max(scale, 1); // the filter's support is 1
  const most = Math.ceil(reach) * 2 + 1;
  const first = new Int32Array(to);
  const count = new Int32Array(to);
  const weights = new Int32Array(to * most);
  const exact = new Float64Array(most);
  for (let at = 0; at < to; at++) {
    const center = (at + 0.5) * scale;
    const start = Math.max(0, Math.trunc(center - reach + 0.5));
    const n = Math.min(from, Math.trunc(center + reach + 0.5)) - start;
    let sum = 0;
    for (let i = 0; i < n; i++) {
      exact[i] = Math.max(0, 1 - Math.abs((i + start - center + 0.5) * (1 / reach)));
      sum += exact[i];
    }
    first[at] = start;
    count[at] = n;
    for (let i = 0; i < n; i++) {
      const share = sum === 0 ? exact[i] : exact[i] / sum;
      weights[at * most + i] = Math.trunc(0.5 + share * (1 << PRECISION));
    }
  }
  return { first, count, weights, most };
}

function alongRows(
  pixels: Uint8Array,
  height: number,
  width: number,
  channels: number,
  newWidth: number,
): Uint8Array {
  const { first, count, weights, most } = taps(width, newWidth);
  const result = new Uint8Array(height * newWidth * channels);
  let to = 0;
  for (let y = 0; y < height; y++) {
    const row = y * width * channels;
    for (let x = 0; x < newWidth; x++) {
      const start = row + first[x] * channels;
      const n = count[x];
      for (let c = 0; c < channels; c++) {
        let sum = HALF;
        for (let i = 0, at = start + c, w = x * most; i < n; i++, at += channels, w++) {
          sum += pixels[at] * weights[w];
        }
        result[to++] = clip(sum >> PRECISION);
      }
    }
  }
  return result;
}

/** stride: values in a row. */
function alongColumns(
  pixels: Uint8Array,
  height: number,
  stride: number,
  newHeight: number,
): Uint8Array {
  const { first, count, weights, most } = taps(height, newHeight);
  const result = new Uint8Array(newHeight * stride);
  const sums = new Int32Array(stride);
  for (let y = 0; y < newHeight; y++) {
    sums.fill(HALF);
    for (let i = 0; i < count[y]; i++) {
      const weight = weights[y * most + i];
      const row = (first[y] + i) * stride;
      for (let x = 0; x < stride; x++) sums[x] += pixels[row + x] * weight;
    }
    const to = y * stride;
    for (let x = 0; x < stride; x++) result[to + x] = clip(sums[x] >> PRECISION);
  }
  return result;
}

const clip = (value: number) => (value < 0 ? 0 : value > 255 ? 255 : value);
