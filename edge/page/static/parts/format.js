// Numbers and times as people read them. What is not known is a dash.

const NONE = "–";
const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
const day = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });
const whole = new Intl.NumberFormat();

/** A score or threshold: three digits that count. */
export function number(value) {
  if (value == null) return NONE;
  if (value !== 0 && (Math.abs(value) < 0.001 || Math.abs(value) >= 1e5)) {
    return value.toExponential(2);
  }
  return String(Number(value.toPrecision(3)));
}

export const count = (value) => (value == null ? NONE : whole.format(value));

export const milliseconds = (value) =>
  value == null ? NONE : `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`;

export function share(part, all) {
  if (!all) return NONE;
  const percent = (100 * part) / all;
  return `${percent < 10 && percent > 0 ? percent.toFixed(1) : Math.round(percent)} %`;
}

/** UTC seconds as the time of day here; with the day where it is not today. */
export function time(seconds) {
  if (seconds == null) return NONE;
  const date = new Date(seconds * 1000);
  if (Number.isNaN(date.valueOf())) return NONE;
  const today = date.toDateString() === new Date().toDateString();
  return today ? clock.format(date) : `${day.format(date)}, ${clock.format(date)}`;
}

/** Seconds as "8 s", "12 min", "3 h", "5 days". */
export function duration(seconds) {
  if (seconds == null) return NONE;
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 129600) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} days`;
}

export const ago = (seconds) => (seconds < 1.5 ? "just now" : `${duration(seconds)} ago`);
