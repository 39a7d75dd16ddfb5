// The one call: a picture in, a verdict out. `edge/runner.py` once more.

import type { Bundle } from "../core/bundle";
import { type CalibrationRecord, label, type Label, pValue } from "../core/calibration";
import { BundleError } from "../core/errors";
import { graphOf, type Manifest, type Precision, scoreOf } from "../core/manifest";
import { type Picture, preprocess } from "../core/preprocess";
import { limit, MAP, type Outputs, type ScoreSpec } from "../core/score";
import { judgeTiles, Tiling } from "../core/tiles";
import { Graph } from "./graph";

/** What is known of one picture; see `edge.runner.Verdict`. */
export interface Verdict {
  score: number;
  pValue: number;
  label: Label;
  heatmap: Float32Array; // (height, width) of the input spec
  limit: number; // of the heat map
  reconstruction: Float32Array; // (height, width, channels), in [0, 1]
  threshold: number;
  ms: number; // from the decoded picture to the verdict
}

export class Runner {
  private constructor(
    readonly manifest: Manifest,
    readonly calibration: CalibrationRecord,
    private readonly graph: Graph,
    private readonly spec: ScoreSpec,
    private readonly tiling: Tiling,
  ) {}

  static async load(bundle: Bundle, precision: Precision): Promise<Runner> {
    const { manifest } = bundle;
    const calibration = manifest.calibration[precision];
    if (!calibration) throw new BundleError("missing", `The bundle holds no calibration for ${precision}.`);
    const graph = await Graph.load(await bundle.read(graphOf(manifest, "detector", precision)));
    const [, tileHeight, tileWidth] = graph.inputShape("image");
    const { height, width } = manifest.input;
    const tiling = new Tiling(height, width, tileHeight, tileWidth);
    return new Runner(manifest, calibration, graph, scoreOf(manifest, precision), tiling);
  }

  /** calibration: in place of the bundle's, where a threshold was set here. */
  async check(picture: Picture, calibration = this.calibration): Promise<Verdict> {
    const start = performance.now();
    const outputs = await this.look(preprocess(picture, this.manifest.input));
    const [heatmap, score] = judgeTiles(outputs, this.spec, this.tiling);
    return {
      score,
      pValue: pValue(calibration, score),
      label: label(calibration, score),
      heatmap,
      limit: limit(this.spec, calibration.threshold),
      reconstruction: this.joined(outputs, "reconstruction", this.manifest.input.channels),
      threshold: calibration.threshold,
      ms: performance.now() - start,
    };
  }

  /** What the graph gives for each tile. prepared: of the input spec's shape. */
  async look(prepared: Uint8Array): Promise<Outputs[]> {
    const outputs: Outputs[] = [];
    for (const tile of this.cut(prepared)) outputs.push(await this.graph.run({ image: tile }));
    return outputs;
  }

  cut(prepared: Uint8Array): Uint8Array[] {
    return this.tiling.cut(prepared, this.manifest.input.channels);
  }

  /** The score and the map as the graph gives it, for golden vectors. */
  judged(outputs: Outputs[]): { score: number; map: Float32Array } {
    const [, score] = judgeTiles(outputs, this.spec, this.tiling);
    return { score, map: this.joined(outputs, MAP) };
  }

  delete(): void {
    this.graph.delete();
  }

  private joined(outputs: Outputs[], name: string, channels = 1): Float32Array {
    return this.tiling.join(outputs.map((tile) => tile[name]), channels);
  }
}

