// What page and worker say to each other. Each question has one answer with its number; lines of a
// self-test come in between.

import type { CalibrationRecord } from "../core/calibration";
import type { Manifest, Precision } from "../core/manifest";
import type { Picture } from "../core/preprocess";
import type { Verdict } from "./runner";
import type { Line } from "./selftest";

export interface Questions {
  /** Opens the bundle and loads the runtime; addresses end in "/". fresh: see `Bundle.open`. */
  open: { ask: { bundle: string; runtime: string; fresh: boolean }; answer: Manifest };
  /** Loads the detector of a precision. */
  load: { ask: { precision: Precision }; answer: null };
  /** Judges a picture, whose pixels move to the worker. */
  check: { ask: { picture: Picture; calibration: CalibrationRecord }; answer: Verdict };
  /** A picture from a code, of a class where the decoder knows of any. Returns (height, width, channels) in [0, 1]. */
  decode: { ask: { z: Float32Array; precision: Precision; label: number | null }; answer: { image: Float32Array; shape: number[] } };
  /** The code of a picture: z_mean of its first tile. */
  encode: { ask: { picture: Picture; precision: Precision; label: number | null }; answer: Float32Array };
  /** Codes of the golden pictures; none where the bundle has none. */
  codes: { ask: Record<string, never>; answer: Float32Array[] };
  selftest: { ask: Record<string, never>; answer: Line[] };
  memory: { ask: Record<string, never>; answer: number };
}

export type Name = keyof Questions;

export interface Question<N extends Name = Name> {
  id: number;
  name: N;
  ask: Questions[N]["ask"];
}

/** An error crosses as its parts: classes are lost on the way. */
export interface Failure {
  name: string;
  message: string;
  kind?: string;
}

export type Answer = { id: number; answer: unknown } | { id: number; failure: Failure };
