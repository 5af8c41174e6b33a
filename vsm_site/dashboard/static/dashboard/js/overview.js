// The overview page.
import { config } from "./config.js";
import { showAlerts } from "./alerts.js";
import { el, keyed, perFrame, setText } from "./dom.js";
import { ago, epoch, metricValue, short } from "./format.js";
import { Live, answeredAt } from "./live.js";
import { showSignals } from "./signals.js";
import { showStrip } from "./strip.js";
import { UnitTable } from "./units.js";
import { showCards, showViability } from "./viability.js";

const live = new Live();
const boxes = Object.fromEntries(["viability", "cards", "alerts", "alert-count", "queues", "fleets"].map((id) => [id, document.getElementById(id)]));
const drawAlerts = showAlerts(live, boxes.alerts, boxes["alert-count"]);
const urgent = document.getElementById("urgent");
const drawUrgent = showSignals(live, document.getElementById("urgent-list"), document.getElementById("urgent-count"), {
  wanted: (signal) => signal.type === "pain" && (signal.severity === "critical" || signal.severity === "high"),
  show: (number) => { urgent.hidden = number === 0; },
});
const table = new UnitTable(live);
let shownViability = null;

function draw() {
  if (live.seq === null) return;
  const { viability } = live.data;
  if (viability !== shownViability) {
    shownViability = viability;
    showViability(boxes.viability, viability);
    showCards(boxes.cards, viability?.subsystems);
  }
  drawAlerts();
  drawUrgent();
  table.draw();
  drawQueues();
  drawFleets();
}

function drawQueues() {
  const queues = [...live.data.units.values()].filter((unit) => unit.kind === "celery_queue");
  const depth = (unit) => (unit.latest?.ready?.[1] ?? 0) + (unit.latest?.unacked?.[1] ?? 0);
  const deepest = Math.max(10, ...queues.map(depth));
  queues.sort((a, b) => depth(b) - depth(a) || a.name.localeCompare(b.name));
  fill(boxes.queues, queues.slice(0, 15), "No queue is watched yet. Queues appear with their fleet.", makeQueue, (node, unit) => updateQueue(node, unit, deepest));
}

function fill(box, items, emptyText, make, update) {
  if (!items.length) {
    if (box.dataset.empty !== "yes") box.replaceChildren(el("p", { class: "empty" }, emptyText));
    box.dataset.empty = "yes";
    return;
  }
  if (box.dataset.empty !== "no") box.replaceChildren();
  box.dataset.empty = "no";
  keyed(box, items, (item) => item.id, make, update);
}

function makeQueue(unit) {
  return el("div", { class: "queue", "data-queue": unit.name },
    el("div", { class: "queue-head" }, el("a", { href: `/dashboard/units/${unit.id}/${config.query}` }, unit.name), el("span", { class: "number ready" })),
    el("div", { class: "meter", "aria-hidden": "true" }, el("span", {}), el("span", {})), el("div", { class: "quiet rest" }));
}

function updateQueue(node, unit, deepest) {
  const value = (metric) => unit.latest?.[metric]?.[1];
  const [ready, unacked] = [value("ready"), value("unacked")];
  setText(node.querySelector(".ready"), ready === undefined ? "unknown" : `${short(ready)} ready`);
  const [first, second] = node.querySelectorAll(".meter span");
  first.style.flexBasis = `${((ready ?? 0) / deepest) * 100}%`;
  second.style.flexBasis = `${((unacked ?? 0) / deepest) * 100}%`;
  const rest = [
    unacked === undefined ? null : `${short(unacked)} in work`,
    value("consumers") === undefined ? null : `${value("consumers")} ${value("consumers") === 1 ? "consumer" : "consumers"}`,
    value("oldest_age_seconds") === undefined ? null : `oldest ${metricValue("oldest_age_seconds", value("oldest_age_seconds"))}`,
  ].filter(Boolean);
  setText(node.querySelector(".rest"), rest.join(" · "));
}

function drawFleets() {
  const fleets = [...live.data.fleets.values()].sort((a, b) => b.own - a.own || a.name.localeCompare(b.name));
  fill(boxes.fleets, fleets, "No fleet is watched yet. Add one by its broker URL under Fleets.", makeFleet, updateFleet);
}

function makeFleet() {
  return el("div", { class: "fleet" }, el("strong", {}), " ", el("code", { class: "quiet" }), el("div", { class: "fleet-state quiet" }), el("div", { class: "error" }));
}

function updateFleet(node, fleet) {
  setText(node.querySelector("strong"), fleet.name);
  setText(node.querySelector("code"), fleet.broker);
  const connected = answeredAt(live, fleet);
  const state = !fleet.enabled ? "switched off" : connected === null ? "not reached yet" : `broker answered ${ago(Math.max(0, live.now() - connected))}`;
  setText(node.querySelector(".fleet-state"), state);
  setText(node.querySelector(".error"), fleet.last_error ?? "");
}

const drawSoon = perFrame(draw);
showStrip(live);
live.on("update", drawSoon);
setInterval(drawSoon, 1000); // ages count up between the changes
