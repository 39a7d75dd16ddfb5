// From the verdicts of single frames to decisions: `edge/station/judgement.py`'s vote, without the
// hysteresis that a line wants and a hand-held phone does not.

import type { Label } from "./calibration";

export class Vote {
  private last: Label[] = [];

  /** FAIL where at least `votes` of the last `of` frames failed; WARN where as many warned or failed. */
  constructor(
    readonly votes: number,
    readonly of: number,
  ) {}

  /** The decision as of this frame. */
  decide(verdict: Label): Label {
    this.last = [...this.last, verdict].slice(-this.of);
    const fails = this.last.filter((v) => v === "fail").length;
    if (fails >= this.votes) return "fail";
    const warns = this.last.filter((v) => v === "warn").length;
    return fails + warns >= this.votes ? "warn" : "pass";
  }

  /** How many frames have voted, at most `of`. */
  get frames(): number {
    return this.last.length;
  }

  /** Another part is before the camera. */
  clear(): void {
    this.last = [];
  }
}
