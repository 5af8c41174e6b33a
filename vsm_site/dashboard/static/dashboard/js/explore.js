// Explore: any series beside any other. The address holds all that is chosen; everything here is drawn from it.
import { key, read, shiftSeconds, write } from "./address.js";
import { withBands, worth } from "./bands.js";
import { config, withSystem } from "./config.js";
import { Chart, colour, LINES } from "./charts.js";
import { el, setText } from "./dom.js";
import { metricTitle, metricValue } from "./format.js";
import { live } from "./here.js";
import { getJson, postJson } from "./post.js";
import { chosenSteps, isLive, onRange, showBetween, spanNow, stepOf, writeRange } from "./range.js";
import { save, toCsv, toPng } from "./taking_along.js";
import { t } from "./text.js";
import { moment, zone } from "./zone.js";

const MOST_LINES = 12;
const TABLE_ROWS = 200;
const GAP_STEPS = 3;
const NONE = {}; // the forecast of a line that could have one
const EVENTS = "@events"; // a metric of the event log: its "unit" is a stream, or stream/type
const box = document.getElementById("panels");
const said = document.getElementById("explore-said");
const error = document.getElementById("explore-error");
const adding = document.getElementById("add");
let state = read(location.search);
let drawn = []; // the charts: {chart, lines, data, title}
let span = { from: 0, to: 0 };
let asked = 0;

// --- What is asked ---

function stamp(at) {
  return new Date(at * 1000).toISOString();
}

function question(one, { from, to }, step) {
  const back = shiftSeconds(one);
  return { metric: one.metric, ...(one.source ? { source: one.source } : {}), from: stamp(from - back), to: stamp(to - back), step, agg: one.fn, system: config.system, ...(one.together ? { group_by: "" } : {}) };
}

function name(one, line) {
  const labels = Object.entries(line.labels ?? {}).map(([label, value]) => `${label}="${value}"`).join(",");
  const who = one.together && !one.source ? t("all units") : line.source || one.source;
  const past = { "1d": `, ${t("a day before")}`, "7d": `, ${t("a week before")}` }[one.shift] ?? "";
  return `${one.fn} ${metricTitle(one.metric)}${labels ? ` {${labels}}` : ""}${who ? ` · ${who}` : ""}${past}`;
}

function shown(one) {
  return one.metric.startsWith("@") ? `${config.scores[one.metric] ?? one.metric}${one.source ? ` · ${one.source}` : ""}${one.shift ? ` ${t("{shift} before", { shift: one.shift })}` : ""}` : name(one, { labels: {}, source: one.source });
}

async function linesOf(range) {
  const step = stepOf(range);
  const measured = state.series.filter((one) => !one.metric.startsWith("@"));
  const answers = measured.length ? (await postJson(withSystem("/api/v1/query/"), { queries: measured.map((one) => question(one, range, step)) })).results : [];
  const found = await Promise.all(state.series.map(async (one) => {
    const back = shiftSeconds(one);
    if (one.metric === EVENTS) {
      const told = await getJson(withSystem("/dashboard/explore/events/", { of: one.source, from: range.from - back, to: range.to - back }));
      return [{ one, name: shown(one), points: moved(told.points, back), step: told.step }];
    }
    if (one.metric.startsWith("@")) {
      const part = one.metric === "@viability" ? "" : one.metric.slice(1);
      const { points } = await getJson(withSystem("/dashboard/explore/scores/", { part, from: range.from - back, to: range.to - back }));
      return [{ one, name: shown(one), points: moved(points, back), step: Math.max(30, step) }];
    }
    const { series } = answers[measured.indexOf(one)];
    return series.map((line) => ({ one, line, name: name(one, line), points: moved(line.points, back), step }));
  }));
  return found.flat();
}

function moved(points, seconds) {
  return points.filter((point) => point[1] !== null).map(([at, value]) => [at + seconds, value]);
}

async function foretold(lines) {
  const alone = lines.length === 1 && lines[0].line && !lines[0].one.shift && !lines[0].one.together ? lines[0] : null;
  if (!state.forecast || !alone) return null;
  const answer = await getJson(withSystem("/api/v1/forecasts/", { source: alone.line.source, metric: alone.one.metric, span: span.to - span.from > 86400 ? "days" : "hour", limit: 50 }));
  const labels = JSON.stringify(alone.line.labels);
  return answer.results.find((one) => one.metric === alone.one.metric && JSON.stringify(one.labels) === labels) ?? NONE;
}

async function happened(range) {
  if (!state.overlays.size) return [];
  const found = await getJson(withSystem("/dashboard/explore/marks/", range));
  const rows = [...state.overlays].flatMap((sort) => found[sort] ?? []).sort((a, b) => a[0] - b[0]);
  return found.cut ? Object.assign(rows, { cut: true }) : rows;
}

// --- What is drawn ---

// How far apart points usually are: what is stored by the minute has no gap because five seconds were asked for.
function usualStep(points) {
  const apart = points.slice(1).map(([at], index) => at - points[index][0]).sort((a, b) => a - b);
  return apart[Math.floor(apart.length / 2)] ?? 0;
}

