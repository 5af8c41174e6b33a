// The line under the navigation: is it live, how old is the last tick, how old the last assessment.
import { setText } from "./dom.js";
import { ago, epoch } from "./format.js";
import { tickAge } from "./live.js";

const LATE_SECONDS = 15;
const SENTENCES = {
  connecting: () => "Connecting…",
  live: () => "Live",
  lost: (live) => `Connection lost, trying again: the numbers are as of ${ago((Date.now() - live.heardAt) / 1000)}`,
  refused: () => "Not connected: log in again, or choose a system of yours",
};

export function showStrip(live) {
  const strip = document.getElementById("strip");
  const [connection, tick, assessed] = ["connection", "tick", "assessed"].map((id) => document.getElementById(id));

  function draw() {
    strip.dataset.state = live.state === "refused" ? "lost" : live.state;
    setText(connection, SENTENCES[live.state](live));
    const age = tickAge(live);
    if (age !== null) {
      const { answered_count: answered, unit_count: units, duration_ms: took } = live.data.tick;
      const counts = units ? `: ${answered} of ${units} units answered` : "";
      setText(tick, `Last tick ${ago(age)}${counts}${took ? ` in ${Math.round(took)} ms` : ""}`);
      tick.className = age > LATE_SECONDS ? "late" : "";
    }
    const at = epoch(live.data.viability?.assessed_at);
    setText(assessed, at === null || at === undefined ? "" : `Assessed ${ago(Math.max(0, live.now() - at))}`);
  }

  live.on("state", draw);
  live.on("update", draw);
  setInterval(draw, 1000);
  draw();
}
