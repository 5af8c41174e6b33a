// While a rule is written: its metric with the threshold drawn across, what it would say now, and on the last days.
import { withSystem } from "./config.js";
import { badge } from "./badge.js";
import { Chart } from "./charts.js";
import { el } from "./dom.js";
import { clock, epoch, metricValue } from "./format.js";
import { getJson, postJson } from "./post.js";
import { smallRows } from "./rows.js";
import { t, tn } from "./text.js";
import { suggestUnits, unitOf } from "./unit_field.js";
import { moment } from "./zone.js";

const PAUSE_MS = 350;
const EVERY_MS = 5000;
const MOST_ROWS = 50;
const CHART_SECONDS = 3600;
const CHART_STEP = 30;
const MOST_LINES = 3;
const WITHOUT_METRIC = ["health", "viability", "signals", "events"];
const PREVIEWED = ["kind", "unit_kind", "threshold", "match", "aggregation", "window_seconds", "stale_seconds", "params"];
const WHOLE = ["window_seconds", "for_seconds", "cooldown_seconds", "at_least", "keep_firing_seconds", "stale_seconds", "interval_seconds"];
const JSONS = ["params", "severity_steps", "labels", "annotations"];
let form, box, plot, rehearsal;
let chart = null;
let drawn = "";
let timer = null;
let running = null;

async function preview() {
  running?.abort();
  const fields = new FormData(form);
  const metric = String(fields.get("metric") ?? "").trim();
  draw(metric, fields);
  if (!metric && !WITHOUT_METRIC.includes(fields.get("kind"))) {
    box.replaceChildren(el("p", { class: "empty" }, t("Name a metric, and its current values appear here.")));
    return;
  }
  const asked = { metric, comparison: fields.get("comparison") };
  for (const name of PREVIEWED) if (fields.get(name)) asked[name] = fields.get(name);
  const unit = unitOf(form.elements.unit);
  if (unit) asked.unit = unit.id;
  if (asked.threshold !== undefined && Number.isNaN(Number(asked.threshold))) delete asked.threshold;
  running = new AbortController();
  try {
    const answer = await getJson(withSystem("/api/v1/alert-rules/preview/", asked), running.signal);
    show(metric, Array.isArray(answer) ? answer : answer.results, asked.threshold !== undefined);
  } catch (problem) {
    if (problem.name !== "AbortError") box.replaceChildren(el("p", { class: "error" }, problem.message));
  }
}

function show(metric, rows, judged) {
  if (!rows.length) {
    box.replaceChildren(el("p", { class: "empty" }, t("Nobody in this scope has sent {metric} lately: the rule would wait for its first value.", { metric })));
    return;
  }
  const matching = rows.filter((row) => row.matches).length;
  const sentence = judged ? t("Would match: {matching} of {rows}", { matching, rows: rows.length }) : tn("{n} current value; give a threshold to see which would match", "{n} current values; give a threshold to see which would match", rows.length);
  const shown = [...rows].sort((a, b) => Boolean(b.matches) - Boolean(a.matches)).slice(0, MOST_ROWS);
  const body = shown.map((row) => el("tr", {}, el("td", { class: "breakable" }, row.subject), el("td", { class: "number" }, metricValue(metric, row.value)),
    el("td", { class: "nowrap" }, clock(row.at)), el("td", {}, judged ? (row.stale ? t("silent") : row.matches ? badge("matches", "severity-warning ") : t("no")) : "")));
  box.replaceChildren(el("p", { id: "preview-sum" }, el("strong", {}, sentence)),
    el("div", { class: "table-wrap" }, el("table", {}, el("thead", {}, el("tr", {}, ...[t("Subject"), t("Value"), t("At"), t("Matches")].map((word, i) => el("th", { scope: "col", class: i === 1 ? "number" : "" }, word)))), el("tbody", {}, ...body))),
    rows.length > MOST_ROWS ? el("p", { class: "quiet" }, t("and {count} more", { count: rows.length - MOST_ROWS })) : "");
}

// The metric in the last hour, each limit as a line of its own, so that one sees what it would tell apart.
async function draw(metric, fields) {
  if (!metric || WITHOUT_METRIC.includes(fields.get("kind"))) {
    clear();
    return;
  }
  const to = Date.now() / 1000;
  const asked = { metric: metric.split("{")[0], from: new Date((to - CHART_SECONDS) * 1000).toISOString(), to: new Date(to * 1000).toISOString(), step: CHART_STEP };
  const unit = unitOf(form.elements.unit);
  if (unit) asked.source = unit.name;
  if (fields.get("match")) asked.match = fields.get("match");
  let answer;
  try {
    answer = await getJson(withSystem("/api/v1/query/", asked));
  } catch {
    clear();
    return;
  }
  const limits = ["threshold", "recover_threshold"].filter((name) => fields.get("kind") !== "anomaly" && fields.get(name) && Number.isFinite(Number(fields.get(name))));
  drawLines(metric, answer.series.slice(0, MOST_LINES), limits.map((name) => [name === "threshold" ? t("fires at") : t("recovers at"), Number(fields.get(name))]), to);
}

