// The line under the navigation: is it live, how old is the last tick, how old the last assessment.
import { setText } from "./dom.js";
import { ago, clock, epoch } from "./format.js";
import { tickAge } from "./live.js";
import { t, tn } from "./text.js";

const LATE_SECONDS = 15;
const STALE = new Set(["lost", "refused", "stale"]); // what is shown is greyed then
let pausedAt = null;
const SENTENCES = {
  connecting: () => t("Connecting…"),
  live: () => t("Live"),
  stale: () => t("Connected, but nothing was collected lately"),
  paused: (live) => t("Paused at {pausedAt}, {changes}", { pausedAt: clock(pausedAt), changes: tn("{n} change waits", "{n} changes wait", live.held.length) }),
  lost: (live) => t("Connection lost, trying again: the numbers are as of {when}", { when: ago((Date.now() - live.heardAt) / 1000) }),
  refused: () => t("Not connected: log in again, or choose a system of yours"),
};

export function showStrip(live) {
  const strip = document.getElementById("strip");
  const [connection, tick, assessed] = ["connection", "tick", "assessed"].map((id) => document.getElementById(id));

  function draw() {
    const { condition } = live;
    strip.dataset.state = condition === "refused" ? "lost" : condition;
    setText(connection, SENTENCES[condition](live));
    connection.title = connection.textContent; // where there is too little room for all of it
    document.getElementById("content").classList.toggle("is-stale", STALE.has(condition));
    const age = tickAge(live);
    if (age !== null) {
      const { answered_count: answered, unit_count: units, duration_ms: took } = live.data.tick;
      const counts = units ? `: ${t("{answered} of {units} units answered", { answered, units })}` : "";
      setText(tick, t("Last tick {age}{counts}{took}", { age: ago(age), counts, took: took ? ` ${t("in {took} ms", { took: Math.round(took) })}` : "" }));
      tick.className = age > LATE_SECONDS ? "late" : "";
    }
    const at = epoch(live.data.viability?.assessed_at);
    setText(assessed, at === null || at === undefined ? "" : t("Assessed {when}", { when: ago(Math.max(0, live.now() - at)) }));
  }

  const hold = document.getElementById("hold");
  hold.addEventListener("click", () => {
    if (live.paused) live.resume();
    else live.pause();
  });
  live.on("pause", ({ paused }) => {
    pausedAt = paused ? (pausedAt ?? Date.now() / 1000) : null;
    const [pause, resume] = hold.children;
    pause.hidden = paused;
    resume.hidden = !paused;
  });
  live.on("state", draw);
  live.on("pause", draw);
  live.on("update", draw);
  setInterval(draw, 1000);
  draw();
}
