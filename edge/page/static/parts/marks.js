// An operator's word on a frame: a false alarm, or a defect that was missed.

import { make, setChildren, setText } from "./dom.js";
import { ask } from "./poll.js";
import { toast } from "./toast.js";

const NONE = "none";
export const NAMES = { "false-alarm": "False alarm", missed: "Missed defect" };

/** The marks that make sense for a frame. What passed cannot be a false alarm. */
export function offered(record, marked) {
  if (record.score === null) return [];
  const fitting = { pass: ["missed"], fail: ["false-alarm"] }[record.verdict] ?? Object.keys(NAMES);
  return Object.keys(NAMES).filter((kind) => fitting.includes(kind) || kind === marked);
}

/** Keeps what is marked, and buttons that show it. */
export class Marks {
  constructor() {
    this.known = {};
    this.changed = () => {};
  }

  /** marks: id -> kind, of /api/status. */
  update(marks) {
    this.known = marks;
    this.changed();
  }

  async set(record, kind) {
    try {
      await ask(`/api/records/${record.id}/mark`, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ kind }),
      });
      const { [record.id]: before, ...others } = this.known;
      this.known = kind === NONE ? others : { ...others, [record.id]: kind };
      const said = kind === NONE ? "is not marked any more" : `is marked: ${NAMES[kind].toLowerCase()}`;
      toast(`Frame ${record.id} (${record.decision}) ${said}.`);
    } catch (error) {
      toast(`Not marked: ${error.message}.`, true);
    }
    this.changed();
  }

  /** Fills a box with the buttons of a record. kinds: offered. allowed: asked at each press. */
  fill(box, record, kinds, allowed = () => true) {
    if (box.dataset.kinds !== kinds.join()) {
      box.dataset.kinds = kinds.join();
      setChildren(box, kinds.map((kind) => this.button(record, kind, allowed)));
    }
    for (const button of box.children) {
      const pressed = String(this.known[record.id] === button.dataset.kind);
      if (button.getAttribute("aria-pressed") !== pressed) {
        button.setAttribute("aria-pressed", pressed);
      }
    }
  }

  button(record, kind, allowed) {
    const name = NAMES[kind];
    const press = () => {
      if (!allowed()) return;
      const again = this.known[record.id] === kind; // takes the mark back
      button.disabled = true;
      this.set(record, again ? NONE : kind).finally(() => {
        button.disabled = false;
      });
    };
    const button = make("button", {
      type: "button",
      class: "mark",
      "data-kind": kind,
      "aria-label": `${name}: mark frame ${record.id}`,
      click: press,
    });
    setText(button, name);
    return button;
  }
}
