// The one word that is read across the workshop. An old PASS must never be taken for the present
// one: filled with colour means now, an outline means a while ago, stripes mean that nobody knows.

import { byId, setText } from "./dom.js";
import { ago, number, time } from "./format.js";

const FRESH = 10; // seconds that a verdict counts as the present one
const SILENCE = 3; // seconds without an answer after which nothing is claimed
const WORDS = { new: "NOT YET RUN", stopped: "NOT RUNNING", silent: "NO SIGNAL", unreadable: "NO STORE" };

/**
 * What to show of an answer. live: of /api/live, null before the first. since: seconds since it
 * came. why: what went wrong with the last request, "" where nothing did.
 * Returns { look, word, under, decision }; decision only where it is the present one.
 */
export function judge(live, since, why) {
  const unknown = (word, under) => ({ look: "unknown", word, under, decision: null });
  if (live === null) return unknown(why ? "NO ANSWER" : "…", why || "connecting");
  if (since > SILENCE) return unknown("NO ANSWER", `${why || "no answer"}, for ${Math.round(since)} s`);
  const { state, record } = live;
  const last = record && `last verdict: ${record.decision}, ${time(record.taken)}`;
  if (state.name !== "running") return unknown(WORDS[state.name] ?? "NO STATION", last || state.text);
  if (record === null) return unknown("NO VERDICT", "No frame has been judged yet.");
  const age = record.age === null ? null : record.age + since;
  const fresh = age !== null && age <= FRESH;
  if (!fresh && state.status === "bad") return unknown("NO VERDICT", state.problems[0] ?? last);
  if (age === null) return unknown("NO VERDICT", `${last}, before the machine was started`);
  const look = record.decision.toLowerCase();
  if (!fresh) {
    const under = `${ago(age)}: the last verdict`;
    return { look: `${look} old`, word: record.decision, under, decision: null };
  }
  const under =
    record.score === null
      ? record.error ?? "no score"
      : `score ${number(record.score)}, threshold ${number(record.threshold)} · ${ago(age)}`;
  return { look, word: record.decision, under, decision: record.decision };
}

/** Shows what `judge` says, and tells a screen reader of changes. */
export class VerdictPanel {
  constructor() {
    this.panel = byId("verdict");
    this.announced = null;
    const button = byId("enlarge");
    button.addEventListener("click", () => {
      const large = document.body.classList.toggle("enlarged");
      button.setAttribute("aria-pressed", String(large));
    });
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && document.body.classList.contains("enlarged")) button.click();
    });
  }

  show({ look, word, under, decision }) {
    if (this.panel.dataset.look !== look) this.panel.dataset.look = look;
    this.panel.classList.toggle("long", word.length > 5);
    setText(byId("word"), word);
    setText(byId("under"), under);
    const said = decision ?? word;
    if (said !== this.announced && said !== "…") {
      setText(byId("announce"), said);
      this.announced = said;
    }
  }
}
