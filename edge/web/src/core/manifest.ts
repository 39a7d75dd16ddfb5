// The bundle's manifest, schema 1: `edge/manifest.py` once more.

import type { CalibrationRecord } from "./calibration";
import { BundleError } from "./errors";
import type { InputSpec } from "./preprocess";
import type { ScoreSpec } from "./score";
import { sha256 } from "./sha256";

export const SCHEMA = 1;
export const MANIFEST = "manifest.json";

export type Precision = "float32" | "int8";
export type Role = "detector" | "encoder" | "decoder";

export interface FileEntry {
  file: string;
  size: number;
  sha256: string;
}

export interface TensorRecord {
  shape: number[];
  dtype: string;
  step?: number; // of quantisation
}

/** A graph file and its tensors by name. */
export interface GraphEntry extends FileEntry {
  inputs: Record<string, TensorRecord>;
  outputs: Record<string, TensorRecord>;
}

export interface Manifest {
  digest: string;
  name: string;
  created: string;
  input: InputSpec;
  score: ScoreSpec | null; // null without a detector: the bundle generates, and judges nothing
  knees: Partial<Record<Precision, Record<string, number>>>; // in place of the score's
  graphs: Partial<Record<Role, Partial<Record<Precision, GraphEntry>>>>;
  calibration: Partial<Record<Precision, CalibrationRecord>>;
  files: Record<string, FileEntry>;
  quality: Record<string, Record<string, unknown>>;
  made_from: Record<string, unknown>;
  made_with: Record<string, unknown>;
}

/** Reads and checks the bytes of a manifest. Raises: BundleError. */
export async function parseManifest(content: Uint8Array): Promise<Manifest> {
  const record = parsed(content);
  if (record.schema !== SCHEMA) {
    throw new BundleError(
      "schema",
      `The bundle has schema ${JSON.stringify(record.schema)}, this site reads schema ${SCHEMA}. ` +
        "Export the site again with the version that made the bundle.",
    );
  }
  if (typeof record.digest !== "string" || (await digestOf(content, record.digest)) !== record.digest) {
    throw new BundleError("damaged", `${MANIFEST} is damaged or was changed by hand: its digest does not match.`);
  }
  try {
    return fields(record);
  } catch (error) {
    throw new BundleError("damaged", `${MANIFEST} lacks or misstates a field: ${(error as Error).message}.`);
  }
}

/** The graph of a role. Raises: BundleError naming what the bundle has where it lacks this one. */
export function graphOf(manifest: Manifest, role: Role, precision: Precision): GraphEntry {
  const entry = manifest.graphs[role]?.[precision];
  if (entry) return entry;
  const have = Object.entries(manifest.graphs).flatMap(([r, by]) => Object.keys(by).map((p) => `${r}.${p}`));
  throw new BundleError("missing", `The bundle has no ${role}.${precision}; it has ${have.sort().join(", ")}.`);
}

/** Whether pictures can be checked with it; else it only draws. */
export function judges(manifest: Manifest): boolean {
  return manifest.score !== null;
}

/** How the outputs of this precision's detector become a score. */
export function scoreOf(manifest: Manifest, precision: Precision): ScoreSpec {
  const score = manifest.score!;
  const own = manifest.knees[precision] ?? {};
  const knees = Object.entries(score.knees).map(([name, knee]) => [name, own[name] ?? knee]);
  return { ...score, knees: Object.fromEntries(knees) };
}

/** The precisions that pictures can be checked with, the best one first. */
export function precisions(manifest: Manifest): Precision[] {
  const order: Precision[] = ["int8", "float32"];
  return order.filter((p) => manifest.graphs.detector?.[p] && manifest.calibration[p]);
}

/** The names of the classes that the decoder is told of; none where it knows of none. */
export function classesOf(manifest: Manifest): string[] {
  const decoder = Object.values(manifest.graphs.decoder ?? {})[0];
  const names = manifest.made_from.classes;
  return decoder && "label" in decoder.inputs && Array.isArray(names) ? names.map(String) : [];
}

type Json = Record<string, unknown>;

function parsed(content: Uint8Array): Json {
  try {
    const record = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(content));
    if (record && typeof record === "object" && "schema" in record) return record;
  } catch {
    // said below
  }
  throw new BundleError("damaged", `${MANIFEST} is damaged: it is not a manifest.`);
}

/** Of the bytes with the first digest's digits replaced by zeros. */
async function digestOf(content: Uint8Array, digest: string): Promise<string> {
  if (!/^[\x21-\x7e]{64}$/.test(digest)) return "";
  // One character a byte, so that places in the text are places in the bytes.
  const at = new TextDecoder("latin1").decode(content).indexOf(digest);
  if (at < 0) return "";
  return sha256(content.slice().fill(0x30, at, at + 64));
}

