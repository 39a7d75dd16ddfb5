// One frame in full: its stored picture and heat map, all figures, and its mark.

import { byId, onChoice, setTerms, setText } from "./dom.js";
import { milliseconds, number, time } from "./format.js";
import { NAMES } from "./marks.js";
import { ask } from "./poll.js";
import { toast } from "./toast.js";

export class Details {
  constructor(marks) {
    this.marks = marks;
    this.dialog = byId("details");
    this.record = null;
    this.kind = "map";
    byId("close").addEventListener("click", () => this.dialog.close());
    this.dialog.addEventListener("click", (event) => {
      if (event.target === this.dialog) this.dialog.close(); // beside it
    });
    this.dialog.addEventListener("close", () => {
      this.record = null;
      byId("stored-picture").removeAttribute("src");
    });
    onChoice(byId("stored"), (kind) => {
      this.kind = kind;
      this.picture();
    });
    byId("stored-picture").addEventListener("error", () => this.noPicture("The picture is gone: it made room for newer ones."));
  }

  async open(id) {
    let record;
    try {
      record = await ask(`/api/records/${id}`);
    } catch (error) {
      toast(`Frame ${id}: ${error.message}.`, true);
      return;
    }
    this.record = record;
    setText(byId("details-title"), `Frame ${record.id}: ${record.decision}`);
    setTerms(byId("facts"), facts(record));
    byId("stored").disabled = !(record.has_picture && record.has_map);
    this.picture();
    delete byId("details-marks").dataset.kinds;
    this.refresh();
    if (!this.dialog.open) this.dialog.showModal();
  }

  /** Marks anew. */
  refresh() {
    if (!this.record) return;
    const kinds = this.record.score === null ? [] : Object.keys(NAMES);
    this.marks.fill(byId("details-marks"), this.record, kinds);
  }

  picture() {
    const { record } = this;
    const kind = record[`has_${this.kind}`] ? this.kind : this.kind === "map" ? "picture" : "map";
    if (!record[`has_${kind}`]) {
      this.noPicture(record.picture ? "The picture is gone: it made room for newer ones." : "No picture was kept of this frame.");
      return;
    }
    const image = byId("stored-picture");
    image.src = `/api/records/${record.id}/${kind}`;
    image.alt = `Stored ${kind === "map" ? "heat map" : "picture"} of frame ${record.id}`;
    image.hidden = false;
    byId("no-stored").hidden = true;
  }

  noPicture(text) {
    byId("stored-picture").hidden = true;
    byId("no-stored").hidden = false;
    setText(byId("no-stored"), text);
  }
}

function facts(record) {
  const rows = [
    ["Taken", time(record.taken)],
    ["Source", record.source],
    ["Frame", record.verdict],
    ["Score", number(record.score)],
    ["Threshold", number(record.threshold)],
    ["p-value", number(record.p_value)],
    ["Judged in", milliseconds(record.ms)],
    ["Bundle", record.bundle ?? "–"],
  ];
  return record.error ? [...rows, ["Error", record.error]] : rows;
}
