// Thresholds from the scores of good pictures alone: `edge/calibration.py` once more.

import { CalibrationError } from "./errors";

export const MIN_SCORES = 8;
const WARN_FACTOR = 5;
const CONFORMAL = "conformal";
const TAIL = "Pareto tail";
const MIN_TAIL = 4;
const EXACT = 1e-9; // more than rounding
const LARGEST = 500; // of which the exponential is no infinity yet

export type Label = "pass" | "warn" | "fail";

/** The fields of a bundle's manifest. scores: of good pictures, ascending. groups: of each, or none. */
export interface CalibrationRecord {
  scores: number[];
  rate: number;
  threshold: number;
  warn_threshold: number;
  method: string;
  groups: number[];
}

/** How rare a score as high as this is among good pictures, in (0, 1]. */
export function pValue({ scores, groups, method }: CalibrationRecord, score: number): number {
  const good = new Good(scores, groups);
  const finite = Number.isNaN(score) ? Infinity : score;
  if (method === TAIL) {
    const tail = new Tail(good);
    if (finite > tail.start) return tail.pValue(finite);
  }
  return good.pValue(finite);
}

/** A score that is no number fails. */
export function label({ warn_threshold, threshold }: CalibrationRecord, score: number): Label {
  if (score <= warn_threshold) return "pass";
  return score <= threshold ? "warn" : "fail";
}

/** One line for a person: how the threshold came about. */
export function note({ scores, groups, rate, method }: CalibrationRecord): string {
  const n = new Set(groups).size || scores.length;
  const what = groups?.length ? `groups of good pictures (${scores.length} pictures)` : "good pictures";
  if (method === CONFORMAL) return `conformal, ${n} ${what}`;
  const needed = Math.ceil(1 / rate) - 1;
  return (
    `${n} ${what} are too few for a false-alarm rate of ${rate} (${needed} needed): ` +
    "the threshold comes from a Pareto tail fitted to the scores, " +
    `and lets more defects pass; take more good pictures${groups?.length ? " of other parts" : ""}, or a higher rate`
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
  const good = new Good(ordered);
  const method = good.least <= rate + EXACT ? CONFORMAL : TAIL;
  const threshold = thresholdFor(good, rate, method);
  const warn = thresholdFor(good, Math.min(0.5, WARN_FACTOR * rate), method);
  return { scores: ordered, rate, threshold, warn_threshold: Math.min(warn, threshold), method, groups: [] };
}

/** The score with a p-value of `rate`, by the same method as `pValue`. */
function thresholdFor(good: Good, rate: number, method: string): number {
  if (method === TAIL) {
    const tail = new Tail(good);
    if (rate < tail.mass) return tail.scoreAt(rate);
  }
  return good.scoreAt(rate);
}

/** Scores of good pictures, ascending, and of each what it and all above it weigh. */
class Good {
  readonly above: number[];
  readonly total: number;
  /** The least p-value that a score can have. */
  readonly least: number;

  /** groups: none, also in what a phone kept from before there were any. */
  constructor(
    readonly scores: number[],
    groups: number[] = [],
  ) {
    const sizes = new Map<number, number>();
    groups.forEach((g) => sizes.set(g, (sizes.get(g) ?? 0) + 1));
    const few = sizes.size < MIN_SCORES ? MIN_SCORES / scores.length : 0; // no tail can be fitted to so few
    let sum = 0;
    this.above = scores
      .map((_, i) => (sizes.size ? few || 1 / sizes.get(groups[i])! : 1))
      .reverse()
      .map((weight) => (sum += weight))
      .reverse();
    this.total = sum;
    this.least = 1 / (this.total + 1);
  }

  pValue(score: number): number {
    const first = this.scores.findIndex((s) => s >= score);
    return Math.min(1, (1 + (first < 0 ? 0 : this.above[first])) * this.least);
  }

  /** The highest score whose p-value lies above `rate`. */
  scoreAt(rate: number): number {
    let common = this.scores.length - 1;
    while (!((1 + this.above[common]) * this.least > rate + EXACT)) common--;
    return this.scores[common];
  }
}

/** A Pareto tail over the highest scores; see `edge.calibration._Tail`. */
class Tail {
  readonly start: number;
  readonly mass: number;
  private readonly k: number;
  private readonly unit: number;
  private readonly logSum: number;
  private readonly sure: number;

  constructor({ scores, above, total, least }: Good) {
    const most = Math.max(MIN_TAIL, Math.ceil(Math.sqrt(total)));
    let first = scores.length;
    while (!(above[first - 1] > most + EXACT)) first--;
    this.start = scores[first - 1];
    this.k = above[first];
    const excess = scores.slice(first).map((s) => s - this.start);
    const weighted = (values: number[]) =>
      values.reduce((sum, v, i) => sum + v * (above[first + i] - (above[first + i + 1] ?? 0)), 0);
    // Equal scores leave no scale: anything above them is then as rare as can be said.
    this.unit = Math.max((weighted(excess) * 2) / this.k, 1e-9 * Math.max(1, Math.abs(this.start)));
    this.logSum = Math.max(weighted(excess.map((e) => Math.log1p(e / this.unit))), 1e-9);
    this.mass = (1 + this.k) * least;
    this.sure = this.k * (1 - 1 / (9 * this.k) - 1.645 / (3 * Math.sqrt(this.k))) ** 3;
  }

  pValue(score: number): number {
    if (!(score < Infinity)) return 0;
    const value = Math.log1p((score - this.start) / this.unit) / this.logSum;
    return this.mass * Math.max((1 + value) ** -this.k, Math.exp(-value * this.sure) / 2);
  }

  scoreAt(rate: number): number {
    const predicted = (this.mass / rate) ** (1 / this.k) - 1;
    const surely = Math.log(this.mass / (2 * rate)) / this.sure;
    const value = this.logSum * Math.max(predicted, surely);
    return this.start + this.unit * Math.expm1(Math.min(value, LARGEST));
  }
}