// uPlot wants one list of times; a line is broken where nothing was heard.
function joined(lines) {
  const columns = lines.map(({ points, step: askedStep }) => {
    const step = Math.max(askedStep, usualStep(points));
    const [at, values] = [[], []];
    for (const [moment, value] of points) {
      const last = at.at(-1);
      if (last !== undefined && moment - last > GAP_STEPS * step) {
        at.push(last + step);
        values.push(null);
      }
      at.push(moment);
      values.push(value);
    }
    return [at, values];
  });
  return columns.length === 1 ? columns[0] : window.uPlot.join(columns);
}

function legend(panel) {
  return el("ul", { class: "chart-names" }, ...panel.lines.map((line, index) => {
    const values = line.points.map((point) => point[1]);
    const told = (value) => metricValue(line.one.metric, value);
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    const button = el("button", { type: "button", "aria-pressed": "true", onclick: () => {
      const on = button.getAttribute("aria-pressed") !== "true";
      button.setAttribute("aria-pressed", String(on));
      panel.chart?.plot.setSeries(index + 1, { show: on });
    } }, el("span", { class: `swatch chart-${(index % LINES.length) + 1}` }), line.name);
    return el("li", {}, button, el("span", { class: "quiet number" }, values.length ? ` ${t("last {last}, least {least}, mean {mean}, most {most}", { last: told(values.at(-1)), least: told(Math.min(...values)), mean: told(mean), most: told(Math.max(...values)) })}` : ` ${t("no values in this range")}`));
  }));
}

async function makePanel(lines, marks) {
  const plot = el("div", { class: "chart-box tall" });
  const title = lines.map((line) => line.name).join(" and ");
  const panel = { lines, title, plot };
  panel.node = el("section", { class: "panel chart", "aria-label": title }, plot, legend(panel));
  box.append(panel.node);
  if (!lines.some((line) => line.points.length)) {
    plot.classList.remove("tall");
    plot.replaceChildren(el("p", { class: "empty" }, t("No values in this range. Choose a longer one, or another unit.")));
    return panel;
  }
  const found = await foretold(lines).catch(() => null);
  const forecast = found === NONE ? null : found;
  const left = lines.find((line) => line.one.axis !== "right") ?? lines[0];
  const right = new Set(lines.flatMap((line, index) => (line.one.axis === "right" && line !== left ? [index] : [])));
  const data = joined(lines);
  panel.data = data;
  panel.chart = new Chart(plot, left.one.metric, lines.map((line) => line.name), undefined, marks.map(([at], index) => [at, String(index + 1)]), {
    bands: Boolean(forecast), right, rightMetric: lines[[...right][0]]?.one.metric, zoom: showBetween, height: state.each ? 190 : 320,
  });
  panel.chart.set(forecast ? withBands(data, forecast) : data);
  panel.chart.show(span.from, forecast ? Math.max(span.to, forecast.at.at(-1)) : span.to);
  if (found) panel.node.append(el("p", { class: "help" }, forecast ? worth(forecast) : t("There is no forecast of it yet.")));
  return panel;
}

function markList(marks) {
  if (!marks.length) return;
  box.append(el("section", { class: "panel" }, el("h2", {}, t("What happened")), el("ol", { class: "marks" }, ...marks.map(([at, words, href]) => el("li", {}, el("time", { datetime: stamp(at) }, moment(at)), " ", el("a", { href }, words)))),
    marks.cut ? el("p", { class: "quiet" }, t("Only the newest of each sort: choose a shorter range for all.")) : ""));
}

async function draw() {
  const mine = ++asked;
  showChosen();
  document.getElementById("explore-empty").hidden = state.series.length > 0;
  span = spanNow();
  setText(said, state.series.length ? t("Asking…") : "");
  try {
    const [all, marks] = await Promise.all([linesOf(span), happened(span)]);
    if (mine !== asked) return; // something else was chosen meanwhile
    const lines = all.slice(0, MOST_LINES);
    showChosen(new Set(all.filter((line) => line.points.length).map((line) => line.one)));
    const focus = document.activeElement?.closest?.("#panels") ? null : document.activeElement;
    for (const panel of drawn) panel.chart?.destroy();
    box.replaceChildren();
    drawn = [];
    for (const group of state.each ? lines.map((line) => [line]) : lines.length ? [lines] : []) drawn.push(await makePanel(group, marks));
    if (mine !== asked) return;
    markList(marks);
    focus?.focus?.({ preventScroll: true });
    setText(said, all.length > lines.length ? t("{MOST_LINES} of {all} lines are shown: choose a unit, or units together.", { MOST_LINES, all: all.length }) : state.series.length && !all.length ? t("No such series was heard of.") : state.forecast && lines.length !== 1 && !state.each ? t("A forecast is drawn where a chart has one line.") : "");
    error.hidden = true;
    fillTable();
  } catch (problem) {
    if (mine !== asked) return;
    setText(error, problem.message);
    error.hidden = false;
    setText(said, "");
  }
}

