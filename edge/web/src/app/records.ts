// Verdicts kept on this device, in IndexedDB: all of the figures, and the last pictures.

import type { Label } from "../core/calibration";
import { SITE } from "./settings";

export interface Entry {
  id: number;
  taken: number; // UTC seconds
  source: string;
  decision: Label; // of the vote; the frame's own where there was none
  verdict: Label;
  score: number;
  p_value: number;
  threshold: number;
  calibration: string;
  precision: string;
  bundle: string; // the first digits of its digest
  ms: number;
}

export const KEPT = 5000; // records; then the oldest go
export const PICTURES = 200; // that are kept with them

export class Records {
  private constructor(
    private readonly db: IDBDatabase,
    readonly all: Entry[], // oldest first
  ) {}

  static async open(): Promise<Records> {
    const opening = indexedDB.open(`${SITE}verdicts`, 1);
    opening.onupgradeneeded = () => {
      opening.result.createObjectStore("records", { keyPath: "id", autoIncrement: true });
      opening.result.createObjectStore("pictures");
    };
    const db = await done(opening);
    return new Records(db, await done(db.transaction("records").objectStore("records").getAll()));
  }

  async add(entry: Omit<Entry, "id">, picture: Blob | null): Promise<Entry> {
    const change = this.db.transaction(["records", "pictures"], "readwrite");
    const id = Number(await done(change.objectStore("records").add(entry)));
    const kept = { ...entry, id };
    this.all.push(kept);
    const pictures = change.objectStore("pictures");
    if (picture) pictures.put(picture, id);
    const withoutPicture = this.all[this.all.length - 1 - PICTURES];
    if (withoutPicture) pictures.delete(IDBKeyRange.upperBound(withoutPicture.id));
    if (this.all.length > KEPT) change.objectStore("records").delete(this.all.shift()!.id);
    await finished(change);
    return kept;
  }

  picture(id: number): Promise<Blob | undefined> {
    return done(this.db.transaction("pictures").objectStore("pictures").get(id));
  }

  async delete(id: number): Promise<void> {
    const change = this.db.transaction(["records", "pictures"], "readwrite");
    change.objectStore("records").delete(id);
    change.objectStore("pictures").delete(id);
    await finished(change);
    this.all.splice(0, Infinity, ...this.all.filter((entry) => entry.id !== id));
  }

  async clear(): Promise<void> {
    const change = this.db.transaction(["records", "pictures"], "readwrite");
    change.objectStore("records").clear();
    change.objectStore("pictures").clear();
    await finished(change);
    this.all.length = 0;
  }
}

function done<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

function finished(change: IDBTransaction): Promise<void> {
  return new Promise((resolve, reject) => {
    change.oncomplete = () => resolve();
    change.onabort = change.onerror = () => reject(change.error);
  });
}
