// The last verdicts. The list stands still from the first touch on: rows that move under a thumb
// get the wrong mark.

import { byId, make, onChoice, setChildren, setText } from "./dom.js";
import { number, time } from "./format.js";
import { offered } from "./marks.js";
import { toast } from "./toast.js";

const MOVED = 500; // milliseconds after a move in which a press is not meant for what it hits
const LEFT_ALONE = 60000; // milliseconds after the last touch from which on it moves again

export class VerdictList {
  /** marks: of marks.js. open: called with the id of a record. */
  constructor(marks, open) {
    this.marks = marks;
    this.open = open;
    this.rows = new Map();
    this.filter = "all";
    this.held = false;
    this.moved = -Infinity;
    this.status = null;
    this.shown = [];
    this.box = byId("list");
    this.timer = 0;
    this.button = byId("hold");
    this.button.addEventListener("click", () => this.hold(!this.held));
    for (const name of ["pointerdown", "focusin", "wheel", "touchstart"]) {
      this.box.addEventListener(name, () => this.touched(), { passive: true });
    }
    onChoice(byId("filter"), (filter) => {
      this.filter = filter;
      this.shown = [];
      this.hold(false);
    });
  }

  /** status: of /api/status. */
  update(status) {
    this.status = status;
    if (!this.held) this.show();
    this.say();
  }

  /** Marks, and nothing else, anew. */
  refresh() {
    for (const record of this.shown) this.fill(this.rows.get(record.id), record);
  }

  touched() {
    if (this.held && !this.timer) return; // by the button: until it is pressed again
    this.hold(true);
    this.timer = setTimeout(() => this.hold(false), LEFT_ALONE);
  }

  hold(held) {
    clearTimeout(this.timer);
    this.timer = 0;
    if (held && !this.held) this.heldFrom = this.newest()[0]?.id ?? 0;
    this.held = held;
    this.button.setAttribute("aria-pressed", String(held));
    if (!held && this.status) this.show();
    this.say();
  }

  newest() {
    return this.status?.[this.filter === "all" ? "records" : "rejected"] ?? [];
  }

  show() {
    const records = this.newest();
    if (records[0]?.id !== this.shown[0]?.id) this.moved = performance.now();
    const rows = new Map(records.map((r) => [r.id, this.rows.get(r.id) ?? this.row(r)]));
    this.rows = rows;
    this.shown = records;
    setChildren(this.box, records.length ? [...rows.values()] : [this.empty()]);
    this.refresh();
  }

  say() {
    const newer = this.newest().filter((record) => record.id > this.heldFrom).length;
    const more = newer >= this.newest().length && newer > 0 ? `${newer} or more` : String(newer);
    const text = this.held ? `Held. Show the newest (${more} new)` : "Hold the list still";
    setText(this.button, text);
  }

  empty() {
    const text = this.filter === "all" ? "No frame has been judged yet." : "All of the last passed.";
    return make("li", { class: "empty" }, text);
  }

  row(record) {
    const word = record.decision;
    const badge = make("span", { class: "badge", "data-look": word.toLowerCase() }, word);
    const frame = record.verdict.toUpperCase() === word ? "" : `, frame: ${record.verdict}`;
    const text = record.score === null ? record.error ?? "not judged" : `score ${number(record.score)}${frame}`;
    const open = make(
      "button",
      { type: "button", class: "open", click: () => this.steady() && this.open(record.id) },
      badge,
      make("span", { class: "when" }, time(record.taken)),
      make("span", { class: "what" }, `#${record.id} · ${text}`),
    );
    return make("li", { "data-id": record.id }, open, make("div", { class: "marks" }));
  }

  fill(row, record) {
    const kinds = offered(record, this.marks.known[record.id]);
    this.marks.fill(row.lastElementChild, record, kinds, () => this.steady());
  }

  /** Whether a press is meant for the row that it hits. */
  steady() {
    if (performance.now() - this.moved > MOVED) return true;
    toast("The list had just moved. It stands still now: press again.");
    return false;
  }
}
