// The anomaly map as colours to lay over a picture: `edge/heatmap.py`'s, clear below half the limit,
// red from there up.

// Yellow through red to dark red.
const COLOURS = [
  [255, 237, 110],
  [254, 168, 50],
  [240, 70, 35],
  [165, 0, 38],
];
const OPAQUE = 0.75;
const STEPS = 255;

/** RGBA for each strength of 0 to 255, not premultiplied. */
const TABLE = new Uint8ClampedArray((STEPS + 1) * 4);
for (let i = 0; i <= STEPS; i++) {
  const at = (i / STEPS) * (COLOURS.length - 1);
  const from = Math.min(COLOURS.length - 2, Math.floor(at));
  const part = at - from;
  for (let c = 0; c < 3; c++) TABLE[4 * i + c] = COLOURS[from][c] * (1 - part) + COLOURS[from + 1][c] * part;
  TABLE[4 * i + 3] = 255 * OPAQUE * Math.min(1, (3 * i) / STEPS);
}

/** heatmap: (height, width) in units of `limit`. Returns: RGBA of the same size. */
export function coloured(heatmap: Float32Array, limit: number): Uint8ClampedArray<ArrayBuffer> {
  const pixels = new Uint8ClampedArray(heatmap.length * 4);
  for (let i = 0; i < heatmap.length; i++) {
    const strength = Math.min(1, Math.max(0, heatmap[i] / Math.max(limit, 1e-12) - 0.5));
    const at = 4 * Math.round(strength * STEPS);
    pixels.set(TABLE.subarray(at, at + 4), 4 * i);
  }
  return pixels;
}
