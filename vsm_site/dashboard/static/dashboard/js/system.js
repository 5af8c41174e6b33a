// One subsystem, or the whole: its measures now and its scores over time.
import { config, withSystem } from "./config.js";
import { badge } from "./badge.js";
import { Chart } from "./charts.js";
import { el, perFrame } from "./dom.js";
import { epoch, score } from "./format.js";
import { Live } from "./live.js";
import { getJson } from "./post.js";
import { showStrip } from "./strip.js";
import { setFacts, showChecks, showViability } from "./viability.js";

const SECONDS = { "1h": 3600, "6h": 21600, "24h": 86400, "7d": 604800 };
const live = new Live();
const now = document.getElementById("now");
const box = document.getElementById("history");
let range = document.querySelector("button.range").dataset.range;
let chart = null;
let columns = [[], []];

function drawNow() {
  const { viability } = live.data;
  if (!viability) return;
  if (!config.subsystem) {
    showViability(now, viability);
    showChecks(now, viability.structural?.checks ?? []);
    return;
  }
  const card = viability.subsystems?.[config.subsystem];
  if (!card) {
    now.replaceChildren(el("p", { class: "empty" }, "Not assessed yet. The first assessment comes within 30 seconds."));
    return;
  }
  const facts = el("dl", { class: "facts" });
  setFacts(facts, card.measures);
  now.replaceChildren(el("div", { class: "score-row" }, el("span", { class: "score" }, card.score === null ? "–" : score(card.score)), badge(card.status)), card.reason ? el("p", { class: "quiet" }, card.reason) : null, facts);
}

function drawHistory() {
  if (!columns[1].some((value) => value !== null)) {
    chart?.destroy();
    chart = null;
    box.replaceChildren(el("p", { class: "empty" }, columns[0].length ? "The score was unknown for all of this time." : "No assessment in this range yet; one is made every 30 seconds."));
    return;
  }
  if (!chart) {
    box.replaceChildren();
    chart = new Chart(box, "score", ["score"], [0, 1]);
  }
  chart.set(columns);
  chart.show(live.now() - SECONDS[range], live.now());
}

async function load() {
  const asked = range;
  try {
    const answer = await getJson(withSystem("/dashboard/history/", { subsystem: config.subsystem, range }));
    if (asked !== range) return;
    columns = [answer.at, answer.score];
    drawHistory();
  } catch (problem) {
    chart?.destroy();
    chart = null;
    box.replaceChildren(el("p", { class: "empty" }, `No history: ${problem.message}`));
  }
}

for (const button of document.querySelectorAll("button.range")) {
  button.addEventListener("click", () => {
    range = button.dataset.range;
    for (const other of document.querySelectorAll("button.range")) other.setAttribute("aria-pressed", String(other === button));
    load();
  });
}

showStrip(live);
const drawSoon = perFrame(drawNow);
live.on("snapshot", () => {
  drawSoon();
  load();
});
live.on("assessment", ({ body }) => {
  const value = config.subsystem ? body.subsystems?.[config.subsystem]?.score ?? null : body.score;
  columns = [[...columns[0], epoch(body.assessed_at)], [...columns[1], value]];
  drawSoon();
  drawHistory();
});
