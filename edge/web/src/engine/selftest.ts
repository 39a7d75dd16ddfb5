// Is the bundle whole, and does this browser compute what it should? `edge selftest` once more.

import type { Bundle } from "../core/bundle";
import { compare, GOLDEN, type GoldenOutputs, readGolden } from "../core/golden";
import { graphOf, type Precision, precisions, type Role } from "../core/manifest";
import { preprocess } from "../core/preprocess";
import { Graph } from "./graph";
import { Runner } from "./runner";

export interface Line {
  ok: boolean;
  text: string;
}

/** Calls back with each line as it is known. */
export async function selftest(bundle: Bundle, say: (line: Line) => void): Promise<void> {
  const entry = bundle.manifest.files[GOLDEN];
  if (!entry) return say({ ok: false, text: `The bundle has no ${GOLDEN}.` });
  const golden = await readGolden(await bundle.read(entry));
  for (const precision of precisions(bundle.manifest)) {
    const differences = await difference(bundle, precision, golden).catch((error) => [String(error.message)]);
    const text = differences.length ? differences.join("; ") : `${golden.pictures.length} pictures agree`;
    say({ ok: differences.length === 0, text: `Golden vectors, ${precision}: ${text}` });
  }
}

async function difference(bundle: Bundle, precision: Precision, golden: Awaited<ReturnType<typeof readGolden>>) {
  return compare(bundle.manifest, precision, golden, await outputs(bundle, precision, golden));
}

/** What the three graphs of a precision give for the golden pictures and codes. */
async function outputs(
  bundle: Bundle,
  precision: Precision,
  { pictures, z }: Awaited<ReturnType<typeof readGolden>>,
): Promise<GoldenOutputs> {
  const load = async (role: Role) => Graph.load(await bundle.read(graphOf(bundle.manifest, role, precision)));
  const runner = await Runner.load(bundle, precision);
  const encoder = await load("encoder");
  const decoder = await load("decoder");
  try {
    const got: Record<keyof GoldenOutputs, number[]> = { score: [], anomaly_map: [], z_mean: [], image: [] };
    for (const picture of pictures) {
      const prepared = preprocess(picture, bundle.manifest.input);
      const { score, map } = runner.judged(await runner.look(prepared));
      got.score.push(score);
      append(got.anomaly_map, map);
      append(got.z_mean, (await encoder.run({ image: runner.cut(prepared)[0] })).z_mean);
    }
    for (const code of z) append(got.image, (await decoder.run({ z: code })).image);
    return got;
  } finally {
    for (const graph of [runner, encoder, decoder]) graph.delete();
  }
}

function append(to: number[], values: Float32Array): void {
  for (const value of values) to.push(value);
}
