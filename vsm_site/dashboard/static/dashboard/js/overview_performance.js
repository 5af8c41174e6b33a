// The view of performance: small charts of work and of what it uses, the units, the queues.
import { config, withSystem } from "./config.js";
import { Chart } from "./charts.js";
import { el, keyed, setText } from "./dom.js";
import { metricValue, short } from "./format.js";
import { getJson } from "./post.js";
import { asked, isLive, onRange, showBetween, spanNow } from "./range.js";
import { UnitTable } from "./units.js";
import { ownFleets } from "./live.js";
import { t } from "./text.js";

const EVERY_MS = 30000;
const SHOWN_QUEUES = 15;
// Title, what a value is (its ending says the unit), the lines: [name, where from, which].
const CHARTS = [
  [t("Throughput"), "task_rate", [[t("tasks a second"), "tasks", "rate"]]],
  [t("Failing"), "failing_ratio", [[t("of what ended"), "tasks", "failing"]]],
  [t("Runtime"), "runtime_seconds", [[t("median"), "tasks", "runtime_p50"], [t("95 of 100"), "tasks", "runtime_p95"]]],
  [t("Wait in the queue"), "wait_seconds", [[t("median"), "tasks", "wait_p50"], [t("95 of 100"), "tasks", "wait_p95"]]],
  [t("Workers busy"), "busy_ratio", [[t("processes at work"), "samples", "busy"]]],
  [t("Deepest queue"), "ready", [[t("messages"), "samples", "ready"]]],
  [t("Processor"), "cpu_ratio", [[t("mean"), "samples", "cpu"], [t("busiest host"), "samples", "cpu_most"]]],
  [t("Memory"), "memory_ratio", [[t("mean"), "samples", "memory"], [t("fullest host"), "samples", "memory_most"]]],
];
const box = document.getElementById("small-charts");
let question = 0;
let drawn = [];

export function show(live) {
  const table = new UnitTable(live);
  onRange(() => load(live));
  load(live);
  setInterval(() => document.hidden || !isLive() || load(live), EVERY_MS);
  return () => {
    table.draw();
    drawQueues(live);
  };
}

async function load(live) {
  const mine = ++question;
  try {
    const told = await getJson(withSystem("/dashboard/overview/performance/", asked()));
    if (mine === question) draw(told);
  } catch (problem) {
    box.replaceChildren(el("p", { class: "error", role: "alert" }, t("No charts: {message}", { message: problem.message })));
    drawn = [];
  }
}

function draw(told) {
  if (!drawn.length) {
    box.replaceChildren();
    drawn = CHARTS.map(([title]) => {
      const [latest, plot] = [el("span", { class: "number" }), el("div", { class: "chart-box" })];
      box.append(el("section", { class: "panel chart", "aria-label": title }, el("div", { class: "chart-head" }, el("strong", {}, title), latest), plot));
      return { plot, latest, chart: null };
    });
  }
  CHARTS.forEach(([, metric, lines], index) => drawOne(drawn[index], metric, lines, told));
}

function drawOne(one, metric, lines, told) {
  const columns = table(lines, told);
  const newest = columns[1].findLast((value) => value !== null && value !== undefined);
  setText(one.latest, newest === undefined ? t("unknown") : metricValue(metric, newest));
  if (newest === undefined) {
    one.chart?.destroy();
    one.chart = null;
    one.plot.replaceChildren(el("p", { class: "empty" }, t("Nothing was measured in this range.")));
    return;
  }
  if (!one.chart) {
    one.plot.replaceChildren();
    one.chart = new Chart(one.plot, metric, lines.map(([name]) => name), undefined, [], { zoom: showBetween });
  }
  one.chart.set(columns);
  const { from, to } = spanNow();
  one.chart.show(from, to);
}

// Lines as columns over the moments of all of them.
function table(lines, told) {
  const found = lines.map(([, from, name]) => (from === "tasks" ? (told.tasks.at ?? []).map((at, index) => [at, told.tasks[name][index]]) : told.samples[name] ?? []));
  const moments = [...new Set(found.flat().map(([at]) => at))].sort((a, b) => a - b);
  return [moments, ...found.map((points) => {
    const known = new Map(points);
    return moments.map((at) => known.get(at) ?? null);
  })];
}

// --- Queues: the deepest first, those of the platform last ------------------------------------------------------------
function drawQueues(live) {
  const place = document.getElementById("queues");
  const own = ownFleets(live);
  const queues = [...live.data.units.values()].filter((unit) => unit.kind === "celery_queue");
  if (!queues.length) {
    if (!place.querySelector(".none")) place.replaceChildren(el("p", { class: "empty none" }, t("No queue is watched yet. Queues appear with their fleet.")));
    return;
  }
  place.querySelector(":scope > .empty")?.remove();
  const depth = (unit) => (unit.latest?.ready?.[1] ?? 0) + (unit.latest?.unacked?.[1] ?? 0);
  const deepest = Math.max(10, ...queues.map(depth));
  queues.sort((a, b) => own.has(a.fleet) - own.has(b.fleet) || depth(b) - depth(a) || a.name.localeCompare(b.name));
  keyed(place, queues.slice(0, SHOWN_QUEUES), (unit) => unit.id, makeQueue, (node, unit) => updateQueue(node, unit, deepest));
}

function makeQueue(unit) {
  return el("div", { class: "queue", "data-queue": unit.name },
    el("div", { class: "queue-head" }, el("a", { href: `/dashboard/units/${unit.id}/${config.query}` }, unit.name), el("span", { class: "number ready" })),
    el("div", { class: "meter", "aria-hidden": "true" }, el("span", {}), el("span", {})), el("div", { class: "quiet rest" }));
}

function updateQueue(node, unit, deepest) {
  const value = (metric) => unit.latest?.[metric]?.[1];
  const [ready, unacked] = [value("ready"), value("unacked")];
  setText(node.querySelector(".ready"), ready === undefined ? t("unknown") : t("{count} ready", { count: short(ready) }));
  const [first, second] = node.querySelectorAll(".meter span");
  first.style.flexBasis = `${((ready ?? 0) / deepest) * 100}%`;
  second.style.flexBasis = `${((unacked ?? 0) / deepest) * 100}%`;
  const rest = [
    unacked === undefined ? null : t("{unacked} in work", { unacked: short(unacked) }),
    value("consumers") === undefined ? null : `${value("consumers")} ${value("consumers") === 1 ? "consumer" : "consumers"}`,
    value("oldest_age_seconds") === undefined ? null : t("oldest {age}", { age: metricValue("oldest_age_seconds", value("oldest_age_seconds")) }),
  ].filter(Boolean);
  setText(node.querySelector(".rest"), rest.join(" · "));
}
