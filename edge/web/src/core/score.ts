// From what the detector graph gives to one number: `edge/score.py` once more, where it is explained.
// Higher means more anomalous. Arrays of float32 round after each step here as they do in NumPy.

import { roundHalfEven } from "./round";

export const MAP = "anomaly_map";
const SHARPNESS = 3; // of the knees

/** How the graph's outputs become a score; see `edge.score.ScoreSpec`. */
export interface ScoreSpec {
  window: number;
  top: number;
  knees: Record<string, number>;
  weights: Record<string, number>;
}

/** What a detector graph gives for one tile, by name; the map is (height, width). */
export type Outputs = Record<string, Float32Array>;

/** How high each part of the score reaches. */
export type Heights = Record<string, number>;

/** The height of the map's part that alone would make a score of `threshold`. */
export function limit(spec: ScoreSpec, threshold: number): number {
  if (!(MAP in spec.knees)) return threshold;
  let beyond = Math.max((SHARPNESS * threshold) / (spec.weights[MAP] ?? 1), 1e-6);
  // The inverse of `excess`; for large values it is the value itself.
  beyond = beyond > 30 ? beyond : Math.log(Math.expm1(beyond));
  return spec.knees[MAP] + beyond / SHARPNESS;
}

/** Root mean square over a window around each pixel; at the border over what lies inside. */
export function smooth(
  map: Float32Array,
  height: number,
  width: number,
  window: number,
): Float32Array {
  let values = map.map((v) => v * v);
  if (window > 1) {
    values = meansOfColumns(values, height, width, window);
    values = meansOfRows(values, height, width, window);
  }
  return values.map(Math.sqrt);
}

function meansOfColumns(values: Float32Array, height: number, width: number, window: number) {
  const sums = values.slice();
  for (let shift = 1; shift <= reach(window, height); shift++) {
    const by = shift * width;
    for (let i = 0; i < values.length - by; i++) sums[i] += values[i + by];
    for (let i = by; i < values.length; i++) sums[i] += values[i - by];
  }
  const inverse = inverseCounts(height, window);
  return sums.map((sum, i) => sum * inverse[Math.floor(i / width)]);
}

function meansOfRows(values: Float32Array, height: number, width: number, window: number) {
  const sums = values.slice();
  for (let shift = 1; shift <= reach(window, width); shift++) {
    for (let y = 0; y < height; y++) {
      const start = y * width;
      const end = start + width;
      for (let i = start; i < end - shift; i++) sums[i] += values[i + shift];
      for (let i = start + shift; i < end; i++) sums[i] += values[i - shift];
    }
  }
  const inverse = inverseCounts(width, window);
  return sums.map((sum, i) => sum * inverse[i % width]);
}

const reach = (window: number, n: number) => Math.min(Math.floor(window / 2), n - 1);

function inverseCounts(n: number, window: number): Float32Array {
  const far = Math.floor(window / 2);
  return Float32Array.from(
    { length: n },
    (_, at) => 1 / (Math.min(at + far, n - 1) - Math.max(at - far, 0) + 1),
  );
}

/** The heat map, and the mean over its most anomalous pixels. */
export function scoreMap(
  map: Float32Array,
  height: number,
  width: number,
  spec: ScoreSpec,
): [Float32Array, number] {
  const heatmap = smooth(map, height, width, spec.window);
  const count = Math.max(1, roundHalfEven(spec.top * heatmap.length));
  // A typed array sorts numbers as numbers, NaN last, as NumPy does.
  const highest = heatmap.slice().sort().subarray(heatmap.length - count);
  return [heatmap, highest.reduce((sum, v) => sum + v, 0) / count];
}

/** The heat map, and how high each part of the score reaches. */
export function heights(
  outputs: Outputs,
  height: number,
  width: number,
  spec: ScoreSpec,
): [Float32Array, Heights] {
  const [heatmap, ofMap] = scoreMap(outputs[MAP], height, width, spec);
  const of: Heights = { [MAP]: ofMap };
  for (const name of Object.keys(spec.knees)) if (name !== MAP) of[name] = length(outputs[name]);
  return [heatmap, of];
}

/** The score of a picture from the heights of its tiles: of each part, the highest counts. */
export function total(parts: Heights[], spec: ScoreSpec): number {
  const highest = (name: string) => Math.max(...parts.map((tile) => tile[name]));
  const knees = Object.entries(spec.knees);
  if (!knees.length) return highest(MAP);
  return knees.reduce(
    (sum, [name, knee]) => sum + (spec.weights[name] ?? 1) * excess(highest(name) - knee),
    0,
  );
}

function length(vector: Float32Array): number {
  return Math.sqrt(vector.reduce((sum, v) => sum + v * v, 0));
}

/** About 0 below the knee, about `beyond` above it, and smooth between, so that ranks remain. */
function excess(beyond: number): number {
  const x = SHARPNESS * beyond;
  return (Math.max(0, x) + Math.log1p(Math.exp(-Math.abs(x)))) / SHARPNESS;
}
