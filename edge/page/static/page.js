// The page of a running station. It asks its own server, and nobody else, and claims nothing that
// it was not told within the last seconds.

import { ScoreChart } from "./parts/chart.js";
import { Details } from "./parts/details.js";
import { byId, setText } from "./parts/dom.js";
import { VerdictList } from "./parts/list.js";
import { LiveView } from "./parts/live.js";
import { Marks } from "./parts/marks.js";
import { ask, now, poll, since } from "./parts/poll.js";
import { notice, showStation } from "./parts/station.js";
import { judge, VerdictPanel } from "./parts/verdict.js";

const LIVE = 500, STATUS = 2000, TICK = 250; // milliseconds
const SILENCE = 3; // seconds

const panel = new VerdictPanel();
const marks = new Marks();
const details = new Details(marks);
const list = new VerdictList(marks, (id) => details.open(id));
const chart = new ScoreChart(byId("chart"), (id) => details.open(id));
const view = new LiveView(() => askLive());
marks.changed = () => {
  list.refresh();
  details.refresh();
};

let live = null; // the last answer
let asked = now(); // when it was asked for, so that an answer held up on its way is no new one
let why = "";

const askLive = poll(() => view.url, LIVE, gotLive, lost);
poll(() => "/api/status", STATUS, gotStatus, lost);
setInterval(tick, TICK);

function gotLive(answer, when) {
  live = answer;
  asked = when;
  why = "";
  view.show(answer);
  tick();
}

function gotStatus(status) {
  marks.update(status.marks ?? {});
  list.update(status);
  chart.update(status.scores ?? []);
  const scores = status.scores?.length ?? 0;
  setText(byId("scores-text"), scores ? `last ${scores} frames` : "");
  showStation(status);
}

function lost(error) {
  why = error.message;
  if (error.status === 401) location.reload(); // to the login form
  tick();
}

function tick() {
  const age = live ? since(asked) : 0;
  const silent = live === null || age > SILENCE;
  panel.show(judge(live, age, why));
  view.tick(silent ? null : age);
  document.body.classList.toggle("silent", silent && Boolean(why || live));
  const state = silent ? "silent" : live.state.name;
  byId("state").dataset.state = state;
  setText(byId("state-text"), silent ? (why || live ? "no answer" : "connecting") : NAMES[state] ?? state);
  const { level, text } = silent ? { level: "none", text: "Nothing is known at present" } : notice(live);
  byId("notice").dataset.level = level;
  setText(byId("notice-text"), text);
}

const NAMES = { running: "running", stopped: "not running", silent: "no signal", new: "not yet run", unreadable: "no store" };

// What was true when the page was put away is not to be seen when it comes back.
document.addEventListener("visibilitychange", () => {
  live = null;
  why = "";
  tick();
});

function choose(name) {
  byId("main").dataset.view = name;
  for (const tab of document.querySelectorAll(".tabs button")) {
    if (tab.dataset.view === name) tab.setAttribute("aria-current", "true");
    else tab.removeAttribute("aria-current");
  }
  window.scrollTo(0, 0);
}

for (const tab of document.querySelectorAll(".tabs button")) {
  tab.addEventListener("click", () => choose(tab.dataset.view));
}
byId("notice").addEventListener("click", () => {
  choose("station");
  byId("station").scrollIntoView({ block: "nearest" });
});
byId("logout").addEventListener("submit", async (event) => {
  event.preventDefault();
  await ask("/logout", { method: "POST" }).catch(() => {});
  location.reload();
});
