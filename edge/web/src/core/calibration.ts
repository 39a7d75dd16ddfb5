// Thresholds from the scores of good pictures alone: `edge/calibration.py` once more.

import { CalibrationError } from "./errors";

export const MIN_SCORES = 8;
const WARN_FACTOR = 5;
const CONFORMAL = "conformal";
const TAIL = "Pareto tail";
const LARGEST = 500; // of which the exponential is no infinity yet

export type Label = "pass" | "warn" | "fail";

/** The fields of a bundle's manifest. scores: of good pictures, ascending. */
export interface CalibrationRecord {
  scores: number[];
  rate: number;
  threshold: number;
  warn_threshold: number;
  method: string;
}

/** How rare a score as high as this is among good pictures, in (0, 1]. */
export function pValue({ scores, method }: CalibrationRecord, score: number): number {
  const finite = Number.isNaN(score) ? Infinity : score;
  if (method === TAIL) {
    const tail = new Tail(scores);
    if (finite > tail.start) return tail.pValue(finite);
  }
  const atLeast = scores.reduce((n, s) => n + (s >= finite ? 1 : 0), 0);
  return (1 + atLeast) / (scores.length + 1);
}

/** A score that is no number fails. */
export function label({ warn_threshold, threshold }: CalibrationRecord, score: number): Label {
  if (score <= warn_threshold) return "pass";
  return score <= threshold ? "warn" : "fail";
}

/** One line for a person: how the threshold came about. */
export function note({ scores, rate, method }: CalibrationRecord): string {
  const n = scores.length;
  if (method === CONFORMAL) return `conformal, ${n} good pictures`;
  const needed = Math.ceil(1 / rate) - 1;
  return (
    `${n} good pictures are too few for a false-alarm rate of ${rate} (${needed} needed): ` +
    "the threshold comes from a Pareto tail fitted to the scores, " +
    "and lets more defects pass; take more good pictures, or a higher rate"
  );
}

/**
 * Sets the threshold for a false-alarm rate.
 *
 * scores: of at least 8 good pictures, in any order. rate: in (0, 0.5].
 */
export function calibrate(scores: number[], rate: number): CalibrationRecord {
  if (!(rate > 0 && rate <= 0.5)) {
    throw new CalibrationError(`expected a false-alarm rate in (0, 0.5], got ${rate}`);
  }
  if (scores.length < MIN_SCORES) {
    throw new CalibrationError(
      `expected at least ${MIN_SCORES} good pictures to set a threshold, got ${scores.length}`,
    );
  }
  if (!scores.every(Number.isFinite)) {
    throw new CalibrationError("expected finite scores, got NaN or infinity; train again");
  }
  const ordered = [...scores].sort((a, b) => a - b);
  const method = allowed(ordered.length, rate) >= 0 ? CONFORMAL : TAIL;
  const threshold = thresholdFor(ordered, rate, method);
  const warn = thresholdFor(ordered, Math.min(0.5, WARN_FACTOR * rate), method);
  return { scores: ordered, rate, threshold, warn_threshold: Math.min(warn, threshold), method };
}

/** How many calibration scores may reach a score that still fails; below 0: none can fail. */
const allowed = (n: number, rate: number) => Math.floor(rate * (n + 1) + 1e-9) - 1;

/** The score with a p-value of `rate`, by the same method as `pValue`. */
function thresholdFor(scores: number[], rate: number, method: string): number {
  if (method === TAIL) {
    const tail = new Tail(scores);
    if (rate < tail.mass) return tail.scoreAt(rate);
  }
  return scores[scores.length - 1 - allowed(scores.length, rate)];
}

/** A Pareto tail over the upper third of the scores; see `edge.calibration._Tail`. */
class Tail {
  readonly start: number;
  readonly mass: number;
  private readonly k: number;
  private readonly unit: number;
  private readonly logSum: number;

  constructor(scores: number[]) {
    const n = scores.length;
    this.k = Math.max(4, Math.ceil(n / 3));
    this.start = scores[n - this.k - 1];
    const excess = scores.slice(n - this.k).map((s) => s - this.start);
    const total = (values: number[]) => values.reduce((sum, v) => sum + v, 0);
    // Equal scores leave no scale: anything above them is then as rare as can be said.
    this.unit = Math.max(total(excess) / this.k, 1e-9 * Math.max(1, Math.abs(this.start)));
    this.logSum = Math.max(total(excess.map((e) => Math.log1p(e / this.unit))), 1e-9);
    this.mass = (this.k + 1) / (n + 1);
  }

  pValue(score: number): number {
    if (!(score < Infinity)) return 0;
    const value = Math.log1p((score - this.start) / this.unit);
    return this.mass * (1 + value / this.logSum) ** -this.k;
  }

  scoreAt(rate: number): number {
    const value = this.logSum * ((this.mass / rate) ** (1 / this.k) - 1);
    return this.start + this.unit * Math.expm1(Math.min(value, LARGEST));
  }
}
