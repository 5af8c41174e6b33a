// What a unit does: its operations, how well it does them, and how varied that is.
import { config } from "./config.js";
import { el, setText } from "./dom.js";
import { ago, epoch, short } from "./format.js";
import { adviceList, panelPicture } from "./panel.js";
import { getJson } from "./post.js";
import { t } from "./text.js";
import { moment } from "./zone.js";

const EVERY_MS = 10000;
const MOST = 200;
const NOTHING = {
  agent: t("No operation was told of yet. Decorate functions of the application with @vsm.operation(\"name\") of vsm_client, and they appear here."),
  celery_worker: t("No task was seen yet. The worker tells of its tasks when it runs with events (celery worker -E)."),
};
const NOTHING_ELSE = t("No operation of this unit was told of.");
const box = document.getElementById("operations");
const facts = document.getElementById("performance");
const variety = document.getElementById("unit-variety");
const open = new Set();

export function followOperations(live) {
  const load = () => loadAll(live);
  load();
  live.on("variety", load);
  setInterval(() => document.hidden || load(), EVERY_MS);
}

async function loadAll(live) {
  const id = config.unit.id;
  try {
    const [operations, performance, panels] = await Promise.all([
      getJson(`/api/v1/operations/?unit=${id}&limit=${MOST}&ordering=-count`), getJson(`/api/v1/units/${id}/performance/`), getJson(`/api/v1/variety/units/?unit=${id}`),
    ]);
    drawOperations(operations.results, live);
    drawPerformance(performance);
    drawVariety(panels.results[0]);
  } catch (problem) {
    if (!box.querySelector("table")) box.replaceChildren(el("p", { class: "empty" }, t("No operations: {message}", { message: problem.message })));
  }
}

function drawOperations(rows, live) {
  setText(document.getElementById("operation-count"), rows.length ? String(rows.length) : "");
  if (!rows.length) {
    box.replaceChildren(el("p", { class: "empty" }, NOTHING[config.unit.kind] ?? NOTHING_ELSE));
    return;
  }
  const heads = [[t("Operation")], [t("Count"), "number"], [t("Success"), "number"], ["p50", "number"], ["p95", "number"], [t("Expected"), "number"], [t("Health"), "number"], [t("Last")], [t("Last errors")]];
  const body = rows.map((one) => el("tr", { "data-operation": one.name }, ...cells(one, live).map(([value, kind], place) => el("td", { class: kind, "data-head": heads[place][0] }, value))));
  box.replaceChildren(el("div", { class: "table-wrap" }, el("table", { class: "stack headed operations" }, el("thead", {}, el("tr", {}, ...heads.map(([name, kind]) => el("th", { scope: "col", class: kind }, name)))), el("tbody", {}, ...body))));
}

function cells(one, live) {
  return [
    [el("strong", { class: "breakable" }, one.name)],
    [short(one.count), "number"],
    [percent(one.success_rate), "number"],
    [milliseconds(one.p50), "number"],
    [milliseconds(one.p95), "number"],
    [one.expected_duration === null ? "–" : `${milliseconds(one.expected_duration)} ${one.expected_from}`, "number"],
    [one.health === null ? "unknown" : one.health.toFixed(0), "number"],
    [ago(Math.max(0, live.now() - epoch(one.last_at))), "nowrap"],
    [errors(one), one.errors.length ? "" : "nothing"],
  ];
}

function errors(one) {
  if (!one.errors.length) return "none";
  const summary = el("summary", { class: "breakable" }, one.errors[0].error);
  const list = el("ol", { class: "states" }, ...one.errors.map((each) => el("li", { class: "breakable" }, el("time", { class: "quiet", datetime: each.at }, `${moment(epoch(each.at))} `), each.error)));
  const details = el("details", { open: open.has(one.name) }, summary, list);
  details.addEventListener("toggle", () => (details.open ? open.add(one.name) : open.delete(one.name)));
  return details;
}

function drawPerformance(body) {
  if (body.status !== "measured") {
    facts.replaceChildren();
    return;
  }
  const rows = [
    [t("Health"), number(body.health, 0)], [t("Health, 5 minutes"), number(body.health_recent, 0)], [t("By throughput"), number(body.health_by_throughput, 0)],
    [t("Success"), percent(body.performance.success_rate)], [t("Mean"), milliseconds(body.performance.avg_duration)],
    [t("Throughput"), `${short(body.recent.throughput)}/s`], [t("Achievement"), body.achievement.statement],
  ];
  facts.replaceChildren(el("dl", { class: "fact-row" }, ...rows.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value)))));
}

function drawVariety(body) {
  if (!body) {
    variety.replaceChildren(el("p", { class: "empty" }, t("Nothing was measured yet. It is read every half minute from what the unit is asked and does.")));
    return;
  }
  const source = body.environment_from && body.environment_from !== "operations" ? el("p", { class: "quiet" }, t("What reaches it is read from {environment_from} in {states} bins ({kind}).", { environment_from: body.environment_from, states: body.binning.states, kind: body.binning.kind.replaceAll("_", " ") })) : null;
  const advice = [...body.operational.suggestions, ...body.managerial.suggestions];
  const wide = variety.querySelector("details")?.open ?? false;
  variety.replaceChildren(panelPicture(body), ...(source ? [source] : []), advice.length ? el("details", { open: wide }, el("summary", {}, t("What may be done")), adviceList(advice)) : "");
}

function percent(value) {
  return value === null ? t("unknown") : `${(100 * value).toFixed(value === 1 ? 0 : 1)} %`;
}

function milliseconds(value) {
  return value === null ? t("unknown") : `${short(value)} ms`;
}

function number(value, digits) {
  return value === null ? t("unknown") : value.toFixed(digits);
}
