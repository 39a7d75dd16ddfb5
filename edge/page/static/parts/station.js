// How the station does: counts, figures, drift, problems, events.

import { byId, make, setChildren, setTerms, setText } from "./dom.js";
import { count, duration, milliseconds, share, time } from "./format.js";

const DECISIONS = ["PASS", "WARN", "FAIL", "ERROR"];

/** status: of /api/status. */
export function showStation(status) {
  const { counts, health, state } = status;
  setText(byId("name"), status.name ?? "Station");
  showCounts(counts?.decisions ?? {});
  setTerms(byId("numbers"), figures(status));
  const { drift, others } = split(state.problems ?? []);
  setText(byId("drift"), drift ?? (health ? "No drift is known." : "Not known: the station is not running."));
  byId("drift").classList.toggle("warned", Boolean(drift));
  const silent = state.name === "running" ? [] : [state.text];
  lines(byId("problems"), [...silent, ...others], "None known.");
  events(status.events ?? []);
  byId("logout").hidden = !status.login;
}

/** The one line above everything. Returns { level, text }. */
export function notice({ state, problem }) {
  const problems = [...(state.problems ?? []), ...(problem ? [problem] : [])];
  if (!problems.length) {
    return { level: "none", text: state.name === "running" ? "No problems known" : state.text };
  }
  const more = problems.length > 1 ? ` (and ${problems.length - 1} more)` : "";
  return { level: state.status === "bad" ? "bad" : "warn", text: `${problems[0]}${more}` };
}

function showCounts(decisions) {
  const all = DECISIONS.reduce((sum, name) => sum + (decisions[name] ?? 0), 0);
  const box = byId("decisions");
  if (!box.children.length) {
    const cells = DECISIONS.map((name) =>
      make("div", { "data-look": name.toLowerCase() }, make("dt", {}, name), make("dd"), make("dd", { class: "share" })),
    );
    box.append(...cells);
  }
  DECISIONS.forEach((name, i) => {
    const [, n, part] = box.children[i].children;
    setText(n, count(decisions[name] ?? 0));
    setText(part, share(decisions[name] ?? 0, all));
  });
}

function figures({ counts, health, records = [] }) {
  const times = records.map((record) => record.ms).filter((ms) => ms !== null).sort((a, b) => a - b);
  const waiting = Object.entries(health?.waiting ?? {}).filter(([, n]) => n > 0);
  return [
    ["Dropped", count(health?.frames?.dropped ?? counts?.dropped)],
    ["Failed", count(health?.frames?.failed ?? counts?.failed)],
    ["Lost", count(health?.frames?.lost ?? counts?.lost)],
    ["Time, median", milliseconds(times[Math.floor(times.length / 2)])],
    ["Time, longest", milliseconds(times.at(-1))],
    ["Runs for", duration(health?.uptime_s)],
    ["Disk free", health?.free_mb == null ? "–" : `${count(health.free_mb)} MB`],
    ["To be sent", waiting.length ? waiting.map(([to, n]) => `${n} to ${to}`).join(", ") : "none"],
    ["Bundle", health?.bundle ?? records[0]?.bundle ?? "–"],
  ];
}

function split(problems) {
  const drift = problems.find((problem) => problem.startsWith("drift: "));
  return { drift: drift?.slice("drift: ".length), others: problems.filter((p) => p !== drift) };
}

function lines(list, texts, none) {
  const shown = texts.length ? texts : [none];
  setChildren(list, shown.map((text, i) => list.children[i] ?? make("li")));
  shown.forEach((text, i) => setText(list.children[i], text));
}

function events(all) {
  lines(byId("events"), all.map(({ time: at, kind, text }) => `${time(at)} · ${kind}: ${text}`), "None yet.");
}
