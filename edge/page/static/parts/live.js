// What the station sees: the picture, its heat map, or what the model makes of it.

import { byId, onChoice, setText } from "./dom.js";
import { ago, time } from "./format.js";

const OLD = 5; // seconds

export class LiveView {
  /** changed: called when another layer is asked for. */
  constructor(changed) {
    this.layer = document.querySelector("input[name=layer]:checked").value;
    this.seen = "";
    this.frame = null;
    onChoice(byId("layers"), (layer) => {
      this.layer = layer;
      changed();
    });
  }

  /** Of /api/live, for the layer that is chosen and the version that is shown. */
  get url() {
    return `/api/live?layer=${this.layer}&seen=${encodeURIComponent(this.seen)}`;
  }

  /** live: the answer. */
  show(live) {
    const { frame, state, problem } = live;
    const image = byId("frame");
    this.frame = frame;
    if (frame?.jpeg) {
      image.src = `data:image/jpeg;base64,${frame.jpeg}`;
      image.alt = `Live view, ${frame.layer}: ${frame.record.decision}`;
      this.seen = frame.version;
    }
    if (!frame) this.seen = "";
    const there = Boolean(frame) && this.seen !== "";
    image.hidden = !there;
    byId("no-frame").hidden = there;
    const waiting = state.name === "running" ? "Waiting for the next frame." : state.text;
    setText(byId("no-frame"), problem ? sentence(problem) : waiting);
  }

  /** since: seconds since the answer came; null where it is not to be believed. */
  tick(since) {
    const age = this.frame?.record.age;
    const known = since !== null && age != null;
    byId("frame").classList.toggle("old", !known || age + since > OLD);
    const { frame } = this;
    const text = frame
      ? `${frame.record.decision} · ${frame.record.source} · ${known ? ago(age + since) : time(frame.record.taken)}`
      : "\u00a0";
    setText(byId("frame-text"), text);
  }
}

const sentence = (text) => `${text[0].toUpperCase()}${text.slice(1)}.`;
