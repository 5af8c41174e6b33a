// While a rule is written: what it would say right now.
import { withSystem } from "./config.js";
import { badge } from "./badge.js";
import { el } from "./dom.js";
import { clock, metricValue } from "./format.js";
import { getJson } from "./post.js";

const PAUSE_MS = 350;
const EVERY_MS = 5000;
const MOST_ROWS = 50;
const form = document.getElementById("rule-form");
const box = document.getElementById("preview");
let timer = null;
let running = null;

async function preview() {
  running?.abort();
  const fields = new FormData(form);
  const metric = String(fields.get("metric") ?? "").trim();
  if (!metric) {
    box.replaceChildren(el("p", { class: "empty" }, "Name a metric, and its current values appear here."));
    return;
  }
  const asked = { metric, comparison: fields.get("comparison") };
  for (const name of ["unit_kind", "unit", "threshold"]) if (fields.get(name)) asked[name] = fields.get(name);
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
    box.replaceChildren(el("p", { class: "empty" }, `Nobody in this scope has sent ${metric} lately: the rule would wait for its first value.`));
    return;
  }
  const matching = rows.filter((row) => row.matches).length;
  const sentence = judged ? `Would match: ${matching} of ${rows.length}` : `${rows.length} current ${rows.length === 1 ? "value" : "values"}; give a threshold to see which would match`;
  const shown = [...rows].sort((a, b) => Boolean(b.matches) - Boolean(a.matches)).slice(0, MOST_ROWS);
  const body = shown.map((row) => el("tr", {}, el("td", { class: "breakable" }, row.subject), el("td", { class: "number" }, metricValue(metric, row.value)),
    el("td", { class: "nowrap" }, clock(row.at)), el("td", {}, judged ? (row.stale ? "silent" : row.matches ? badge("matches", "severity-warning ") : "no") : "")));
  box.replaceChildren(el("p", { id: "preview-sum" }, el("strong", {}, sentence)),
    el("div", { class: "table-wrap" }, el("table", {}, el("thead", {}, el("tr", {}, ...["Subject", "Value", "At", "Matches"].map((word, i) => el("th", { scope: "col", class: i === 1 ? "number" : "" }, word)))), el("tbody", {}, ...body))),
    rows.length > MOST_ROWS ? el("p", { class: "quiet" }, `and ${rows.length - MOST_ROWS} more`) : "");
}

form.addEventListener("input", () => {
  clearTimeout(timer);
  timer = setTimeout(preview, PAUSE_MS);
});
setInterval(() => document.hidden || preview(), EVERY_MS);
preview();
