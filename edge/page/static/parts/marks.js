// An operator's word on a frame: a false alarm, or a defect that was missed.

import { make, setChildren, setText } from "./dom.js";
import { ask } from "./poll.js";
import { toast } from "./toast.js";

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
      this.known = { ...this.known, [record.id]: kind };
      toast(`Frame ${record.id} (${record.decision}) is marked: ${NAMES[kind].toLowerCase()}.`);
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
      if (this.known[record.id] === kind) {
        toast(`Frame ${record.id} is marked so already; its details change a mark.`);
        return;
      }
      button.disabled = true;
      this.set(record, kind).finally(() => {
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
