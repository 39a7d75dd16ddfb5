// The loaded bundle, as all parts of the page see it: graphs in the worker, the threshold in force.

import type { CalibrationRecord } from "../core/calibration";
import { judges, type Manifest, type Precision, precisions } from "../core/manifest";
import type { Picture } from "../core/preprocess";
import { Engine } from "../engine/engine";
import type { Verdict } from "../engine/runner";
import { FRESH, localCalibration, read, saveSettings, setLocalCalibration, settings, write } from "./settings";

export class Model extends EventTarget {
  private constructor(
    readonly engine: Engine,
    readonly manifest: Manifest,
    public precision: Precision,
    public calibration: CalibrationRecord,
  ) {
    super();
  }

  static async open(): Promise<Model> {
    const engine = new Engine();
    const address = (folder: string) => new URL(folder, location.href).href;
    const manifest = await engine.ask("open", {
      bundle: address("bundle/"),
      runtime: address("runtime/"),
      fresh: read(FRESH) ?? false,
    });
    write(FRESH, null);
    // Without a detector there is nothing to judge by, and nobody who asks for a precision.
    if (!judges(manifest)) return new Model(engine, manifest, "float32", NO_CALIBRATION);
    const have = precisions(manifest);
    const precision = settings.precision && have.includes(settings.precision) ? settings.precision : have[0];
    await engine.ask("load", { precision });
    return new Model(engine, manifest, precision, inForce(manifest, precision));
  }

  check(picture: Picture): Promise<Verdict> {
    return this.engine.ask("check", { picture, calibration: this.calibration }, [picture.data.buffer as ArrayBuffer]);
  }

  async use(precision: Precision): Promise<void> {
    await this.engine.ask("load", { precision });
    this.precision = precision;
    this.calibration = inForce(this.manifest, precision);
    settings.precision = precision;
    saveSettings();
    this.changed();
  }

  /** Sets the threshold of the precision in use; null goes back to the bundle's. */
  recalibrate(record: CalibrationRecord | null): void {
    setLocalCalibration(this.manifest.digest, this.precision, record);
    this.calibration = record ?? this.manifest.calibration[this.precision]!;
    this.changed();
  }

  /** Whether the threshold in force was set here. */
  get local(): boolean {
    return this.calibration !== this.manifest.calibration[this.precision];
  }

  private changed(): void {
    this.dispatchEvent(new Event("change"));
  }
}

const NO_CALIBRATION: CalibrationRecord = { scores: [], rate: 0, threshold: 0, warn_threshold: 0, method: "", groups: [] };

function inForce(manifest: Manifest, precision: Precision): CalibrationRecord {
  return localCalibration(manifest.digest, precision) ?? manifest.calibration[precision]!;
}
