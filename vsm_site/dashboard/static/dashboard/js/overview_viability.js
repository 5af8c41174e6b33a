// The view of viability: the diagram, what is urgent, the score and what would raise it, fleets, cards, what changed.
import { config, withSystem } from "./config.js";
import { showAlerts } from "./alerts.js";
import { badge } from "./badge.js";
import { el, keyed, setText } from "./dom.js";
import { ago, clock, duration, metricValue, short } from "./format.js";
import { answeredAt, countsIn } from "./live.js";
import { showModel } from "./model.js";
import { getJson } from "./post.js";
import { showSignals } from "./signals.js";
import { t } from "./text.js";
import { heard, sum, told } from "./told.js";
import { showCards, showViability, showWhole } from "./viability.js";

const part = (id) => document.getElementById(id);
const PAIN = t("Nothing hurts. Pain and pleasure appear here the moment they are heard.");
let facts = config;
let shown = null;

export function show(live) {
  const model = showModel(live, part("model"), config.model, load);
  const drawAlerts = showAlerts(live, part("alerts"), part("alert-count"));
  const drawSignals = showSignals(live, part("urgent-list"), part("urgent-count"), { empty: PAIN, folded: 4 });

  async function load() {
    facts = await getJson(withSystem("/dashboard/overview/facts/"));
    shown = null;
    draw();
    return facts.model;
  }

  function draw() {
    const { viability } = live.data;
    if (viability !== shown) {
      shown = viability;
      showViability(part("viability"), viability, facts.model.inside);
      showWhole(part("whole"), facts.scores);
      showCards(part("cards"), viability?.subsystems, facts.scores, facts.tasks);
      drawChanges();
    }
    model.draw();
    drawAlerts();
    drawSignals();
    drawFleets(live);
  }
  return draw;
}

function drawChanges() {
  const { groups, newest } = facts.changes;
  if (!groups.length) {
    part("changes").replaceChildren(el("p", { class: "empty" }, t("Nothing changed: no alert, no act, no edit, nobody came or went.")));
    return;
  }
  const linked = (href) => (config.query ? `${href}${href.endsWith("?") ? "" : "&"}${config.query.slice(1)}` : href);
  part("changes").replaceChildren(
    el("ul", { class: "change-counts" }, ...groups.map((group) => el("li", {}, el("a", { href: linked(group.href) }, group.title, el("strong", { class: "number" }, short(group.count)))))),
    el("ol", { class: "change-list" }, ...newest.map((each) => el("li", {},
      el("span", { class: "number" }, clock(each.at)), el("a", { href: `/dashboard/events/${each.position}/${config.query}` }, each.what), el("span", { class: "about" }, [each.about, each.by && t("by {who}", { who: each.by })].filter(Boolean).join(" · "))))),
  );
}

// --- Fleets at a glance -----------------------------------------------------------------------------------------------
const HEADS = [t("Fleet"), t("Broker"), t("Workers"), t("Tasks"), t("Failing"), t("Waiting"), t("Oldest")];

function drawFleets(live) {
  const fleets = [...live.data.fleets.values()].sort((a, b) => a.own - b.own || a.name.localeCompare(b.name));
  const box = part("fleets");
  if (!box.querySelector("tbody")) {
    box.replaceChildren(el("div", { class: "table-wrap" }, el("table", { class: "stack headed fleet-table" }, el("thead", {}, el("tr", {}, ...HEADS.map((head) => el("th", { scope: "col" }, head)))), el("tbody", {}))));
  }
  const units = new Map(fleets.map((fleet) => [fleet.name, []]));
  for (const unit of live.data.units.values()) units.get(unit.fleet)?.push(unit);
  keyed(box.querySelector("tbody"), fleets, (fleet) => fleet.id, makeFleet, (row, fleet) => updateFleet(row, fleet, units.get(fleet.name), live));
}

function makeFleet(fleet) {
  const name = el("td", { "data-head": t("Fleet") }, el("strong", {}, el("a", { href: `/dashboard/workers/${config.query}` }, fleet.name)), fleet.own ? el("span", { class: "quiet" }, ` ${t("the platform's own")}`) : null);
  return el("tr", { "data-fleet": fleet.name }, name, el("td", { class: "breakable", "data-head": t("Broker") }, badge("unknown"), el("div", { class: "error" })), ...HEADS.slice(2).map((head) => el("td", { class: "number", "data-head": head })));
}

function updateFleet(row, fleet, units, live) {
  const seen = (kind) => units.filter((unit) => unit.kind === kind);
  const floor = (kind) => (seen(kind).length < countsIn(live, kind, fleet).units ? "≥ " : ""); // of those in sight
  const connected = answeredAt(live, fleet);
  const [, broker, workers, rate, failing, waiting, oldest] = row.children;
  const state = !fleet.enabled ? t("switched off") : connected === null ? t("not reached yet") : t("answered {when}", { when: ago(Math.max(0, live.now() - connected)) });
  const sign = broker.querySelector(".badge");
  sign.className = `badge ${!fleet.enabled || connected === null ? "unknown" : fleet.last_error ? "unhealthy" : "healthy"}`;
  setText(sign, state);
  setText(broker.querySelector(".error"), fleet.last_error ?? "");
  const counts = countsIn(live, "celery_worker", fleet);
  setText(workers, t("{some} of {all}", { some: counts.active, all: counts.units }));
  const rates = sum(told(seen("celery_worker"), "task_rate"));
  setText(rate, rates === null ? t("unknown") : `${floor("celery_worker")}${short(rates)}/s`);
  const failed = heard(units).map((unit) => [unit.latest?.task_rate?.[1] ?? 0, unit.latest?.failure_rate?.[1]]).filter(([n, share]) => n > 0 && share !== undefined);
  setText(failing, failed.length && rates && !floor("celery_worker") ? metricValue("failure_rate", sum(failed.map(([n, share]) => n * share)) / sum(failed.map(([n]) => n))) : t("unknown"));
  const ready = sum(told(seen("celery_queue"), "ready"));
  setText(waiting, ready === null ? t("unknown") : `${floor("celery_queue")}${short(ready)}`);
  const ages = told(seen("celery_queue"), "oldest_age_seconds");
  setText(oldest, ages.length ? `${floor("celery_queue")}${duration(Math.max(...ages))}` : "–");
}
