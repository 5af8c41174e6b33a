// The page of fleets: whether each broker answers, live.
import { live } from "./here.js";
import { answeredAt, countsIn } from "./live.js";
import { setText } from "./dom.js";
import { ago } from "./format.js";
import { t, tn } from "./text.js";

function draw() {
  for (const cell of document.querySelectorAll("[data-fleet]")) {
    const fleet = live.data.fleets.get(cell.dataset.fleet);
    if (!fleet) continue;
    const workers = tn("{n} worker", "{n} workers", countsIn(live, "celery_worker", fleet).units);
    const found = `${workers}, ${tn("{n} queue", "{n} queues", countsIn(live, "celery_queue", fleet).units)}`;
    const connected = answeredAt(live, fleet);
    const state = fleet.last_error || (connected === null ? t("not reached yet") : t("answered {when}", { when: ago(Math.max(0, live.now() - connected)) }));
    setText(cell, fleet.enabled ? `${state} · ${found}` : t("switched off"));
  }
}

live.on("update", draw);
setInterval(draw, 1000);
