// Numbers and times as people read them.
import { t } from "./text.js";
import { second } from "./zone.js";

export function epoch(value) {
  if (value === null || value === undefined) return null;
  return typeof value === "number" ? value : Date.parse(value) / 1000;
}

export function score(value, digits = 2) {
  return value === null || value === undefined ? t("unknown") : value.toFixed(digits);
}

// Decimals that tell values *step* apart, of which there are *usual* at least.
function decimals(step, usual) {
  return step > 0 ? Math.min(9, Math.max(usual, Math.ceil(-Math.log10(step) - 1e-9))) : usual;
}

export function short(value, step = 0) {
  const size = Math.abs(value);
  if (Number.isInteger(value) && size < 1e5) return String(value);
  for (const [unit, word] of [[1e9, "G"], [1e6, "M"], [1e3, "k"]]) if (size >= Math.max(unit, 1e4)) return `${(value / unit).toFixed(decimals(step / unit, 1))} ${word}`;
  if (step) return value.toFixed(decimals(step, 0));
  if (size >= 100) return value.toFixed(0);
  if (size >= 1) return value.toFixed(2);
  return value === 0 ? "0" : value.toPrecision(2);
}

function bytes(value, step = 0) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let index = 0;
  while (Math.abs(value) >= 1024 && index < units.length - 1) {
    value /= 1024;
    step /= 1024;
    index += 1;
  }
  return `${value.toFixed(decimals(step, value < 10 && index > 0 ? 1 : 0))} ${units[index]}`;
}

export function duration(seconds, step = 0) {
  const size = Math.abs(seconds);
  const rest = (unit, word) => (step && step < unit * 60 ? ` ${Math.floor((size % (unit * 60)) / unit)} ${word}` : "");
  if (size < 1) return `${(seconds * 1000).toFixed(decimals(step * 1000, 0))} ms`;
  if (size < 60) return `${seconds.toFixed(decimals(step, 0))} s`;
  if (size < 3600) return `${Math.floor(seconds / 60)} min${rest(1, "s")}`;
  if (size < 86400) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
  return `${Math.floor(seconds / 86400)} d${step && step < 86400 ? ` ${Math.floor((size % 86400) / 3600)} h` : ""}`;
}

// Is a value of this metric a part of a whole?
export function isShare(metric) {
  const name = metric.split("{")[0];
  return name.endsWith("_ratio") || name.endsWith("_utilization") || name === "failure_rate";
}

// A metric's value in the unit that its name ends in; with *step*, so that values so far apart are told apart.
export function metricValue(metric, value, step = 0) {
  if (value === null || value === undefined) return "–";
  const name = metric.split("{")[0];
  if (isShare(name)) return `${(value * 100).toFixed(step ? decimals(step * 100, 0) : 1)} %`;
  if (name.endsWith("_bytes_per_second")) return `${bytes(value, step)}/s`;
  if (name.endsWith("_bytes")) return bytes(value, step);
  if (name.endsWith("_seconds")) return value === 0 ? "0 s" : !step && value < 60 && value >= 1 ? `${value.toFixed(1)} s` : duration(value, step);
  if (name.endsWith("_ms")) return `${short(value, step)} ms`;
  if (name.endsWith("_rate")) return `${short(value, step)}/s`;
  if (name.endsWith("_up")) return value ? t("up") : t("down");
  return short(value, step);
}

// The numbers beside an axis: each told apart from the next, and none twice.
export function axisValues(metric, ticks) {
  const step = ticks.length > 1 ? Math.abs(ticks[1] - ticks[0]) : 0;
  const said = new Set();
  return ticks.map((tick) => {
    const text = metricValue(metric, tick, step);
    return said.has(text) ? "" : said.add(text) && text;
  });
}

export function metricTitle(metric) {
  const [name, labels] = metric.split("{");
  const words = name.replace(/_(ratio|bytes_per_second|bytes|seconds)$/, "").replaceAll("_", " ");
  return labels ? `${words} {${labels}` : words;
}

export function words(name) {
  return String(name).replaceAll("_", " ");
}

export function ago(seconds) {
  if (seconds === null || Number.isNaN(seconds)) return t("never");
  return seconds < 1 ? t("just now") : t("{duration} ago", { duration: duration(Math.floor(seconds)) });
}

export function clock(value) {
  const at = epoch(value);
  return at === null ? "–" : second(at);
}

// Round *values* so that what is shown still adds up to *total* as it is shown: the largest remainders are rounded up.
export function addingUp(values, total, digits = 3) {
  const scale = 10 ** digits;
  const exact = values.map((value) => (value ?? 0) * scale);
  const floors = exact.map((value) => Math.floor(value + 1e-9));
  let missing = Math.round(total * scale) - floors.reduce((sum, value) => sum + value, 0);
  const order = exact.map((value, index) => [value - floors[index], index]).sort((a, b) => b[0] - a[0]);
  for (const [, index] of order) {
    if (missing <= 0) break;
    floors[index] += 1;
    missing -= 1;
  }
  return floors.map((value) => (value / scale).toFixed(digits));
}
