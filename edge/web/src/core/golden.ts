// Golden vectors: what the graphs gave where they were made, to be seen again here.
// `edge/golden.py` once more; its tolerances are explained there.

import { graphOf, type Manifest, type Precision, scoreOf } from "./manifest";
import { readNpz, type Values } from "./npz";
import type { Picture } from "./preprocess";

export const GOLDEN = "golden.npz";
const FLOAT_TOLERANCE = 1e-4;

export type GoldenOutput = "score" | "anomaly_map" | "z_mean" | "image";
export type GoldenOutputs = Record<GoldenOutput, ArrayLike<number>>;

export interface Golden {
  pictures: Picture[];
  z: Float32Array[];
  expected: Partial<Record<Precision, GoldenOutputs>>;
}

export async function readGolden(content: Uint8Array): Promise<Golden> {
  const arrays = await readNpz(content);
  const pictures: Picture[] = [];
  for (let i = 0; arrays.has(`picture_${i}`); i++) pictures.push(rgba(arrays.get(`picture_${i}`)!));
  const codes = arrays.get("z")!;
  const z = Array.from({ length: codes.shape[0] }, (_, i) =>
    Float32Array.from(codes.data.subarray(i * codes.shape[1], (i + 1) * codes.shape[1])),
  );
  const expected: Golden["expected"] = {};
  for (const precision of ["float32", "int8"] as const) {
    const of = (name: GoldenOutput) => arrays.get(`${precision}/${name}`)?.data;
    const [score, map, mean, image] = [of("score"), of("anomaly_map"), of("z_mean"), of("image")];
    if (score && map && mean && image) expected[precision] = { score, anomaly_map: map, z_mean: mean, image };
  }
  return { pictures, z, expected };
}

/** Where golden outputs and those computed here differ: one line each, none if they agree. */
export function compare(manifest: Manifest, precision: Precision, golden: Golden, got: GoldenOutputs): string[] {
  const expected = golden.expected[precision];
  const float = golden.expected.float32;
  if (!expected || !float) return [`${GOLDEN} holds nothing for ${precision}`];
  const int8 = precision === "int8";
  const steps: [GoldenOutput, number][] = [
    ["anomaly_map", graphOf(manifest, "detector", precision).outputs.anomaly_map.step ?? 0],
    ["z_mean", graphOf(manifest, "encoder", precision).outputs.z_mean.step ?? 0],
    ["image", graphOf(manifest, "decoder", precision).outputs.image.step ?? 0],
  ];
  const allowed = steps.map(([name, step]): [GoldenOutput, number] => [
    name,
    mayDiffer(expected[name], int8 ? { step, float: float[name] } : null),
  ]);
  const ofMap = allowed[0][1];
  allowed.push(["score", int8 ? ofMap + 2 * (rms(expected.score, float.score) + moved(manifest, precision)) : ofMap]);
  const differences: string[] = [];
  for (const [name, limit] of allowed) {
    const difference = differenceOf(expected[name], got[name], int8);
    if (!(difference <= limit)) {
      differences.push(`${name} differs by ${difference.toPrecision(3)}, allowed is ${limit.toPrecision(3)}`);
    }
  }
  return differences;
}

/** By how much outputs may differ. int8: the quantisation step, and what float32 gave; null for float32. */
export function mayDiffer(expected: ArrayLike<number>, int8: { step: number; float: ArrayLike<number> } | null): number {
  const range = FLOAT_TOLERANCE * Math.max(1, largest(expected));
  return int8 ? range + int8.step + 2 * rms(expected, int8.float) : range;
}

export function differenceOf(expected: ArrayLike<number>, got: ArrayLike<number>, int8: boolean): number {
  return (int8 ? rms : largestDifference)(expected, got);
}

/** What other knees alone may change of a score. */
function moved(manifest: Manifest, precision: Precision): number {
  const { knees, weights } = manifest.score!;
  const other = scoreOf(manifest, precision).knees;
  return Object.keys(knees).reduce((sum, n) => sum + (weights[n] ?? 1) * Math.abs(other[n] - knees[n]), 0);
}

function rgba({ shape, data }: Values): Picture {
  const [height, width, channels = 1] = shape;
  const pixels = new Uint8Array(height * width * 4).fill(255);
  for (let i = 0; i < height * width; i++) {
    for (let c = 0; c < 3; c++) pixels[4 * i + c] = data[i * channels + (c % channels)];
  }
  return { width, height, data: pixels };
}

const largest = (values: ArrayLike<number>) => fold(values, (most, v) => Math.max(most, Math.abs(v)));

function rms(a: ArrayLike<number>, b: ArrayLike<number>): number {
  return Math.sqrt(fold(a, (sum, v, i) => sum + (v - b[i]) ** 2) / a.length);
}

function largestDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  return fold(a, (most, v, i) => Math.max(most, Math.abs(v - b[i])));
}

function fold(values: ArrayLike<number>, step: (so: number, value: number, i: number) => number): number {
  let result = 0;
  for (let i = 0; i < values.length; i++) result = step(result, values[i], i);
  return result;
}
