// What the user chose, kept on this device. Sites of one host share its storage, so keys carry the
// site's path.

import type { CalibrationRecord } from "../core/calibration";
import type { Precision } from "../core/manifest";

export const SITE = new URL(".", location.href).pathname;

/** Set where what the browser kept of the bundle was damaged. */
export const FRESH = "fresh";

export interface Settings {
  precision: Precision | null; // null: the best that the bundle has
  votes: number;
  of: number;
  auto: boolean;
  alarm: "none" | "sound" | "vibration";
  layer: "picture" | "map" | "reconstruction";
}

const DEFAULTS: Settings = { precision: null, votes: 3, of: 5, auto: false, alarm: "none", layer: "map" };

export const settings: Settings = { ...DEFAULTS, ...read("settings") };

export function saveSettings(): void {
  write("settings", settings);
}

/** A threshold that was set here, for exactly these graphs. */
export function localCalibration(digest: string, precision: Precision): CalibrationRecord | null {
  return read(`calibration ${digest} ${precision}`);
}

export function setLocalCalibration(digest: string, precision: Precision, record: CalibrationRecord | null): void {
  write(`calibration ${digest} ${precision}`, record);
}

/** Storage may be forbidden or hold what an earlier version wrote: then there is nothing. */
export function read<T>(key: string): T | null {
  try {
    return JSON.parse(localStorage.getItem(SITE + key) ?? "null");
  } catch {
    return null;
  }
}

export function write(key: string, value: unknown): boolean {
  try {
    if (value === null) localStorage.removeItem(SITE + key);
    else localStorage.setItem(SITE + key, JSON.stringify(value));
    return true;
  } catch {
    return false; // private browsing, or full: the choice holds until the page is left
  }
}
