// Golden vectors of a bundle without a detector: its encoder and decoder. `edge/parts.py` once more.

import type { Precision, Role } from "./manifest";
import { readNpz, type Values } from "./npz";

export type Tensors = Record<string, Values>;
type ByRole = Partial<Record<Role, Tensors>>;

export interface Parts {
  inputs: ByRole;
  expected: Partial<Record<Precision, ByRole>>;
}

export async function readParts(content: Uint8Array): Promise<Parts> {
  const found: Record<string, ByRole> = {};
  for (const [key, values] of await readNpz(content)) {
    const [group, role, name] = key.split("/") as [string, Role, string];
    const byRole = (found[group] ??= {});
    (byRole[role] ??= {})[name] = values;
  }
  const { input, ...expected } = found;
  return { inputs: input ?? {}, expected };
}

/** The examples of a tensor, one after the other. */
export function rows({ shape, data }: Values): Values["data"][] {
  const size = shape.slice(1).reduce((product, n) => product * n, 1);
  return Array.from({ length: shape[0] }, (_, i) => data.slice(i * size, (i + 1) * size));
}