function fields(record: Json): Manifest {
  const input = exactly(record.input, "input", ["kind", "dtype", "filter", "resize", "height", "width", "channels"]);
  const { kind, dtype, filter, resize } = input;
  if (kind !== "picture" || dtype !== "uint8" || filter !== "bilinear" || resize !== "stretch") {
    throw new Error(`input of another kind than this site prepares: ${JSON.stringify(input)}`);
  }
  const channels = number(input.channels, "input.channels");
  if (channels !== 1 && channels !== 3) throw new Error(`input.channels ${channels}`);
  const graphs = each(record.graphs, "graphs", (by, role) => each(by, role, graph));
  const detects = Object.keys(graphs.detector ?? {}).length > 0;
  if (!detects && !Object.keys(graphs.decoder ?? {}).length) throw new Error("neither detector nor decoder among the graphs");
  return {
    digest: record.digest as string,
    name: text(record.name, "name"),
    created: text(record.created, "created"),
    input: { height: number(input.height, "input.height"), width: number(input.width, "input.width"), channels },
    score: detects ? scoreSpec(record.score) : null,
    knees: each(record.knees ?? {}, "knees", (by, precision) => each(by, `knees.${precision}`, number)),
    graphs: graphs as Manifest["graphs"],
    calibration: each(record.calibration, "calibration", calibration) as Manifest["calibration"],
    files: each(record.files, "files", (f, name) => entry(name, object(f, name))),
    quality: object(record.quality, "quality") as Manifest["quality"],
    made_from: object(record.made_from, "made_from"),
    made_with: object(record.made_with, "made_with"),
  };
}

function scoreSpec(value: unknown): ScoreSpec {
  const score = exactly(value, "score", ["window", "top"], ["knees", "weights"]);
  return {
    window: number(score.window, "score.window"),
    top: number(score.top, "score.top"),
    knees: each(score.knees ?? {}, "score.knees", number),
    weights: each(score.weights ?? {}, "score.weights", number),
  };
}

function graph(value: unknown, name: string): GraphEntry {
  const record = object(value, name);
  const tensors = (side: unknown) => each(side, name, (t) => object(t, name) as unknown as TensorRecord);
  return {
    ...entry(text(record.file, `${name}.file`), record),
    inputs: tensors(record.inputs),
    outputs: tensors(record.outputs),
  };
}

function calibration(value: unknown, name: string): CalibrationRecord {
  const record = exactly(value, name, ["scores", "rate", "threshold", "warn_threshold", "method"], ["groups"]);
  if (!Array.isArray(record.scores)) throw new Error(`${name}.scores`);
  return {
    scores: record.scores.map((s) => number(s, `${name}.scores`)),
    rate: number(record.rate, `${name}.rate`),
    threshold: number(record.threshold, `${name}.threshold`),
    warn_threshold: number(record.warn_threshold, `${name}.warn_threshold`),
    method: text(record.method, `${name}.method`),
    groups: ((record.groups ?? []) as unknown[]).map((g) => number(g, `${name}.groups`)),
  };
}

/** A name with a path in it could point outside the bundle. */
function entry(name: string, record: Json): FileEntry {
  if (name === "" || name === "." || name === ".." || /[/\\:?#%]/.test(name)) {
    throw new Error(`file name ${JSON.stringify(name)}`);
  }
  return { file: name, size: number(record.size, name), sha256: text(record.sha256, name) };
}

function object(value: unknown, name: string): Json {
  if (!value || typeof value !== "object" || Array.isArray(value)) throw new Error(name);
  return value as Json;
}

/** An object with these keys and no others: what is not known here would be judged wrongly. */
function exactly(value: unknown, name: string, keys: string[], optional: string[] = []): Json {
  const record = object(value, name);
  const lacking = keys.filter((key) => !(key in record));
  const unknown = Object.keys(record).filter((key) => !keys.includes(key) && !optional.includes(key));
  if (lacking.length || unknown.length) throw new Error(`${name}: ${[...lacking, ...unknown].join(", ")}`);
  return record;
}

function each<T>(value: unknown, name: string, read: (value: unknown, name: string) => T): Record<string, T> {
  return Object.fromEntries(Object.entries(object(value, name)).map(([key, item]) => [key, read(item, key)]));
}

function number(value: unknown, name: string): number {
  if (typeof value !== "number") throw new Error(`${name} ${JSON.stringify(value)}`);
  return value;
}

function text(value: unknown, name: string): string {
  if (typeof value !== "string") throw new Error(`${name} ${JSON.stringify(value)}`);
  return value;
}
