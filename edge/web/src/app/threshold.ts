// A threshold of this device's own, from good parts as this camera sees them: `edge calibrate`.

import { calibrate, MIN_SCORES, note } from "../core/calibration";
import type { Check } from "./check";
import { byId, setText, setTerms } from "./dom";
import { number } from "./format";
import type { Model } from "./model";
import { pixels, readPicture } from "./picturefile";
import { message, toast } from "./toast";

export class Threshold {
  private scores: number[] = [];
  private readonly rate = byId<HTMLInputElement>("rate");

  constructor(
    private readonly model: Model,
    private readonly check: Check,
    private readonly go: (view: string) => void,
  ) {
    byId("good").addEventListener("click", () => this.take());
    byId("taking-done").addEventListener("click", () => this.done());
    const pictures = byId<HTMLInputElement>("good-pictures");
    pictures.disabled = false;
    pictures.addEventListener("change", async () => {
      const files = [...(pictures.files ?? [])];
      pictures.value = "";
      await this.files(files);
    });
    byId("apply").addEventListener("click", () => this.apply());
    byId("discard").addEventListener("click", () => this.drop());
    byId("restore").addEventListener("click", () => model.recalibrate(null));
    this.rate.addEventListener("input", () => this.say());
    model.addEventListener("change", () => {
      this.drop(); // scores of one precision say nothing of the other
      this.show();
    });
    this.show();
  }

  /** From now on the big button takes good parts. */
  private async take(): Promise<void> {
    this.go("check");
    byId("taking").hidden = false;
    this.say();
    await this.check.giveTo((verdict) => {
      this.scores.push(verdict.score);
      this.say();
    });
  }

  private async done(): Promise<void> {
    byId("taking").hidden = true;
    await this.check.giveTo(null);
    this.go("setup");
  }

  private async files(files: File[]): Promise<void> {
    let unread = 0;
    for (const file of files) {
      try {
        const picture = await readPicture(file);
        const verdict = await this.model.check(pixels(picture, [0, 0, picture.width, picture.height]));
        picture.close();
        this.scores.push(verdict.score);
      } catch {
        unread++;
      }
      this.say();
    }
    if (unread) toast(`${unread} of ${files.length} could not be read and were left out.`, true);
  }

  private apply(): void {
    try {
      const record = calibrate(this.scores, Number(this.rate.value) / 100);
      this.model.recalibrate(record);
      toast(`The threshold is now ${number(record.threshold)}.`);
    } catch (error) {
      toast(message(error), true);
    }
  }

  private drop(): void {
    this.scores = [];
    this.say();
  }

  private say(): void {
    const n = this.scores.length;
    byId<HTMLButtonElement>("apply").disabled = n < MIN_SCORES;
    byId<HTMLButtonElement>("discard").disabled = n === 0;
    setText(byId("good-text"), this.told(n));
    const left = n < MIN_SCORES ? ` of at least ${MIN_SCORES}` : "";
    setText(byId("taking-text"), `Frame a good part and press. ${n}${left} taken.`);
  }

  private told(n: number): string {
    if (!n) return `No good parts taken yet; at least ${MIN_SCORES} are needed.`;
    const taken = `${n} good part${n === 1 ? "" : "s"} taken, highest score ${number(Math.max(...this.scores))}`;
    if (n < MIN_SCORES) return `${taken}; ${MIN_SCORES - n} more ${n === MIN_SCORES - 1 ? "is" : "are"} needed.`;
    try {
      const record = calibrate(this.scores, Number(this.rate.value) / 100);
      return `${taken}. The threshold would be ${number(record.threshold)}: ${note(record)}.`;
    } catch (error) {
      return `${taken}: ${message(error)}.`;
    }
  }

  private show(): void {
    const { calibration, local, manifest, precision } = this.model;
    const bundled = manifest.calibration[precision]!;
    const rows: [string, string][] = [
      ["In force", `${number(calibration.threshold)}${local ? ", set here" : ", the bundle’s"}`],
      ["Set by", note(calibration)],
      ["False alarms", `${number(100 * calibration.rate)} %`],
    ];
    if (local) rows.push(["The bundle’s", number(bundled.threshold)]);
    setTerms(byId("threshold"), rows);
    this.rate.value = String(Number((100 * calibration.rate).toPrecision(6)));
    byId<HTMLButtonElement>("restore").disabled = !local;
  }
}
