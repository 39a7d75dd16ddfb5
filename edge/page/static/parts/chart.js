// Scores over the last frames with their threshold, drawn by hand in SVG.
// Frames are evenly spaced: pauses and clocks that jump would leave holes.

import { make, setText } from "./dom.js";
import { number, time } from "./format.js";

const SVG = "http://www.w3.org/2000/svg";
const LEFT = 44, RIGHT = 8, TOP = 8, BOTTOM = 22; // pixels around the plot
const LOOKS = ["pass", "warn", "fail", "error"];
const ABOVE = 3; // thresholds that the chart is high at most; what is higher stands at its edge

export class ScoreChart {
  /** open: called with the id of a record. */
  constructor(box, open) {
    this.open = open;
    this.points = [];
    this.chosen = null;
    this.svg = draw("svg", {
      role: "slider", tabindex: 0, "aria-label": "Scores of the last frames",
      "aria-valuemin": 1, "aria-valuemax": 1, "aria-valuenow": 1,
    });
    this.readout = make("p", { class: "readout" });
    this.parts = {
      grid: draw("path", { class: "grid" }),
      line: draw("path", { class: "line" }),
      limit: draw("path", { class: "limit" }),
      ...Object.fromEntries(LOOKS.map((look) => [look, draw("path", { class: `dots ${look}` })])),
      cursor: draw("path", { class: "cursor" }),
    };
    this.labels = draw("g", { class: "labels" });
    this.svg.append(...Object.values(this.parts), this.labels);
    box.append(this.svg, this.readout);
    new ResizeObserver(() => this.render()).observe(this.svg);
    this.listen();
  }

  /** points: of /api/status, oldest first. */
  update(points) {
    this.points = points;
    if (!points.some((point) => point.id === this.chosen)) this.chosen = null;
    this.render();
  }

  listen() {
    const { svg } = this;
    svg.addEventListener("pointermove", (event) => this.choose(this.at(event)));
    svg.addEventListener("pointerdown", (event) => this.choose(this.at(event)));
    svg.addEventListener("pointerleave", () => this.choose(null));
    svg.addEventListener("click", (event) => {
      const point = this.at(event);
      if (point) this.open(point.id);
    });
    svg.addEventListener("keydown", (event) => this.key(event));
  }

  key(event) {
    const last = this.points.length - 1;
    const now = this.points.findIndex((point) => point.id === this.chosen);
    const at = now < 0 ? last : now;
    const to = { ArrowLeft: at - 1, ArrowRight: at + 1, ArrowDown: at - 1, ArrowUp: at + 1,
      PageDown: at - 20, PageUp: at + 20, Home: 0, End: last }[event.key];
    if (to !== undefined) this.choose(this.points[Math.min(last, Math.max(0, to))]);
    else if (event.key === "Enter" && this.chosen !== null) this.open(this.chosen);
    else return;
    event.preventDefault();
  }

  choose(point) {
    const id = point?.id ?? null;
    if (id === this.chosen) return;
    this.chosen = id;
    this.mark();
  }

  at(event) {
    const x = event.clientX - this.svg.getBoundingClientRect().left;
    const i = Math.round(((x - LEFT) / (this.width - LEFT - RIGHT)) * (this.points.length - 1) || 0);
    return this.points[Math.min(this.points.length - 1, Math.max(0, i))];
  }

  x(i) {
    return LEFT + (i / Math.max(1, this.points.length - 1)) * (this.width - LEFT - RIGHT);
  }

  /** A score without a number is an infinite one. */
  y(score) {
    const part = Math.min(1, Math.max(0, (score ?? Infinity) / this.top));
    return this.height - BOTTOM - part * (this.height - TOP - BOTTOM);
  }

  render() {
    const { points, parts } = this;
    this.width = this.svg.clientWidth;
    this.height = this.svg.clientHeight;
    if (!this.width || !this.height) return;
    this.top = highest(points);
    const at = points.map((point, i) => [this.x(i), this.y(point.score)]);
    parts.line.setAttribute("d", path(at));
    parts.limit.setAttribute("d", steps(points, (i) => this.x(i), (score) => this.y(score)));
    for (const look of LOOKS) {
      const mine = at.filter((_, i) => points[i].decision.toLowerCase() === look);
      parts[look].setAttribute("d", mine.map((p) => shape(look, p)).join(""));
    }
    this.renderLabels();
    this.mark();
  }

  renderLabels() {
    const ticks = this.points.length ? nice(this.top) : [];
    const right = this.width - RIGHT;
    this.parts.grid.setAttribute("d", ticks.map((v) => `M${LEFT} ${this.y(v)}H${right}`).join(""));
    const bottom = this.height - 6;
    const labels = ticks.map((value) => label(LEFT - 6, this.y(value) + 4, number(value), "end"));
    if (this.points.length > 1) {
      labels.push(label(LEFT, bottom, time(this.points[0].taken), "start"));
      labels.push(label(right, bottom, time(this.points.at(-1).taken), "end"));
    }
    this.labels.replaceChildren(...labels);
  }

  mark() {
    const i = this.points.findIndex((point) => point.id === this.chosen);
    const point = this.points[i];
    this.parts.cursor.setAttribute("d", point ? `M${this.x(i)} ${TOP}V${this.height - BOTTOM}` : "");
    const text = point
      ? `#${point.id} · ${point.decision} · score ${number(point.score)}, threshold ${number(point.threshold)} · ${time(point.taken)}`
      : this.points.length ? "Point at a frame; press to open it." : "No scores yet.";
    setText(this.readout, text);
    const { svg, points } = this;
    svg.setAttribute("aria-valuemax", Math.max(1, points.length));
    svg.setAttribute("aria-valuenow", point ? i + 1 : Math.max(1, points.length));
    svg.setAttribute("aria-valuetext", text);
  }
}

function draw(tag, attributes = {}) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

function label(x, y, text, anchor) {
  const element = draw("text", { x, y, "text-anchor": anchor });
  element.textContent = text;
  return element;
}

const path = (at) => at.map(([x, y], i) => `${i ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");

/** The threshold of each frame: it changes in steps. */
function steps(points, x, y) {
  let d = "";
  let before = null;
  points.forEach(({ threshold }, i) => {
    if (threshold !== null && threshold !== before) d += `${before === null ? "M" : "V"}${before === null ? `${x(i)} ` : ""}${y(threshold)}`;
    if (threshold !== null) d += `H${x(i)}`;
    before = threshold;
  });
  return d;
}

/** Not by colour alone: a failed frame is a cross, one that was warned of a square. */
function shape(look, [x, y]) {
  if (look === "fail" || look === "error") return `M${x - 3.5} ${y - 3.5}l7 7m0-7l-7 7`;
  if (look === "warn") return `M${x - 3} ${y - 3}h6v6h-6z`;
  return `M${x - 2} ${y}a2 2 0 1 0 4 0a2 2 0 1 0-4 0z`;
}

/** The score at the chart's upper edge. */
function highest(points) {
  const scores = points.map((point) => point.score).filter((score) => score !== null);
  const limit = Math.max(0, ...points.map((point) => point.threshold ?? 0));
  const most = Math.max(1.25 * limit, ...scores);
  return (limit > 0 ? Math.min(most, ABOVE * limit) : most) * 1.04 || 1;
}

/** Three or four round numbers from zero up. */
function nice(top) {
  const rough = top / 3;
  const unit = 10 ** Math.floor(Math.log10(rough));
  const step = [5, 2, 1].map((n) => n * unit).find((n) => n <= rough) ?? unit;
  return Array.from({ length: Math.floor(top / step) + 1 }, (_, i) => i * step);
}
