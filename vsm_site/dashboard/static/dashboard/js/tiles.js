// The line of numbers that somebody who is woken up needs first. What nobody tells is unknown, never nought.
import { setClass, setText } from "./dom.js";
import { duration, metricValue, score, short } from "./format.js";
import { countsOf, ownFleets } from "./live.js";
import { t } from "./text.js";
import { heard, sum, told } from "./told.js";

const MUCH_FAILS = 0.05;
const LONG_SECONDS = 300;

function known(value, words = short) {
  return value === null ? t("unknown") : words(value);
}

// Of the fleets of others; of the platform's own where there is no other.
function ofFleets(live) {
  const own = ownFleets(live);
  const all = [...live.data.units.values()].filter((unit) => unit.fleet);
  const others = all.filter((unit) => !own.has(unit.fleet));
  return others.length ? others : all;
}

function failing(workers) {
  const pairs = heard(workers).map((unit) => [unit.latest?.task_rate?.[1], unit.latest?.failure_rate?.[1]]).filter(([rate, failed]) => rate > 0 && failed !== undefined);
  const rate = sum(pairs.map(([each]) => each));
  return rate ? sum(pairs.map(([each, failed]) => each * failed)) / rate : null;
}

// Workers: all of them, for only some may be in sight.
function counted(live) {
  const own = ownFleets(live);
  const lines = countsOf(live, "celery_worker");
  const others = lines.filter((line) => !own.has(line.fleet));
  const shown = others.length ? others : lines;
  return { all: sum(shown.map((line) => line.units)) ?? 0, active: sum(shown.map((line) => line.active)) ?? 0 };
}

function alertTile(live) {
  const firing = [...live.data.alerts.values()].filter((alert) => alert.state === "firing");
  const told = live.data.totals?.alerts;
  const all = told?.states.firing ?? firing.length;
  const critical = told?.firing?.critical ?? firing.filter((alert) => alert.severity === "critical").length;
  return { value: short(all), said: critical ? t("{critical} critical", { critical }) : all ? t("none critical") : t("nothing fires"), bad: critical > 0 };
}

function painTile(live) {
  const pains = [...live.data.signals.values()].filter((signal) => signal.type === "pain");
  const told = live.data.totals?.signals.pain ?? Object.fromEntries(["critical", "high", "medium", "low"].map((severity) => [severity, pains.filter((signal) => signal.severity === severity).length]));
  const all = sum(Object.values(told)) ?? 0;
  const severe = (told.critical ?? 0) + (told.high ?? 0);
  return { value: short(all), said: severe ? t("{severe} critical or high", { severe }) : all ? t("none severe") : t("nothing hurts"), bad: severe > 0 };
}

// What runs and fails: now, or in the last hour where not every worker is in sight.
function workTiles(live, workers) {
  const scores = live.data.viability?.details?.scores ?? {};
  const cut = live.data.view?.cut;
  const rate = cut ? scores.task_throughput ?? null : sum(told(workers, "task_rate"));
  const failed = !cut ? failing(workers) : scores.task_success_rate === null || scores.task_success_rate === undefined ? null : 1 - scores.task_success_rate;
  const when = cut ? t("in the last hour") : t("of what ended");
  return [
    { value: known(rate), said: cut ? t("mean of the last hour") : "now" },
    { value: known(failed, (value) => metricValue("failure_rate", value)), said: failed === null ? t("no task ended lately") : failed > MUCH_FAILS ? t("over 5 %") : when, bad: failed > MUCH_FAILS },
  ];
}

function tiles(live) {
  const units = ofFleets(live);
  const workers = units.filter((unit) => unit.kind === "celery_worker");
  const queues = units.filter((unit) => unit.kind === "celery_queue");
  const { all, active } = counted(live);
  const unheard = all - active;
  const { viability } = live.data;
  const oldest = told(queues, "oldest_age_seconds");
  const longest = oldest.length ? Math.max(...oldest) : null;
  const [rate, failed] = workTiles(live, workers);
  return {
    viability: { value: known(viability?.score ?? null, (value) => score(value)), said: viability?.status ?? "unknown", bad: viability?.status === "critical" },
    alerts: alertTile(live),
    pains: painTile(live),
    workers: { value: `${short(active)} / ${short(all)}`, said: unheard ? t("{unheard} not heard", { unheard }) : all ? t("all answer") : t("none watched"), bad: unheard > 0 },
    rate,
    failing: failed,
    waiting: { value: known(sum(told(queues, "ready"))), said: longest === null ? t("in {queues} queues", { queues: queues.length }) : t("the oldest {longest}", { longest: duration(longest) }), bad: longest > LONG_SECONDS },
  };
}

// The page has a tile of each name in *box*, so that nothing moves when the numbers come.
export function showTiles(live, box) {
  return () => {
    for (const [name, tile] of Object.entries(tiles(live))) update(box.querySelector(`[data-key="${name}"]`), tile);
  };
}

function update(node, tile) {
  const [value, said] = node.querySelectorAll("dd");
  setText(value, tile.value);
  setText(said, tile.said);
  setClass(said, tile.bad ? "said is-bad" : "said");
}
