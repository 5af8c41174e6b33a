// The overview: a line of numbers above one of three views, viability, performance and what hurts.
import { config } from "./config.js";
import { perFrame } from "./dom.js";
import { live } from "./here.js";
import { ownFleets } from "./live.js";
import { showTiles } from "./tiles.js";

const VIEWS = { viability: "./overview_viability.js", performance: "./overview_performance.js", algedonic: "./overview_algedonic.js" };
const drawTiles = showTiles(live, document.getElementById("tiles"));
const { show } = await import(VIEWS[config.tab]);
const drawView = show(live);

const drawSoon = perFrame(() => {
  if (live.seq === null) return;
  drawTiles();
  drawView();
});
live.on("update", drawSoon);
setInterval(drawSoon, 1000); // ages count up between the changes
drawSoon();

// Whoever waits for the first worker of a fleet sees the step done as soon as it is heard.
if (document.querySelector("#guide-workers.is-next")) {
  const wait = setInterval(() => {
    const own = ownFleets(live);
    if (![...live.data.units.values()].some((unit) => unit.kind === "celery_worker" && unit.state === "active" && !own.has(unit.fleet))) return;
    clearInterval(wait);
    location.reload();
  }, 1000);
}