function clear() {
  chart?.destroy();
  chart = null;
  drawn = "";
  plot.replaceChildren();
}

function drawLines(metric, lines, limits, to) {
  if (!lines.length) {
    clear();
    return;
  }
  const names = [...lines.map((line) => [line.source, ...Object.values(line.labels)].join(" ")), ...limits.map(([name]) => name)];
  if (drawn !== JSON.stringify([metric, names])) {
    clear();
    chart = new Chart(plot, metric, names);
    drawn = JSON.stringify([metric, names]);
  }
  const moments = [...new Set([to - CHART_SECONDS, ...lines.flatMap((line) => line.points.map(([at]) => at)), to])].sort((a, b) => a - b);
  const columns = lines.map((line) => {
    const known = new Map(line.points);
    return moments.map((at) => known.get(at) ?? null);
  });
  chart.set([moments, ...columns, ...limits.map(([, limit]) => moments.map(() => limit))]);
  chart.show(to - CHART_SECONDS, to);
}

// The fields as the API takes them.
function written() {
  const body = {};
  for (const [name, value] of new FormData(form)) {
    if (name === "csrfmiddlewaretoken" || value === "") continue;
    if (name === "unit") body.unit = Number(unitOf(form.elements.unit)?.id) || value; // a name that nobody has is refused, not left out
    else if (JSONS.includes(name)) body[name] = JSON.parse(value);
    else if (WHOLE.includes(name) || ["threshold", "recover_threshold"].includes(name)) body[name] = Number(value);
    else body[name] = value === "on" ? true : value;
  }
  return { name: "rehearsed", ...body };
}

async function rehearse() {
  rehearsal.replaceChildren(el("p", { class: "quiet" }, t("Going over the last days…")));
  try {
    const told = await postJson(withSystem("/api/v1/alert-rules/rehearse/", { days: 7 }), written());
    tell(told);
  } catch (problem) {
    rehearsal.replaceChildren(el("p", { class: "error" }, problem instanceof SyntaxError ? t("One of the JSON fields is not JSON.") : problem.message));
  }
}

function tell(told) {
  const withheld = Object.entries(told.withheld).map(([why, count]) => t("{count} by {cause}", { count, cause: why.replace("_", " ") })).join(", ");
  const sum = told.fired
    ? t("It would have fired {fired}, for {firing_seconds} in all and {longest_seconds} at most; people would have been told of {told} in {messages}{withheld}.", { fired: times(told.fired), firing_seconds: minutes(told.firing_seconds), longest_seconds: minutes(told.longest_seconds), told: told.told === told.fired ? t("all of it") : told.told, messages: told.notifications === 1 ? t("one message") : t("{count} messages", { count: told.notifications }), withheld: withheld ? ` ${t("(withheld: {withheld})", { withheld })}` : "" })
    : t("It would not have fired, on {series} series.", { series: told.series });
  const rows = told.episodes.slice(-MOST_ROWS).reverse().map((each) => el("tr", {}, el("td", { class: "breakable" }, each.subject),
    el("td", { class: "nowrap" }, moment(epoch(each.fired_at))), el("td", { class: "number" }, minutes(each.seconds)), el("td", {}, badge(each.severity, `severity-${each.severity} `))));
  rehearsal.replaceChildren(el("p", { id: "rehearsal-sum" }, el("strong", {}, sum)), told.complete ? "" : el("p", { class: "quiet" }, t("Not all of these days is known.")),
    rows.length ? el("div", { class: "table-wrap" }, el("table", {}, el("thead", {}, el("tr", {}, ...[t("Subject"), t("Fired"), t("For"), t("Severity")].map((word) => el("th", { scope: "col" }, word)))), el("tbody", {}, ...rows))) : "");
}

function times(count) {
  return count === 1 ? t("once") : t("{count} times", { count });
}

function minutes(seconds) {
  return seconds < 120 ? `${Math.round(seconds)} s` : seconds < 7200 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;
}

// Follow the one rule form of the page, wherever it stands; returns what stops it.
export function startRule() {
  [form, box, plot, rehearsal] = ["rule-form", "preview", "chart", "rehearsal"].map((name) => document.getElementById(name));
  smallRows(form);
  document.getElementById("rehearse").addEventListener("click", rehearse);
  form.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(preview, PAUSE_MS);
  });
  suggestUnits(form.elements.unit, preview);
  const again = setInterval(() => document.hidden || preview(), EVERY_MS);
  preview();
  return () => {
    clearInterval(again);
    clearTimeout(timer);
    running?.abort();
    clear();
  };
}
