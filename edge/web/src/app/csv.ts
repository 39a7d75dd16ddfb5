// Verdicts as CSV (RFC 4180).

import type { Entry } from "./records";

const COLUMNS = [
  "id", "time", "source", "decision", "verdict", "score", "p_value", "threshold", "calibration", "precision", "bundle", "ms",
] as const;

export function csv(entries: Entry[]): string {
  const rows = entries.map((entry) =>
    COLUMNS.map((name) => quoted(name === "time" ? new Date(entry.taken * 1000).toISOString() : entry[name])).join(","),
  );
  return [COLUMNS.join(","), ...rows, ""].join("\r\n");
}

function quoted(value: string | number): string {
  if (typeof value === "number") return String(value);
  // A spreadsheet takes what begins so for a formula, and file names come from anywhere.
  const text = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
