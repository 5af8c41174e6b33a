// What a chart page shows, as its address says it: `s` once for each series (function|shift|axis|metric|unit, "+" before
// the function for units together), `charts`, `with`, `forecast`. Pure: no page is touched.
const PAST = { "1d": 86400, "7d": 604800 };

export function read(search) {
  const given = new URLSearchParams(search);
  const series = given.getAll("s").map(parse).filter(Boolean).slice(0, 12);
  return {
    series,
    each: given.get("charts") === "each",
    overlays: new Set((given.get("with") ?? "").split(",").filter(Boolean)),
    forecast: given.get("forecast") === "1",
  };
}

export function write(state, search) {
  const query = new URLSearchParams();
  const system = new URLSearchParams(search).get("system");
  if (system) query.set("system", system);
  for (const one of state.series) query.append("s", key(one));
  if (state.each) query.set("charts", "each");
  if (state.overlays.size) query.set("with", [...state.overlays].join());
  if (state.forecast) query.set("forecast", "1");
  return query;
}

export function key({ fn, shift, axis, metric, source, together }) {
  return [`${together ? "+" : ""}${fn}`, shift, axis, metric, source].join("|");
}

function parse(text) {
  const [fn, shift, axis, metric, ...source] = text.split("|");
  if (!metric) return null;
  return { fn: fn.replace("+", "") || "avg", together: fn.startsWith("+"), shift: shift in PAST ? shift : "", axis: axis === "right" ? "right" : "", metric, source: source.join("|") };
}

export function shiftSeconds(one) {
  return PAST[one.shift] ?? 0;
}