// *heard* are the series of which something was: unknown before the answer is there.
function showChosen(heard = null) {
  document.getElementById("chosen").replaceChildren(...state.series.map((one) => el("li", {}, shown(one), heard && !heard.has(one) ? el("span", { class: "quiet" }, t("nothing heard in this range")) : "",
    one.metric.startsWith("@") ? "" : el("a", { href: withSystem("/api/v1/export/", { metric: one.metric, ...(one.source ? { source: one.source } : {}), from: stamp(spanNow().from), to: stamp(spanNow().to), as: "csv" }), title: t("All that is stored of it in this range, as CSV") }, t("all stored")),
    el("button", { type: "button", class: "bare", "aria-label": t("Remove {one}", { one: shown(one) }), onclick: () => change({ series: state.series.filter((other) => other !== one) }) }, "×"))));
  for (const tick of document.querySelectorAll("[data-overlay]")) tick.checked = state.overlays.has(tick.dataset.overlay);
  document.getElementById("layout").value = state.each ? "each" : "";
  document.getElementById("foretold").checked = state.forecast;
  document.getElementById("back").disabled = chosenSteps() === 0;
}

function fillTable() {
  const table = document.getElementById("numbers-table");
  if (!document.getElementById("numbers").open) return;
  table.replaceChildren(...drawn.filter((panel) => panel.data).map(({ data, lines, title }) => {
    const from = Math.max(0, data[0].length - TABLE_ROWS);
    const rows = data[0].slice(from).map((at, index) => el("tr", {}, el("th", { scope: "row" }, moment(at)), ...lines.map((line, place) => el("td", { class: "number" }, metricValue(line.one.metric, data[place + 1][from + index])))));
    return el("table", {}, el("caption", { class: "quiet" }, `${title}${from ? `, ${t("the last {TABLE_ROWS} of {data} moments", { TABLE_ROWS, data: data[0].length })}` : ""}`), el("thead", {}, el("tr", {}, el("th", { scope: "col" }, t("At ({zone})", { zone })), ...lines.map((line) => el("th", { scope: "col", class: "number" }, line.name)))), el("tbody", {}, ...rows));
  }));
}

// --- What is chosen ---

function change(parts) {
  state = { ...state, ...parts };
  history.replaceState(history.state, "", `?${writeRange(write(state, location.search))}`);
  draw();
}

onRange(() => {
  state = read(location.search); // Back may have gone to another choice of series, too
  draw();
});

adding.addEventListener("submit", (event) => {
  event.preventDefault();
  const { metric, source, fn, shift, axis, together } = Object.fromEntries(new FormData(adding));
  if (!metric.trim()) return adding.elements.metric.focus();
  const one = { metric: metric.trim(), source: source.trim(), fn, shift, axis, together: together === "1" };
  const wanted = [...state.series, ...(shift ? [{ ...one, shift: "" }] : []), one];
  const known = new Set();
  return change({ series: wanted.filter((each) => !known.has(key(each)) && known.add(key(each))).slice(0, MOST_LINES) });
});

let suggesting = 0;
for (const field of ["metric", "source"]) adding.elements[field].addEventListener("input", () => {
  clearTimeout(suggesting);
  suggesting = setTimeout(async () => {
    const [metric, q] = [adding.elements.metric.value.trim(), adding.elements.source.value.trim()];
    if (!metric || (metric.startsWith("@") && metric !== EVENTS)) return;
    const { sources } = await getJson(withSystem("/dashboard/explore/sources/", { metric, q })).catch(() => ({ sources: [] }));
    document.getElementById("sources").replaceChildren(...sources.map((value) => el("option", { value })));
  }, 200);
});

for (const tick of document.querySelectorAll("[data-overlay]")) tick.addEventListener("change", () => {
  const overlays = new Set(state.overlays);
  overlays[tick.checked ? "add" : "delete"](tick.dataset.overlay);
  change({ overlays });
});
document.getElementById("layout").addEventListener("change", ({ target }) => change({ each: target.value === "each" }));
document.getElementById("foretold").addEventListener("change", ({ target }) => change({ forecast: target.checked }));
document.getElementById("back").addEventListener("click", () => history.back());
document.getElementById("numbers").addEventListener("toggle", fillTable);

// --- What is taken along ---

document.getElementById("copy").addEventListener("click", async () => {
  await navigator.clipboard.writeText(location.href).catch(() => null);
  setText(said, t("The link is copied: it shows the same to whoever may see this system."));
});
document.getElementById("csv").addEventListener("click", () => drawn.some((panel) => panel.data) && save("explore.csv", new Blob([toCsv(drawn.filter((panel) => panel.data))], { type: "text/csv" })));
document.getElementById("png").addEventListener("click", async () => {
  const charts = drawn.filter((panel) => panel.chart);
  if (charts.length) save("explore.png", await toPng(charts, span, colour));
});

live.on("snapshot", draw);
live.on("tick", () => {
  const age = live.now() - span.to;
  if (isLive() && state.series.length && !document.hidden && age >= Math.max(10, stepOf(span))) draw();
});
