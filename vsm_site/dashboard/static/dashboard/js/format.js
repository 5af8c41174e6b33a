// Numbers and times as people read them.

export function epoch(value) {
  if (value === null || value === undefined) return null;
  return typeof value === "number" ? value : Date.parse(value) / 1000;
}

export function score(value, digits = 2) {
  return value === null || value === undefined ? "unknown" : value.toFixed(digits);
}

export function short(value) {
  const size = Math.abs(value);
  if (Number.isInteger(value) && size < 1e5) return String(value);
  if (size >= 1e9) return `${(value / 1e9).toFixed(1)} G`;
  if (size >= 1e6) return `${(value / 1e6).toFixed(1)} M`;
  if (size >= 1e4) return `${(value / 1e3).toFixed(1)} k`;
  if (size >= 100) return value.toFixed(0);
  if (size >= 1) return value.toFixed(2);
  return value === 0 ? "0" : value.toPrecision(2);
}

function bytes(value) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let index = 0;
  while (Math.abs(value) >= 1024 && index < units.length - 1) {
    value /= 1024;
    index += 1;
  }
  return `${value < 10 && index > 0 ? value.toFixed(1) : Math.round(value)} ${units[index]}`;
}

export function duration(seconds) {
  const size = Math.abs(seconds);
  if (size < 1) return `${Math.round(seconds * 1000)} ms`;
  if (size < 60) return `${Math.round(seconds)} s`;
  if (size < 3600) return `${Math.floor(seconds / 60)} min`;
  if (size < 86400) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
  return `${Math.floor(seconds / 86400)} d`;
}

// A metric's value in the unit that its name ends in.
export function metricValue(metric, value) {
  if (value === null || value === undefined) return "–";
  const name = metric.split("{")[0];
  if (name.endsWith("_ratio") || name.endsWith("_utilization") || name === "failure_rate") return `${(value * 100).toFixed(1)} %`;
  if (name.endsWith("_bytes_per_second")) return `${bytes(value)}/s`;
  if (name.endsWith("_bytes")) return bytes(value);
  if (name.endsWith("_seconds")) return value === 0 ? "0 s" : value < 60 && value >= 1 ? `${value.toFixed(1)} s` : duration(value);
  if (name.endsWith("_ms")) return `${short(value)} ms`;
  if (name.endsWith("_rate")) return `${short(value)}/s`;
  if (name.endsWith("_up")) return value ? "up" : "down";
  return short(value);
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
  if (seconds === null || Number.isNaN(seconds)) return "never";
  return seconds < 1 ? "just now" : `${duration(Math.floor(seconds))} ago`;
}

export function clock(value) {
  const at = epoch(value);
  return at === null ? "–" : new Date(at * 1000).toLocaleTimeString([], { hour12: false });
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
