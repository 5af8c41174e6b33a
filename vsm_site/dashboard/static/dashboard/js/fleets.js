// The page of fleets: whether each broker answers, live.
import { Live, answeredAt } from "./live.js";
import { setText } from "./dom.js";
import { ago } from "./format.js";
import { showStrip } from "./strip.js";

const live = new Live();
showStrip(live);

function counted(units, kind, word) {
  const count = units.filter((unit) => unit.kind === kind).length;
  return `${count} ${word}${count === 1 ? "" : "s"}`;
}

function draw() {
  for (const cell of document.querySelectorAll("[data-fleet]")) {
    const fleet = live.data.fleets.get(cell.dataset.fleet);
    if (!fleet) continue;
    const units = [...live.data.units.values()].filter((unit) => unit.fleet === fleet.name);
    const found = `${counted(units, "celery_worker", "worker")}, ${counted(units, "celery_queue", "queue")}`;
    const connected = answeredAt(live, fleet);
    const state = fleet.last_error || (connected === null ? "not reached yet" : `answered ${ago(Math.max(0, live.now() - connected))}`);
    setText(cell, fleet.enabled ? `${state} · ${found}` : "switched off");
  }
}

live.on("update", draw);
setInterval(draw, 1000);
