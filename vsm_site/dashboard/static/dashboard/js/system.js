// One subsystem, or the whole: its measures now and its scores over time.
import { config, withSystem } from "./config.js";
import { badge } from "./badge.js";
import { Chart } from "./charts.js";
import { el, perFrame } from "./dom.js";
import { epoch, score } from "./format.js";
import { live } from "./here.js";
import { getJson } from "./post.js";
import { asked, isLive, onRange, showBetween, spanNow } from "./range.js";
import { following } from "./following.js";
import { t } from "./text.js";
import { setFacts, showChecks, showViability } from "./viability.js";

const now = document.getElementById("now");
const box = document.getElementById("history");
let chart = null;
let question = 0;
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
    now.replaceChildren(el("p", { class: "empty" }, t("Not assessed yet. The first assessment comes within 30 seconds.")));
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
    box.replaceChildren(el("p", { class: "empty" }, columns[0].length ? t("The score was unknown for all of this time.") : t("No assessment in this range yet; one is made every 30 seconds.")));
    return;
  }
  if (!chart) {
    box.replaceChildren();
    chart = new Chart(box, "score", ["score"], [0, 1], [], { zoom: showBetween });
  }
  chart.set(columns);
  const { from, to } = spanNow();
  chart.show(from, to);
}

async function load() {
  const mine = ++question;
  try {
    const answer = await getJson(withSystem("/dashboard/history/", { subsystem: config.subsystem, ...asked() }));
    if (mine !== question) return;
    columns = [answer.at, answer.score];
    drawHistory();
  } catch (problem) {
    chart?.destroy();
    chart = null;
    box.replaceChildren(el("p", { class: "empty" }, t("No history: {message}", { message: problem.message })));
  }
}

onRange(load);

const drawSoon = perFrame(drawNow);
live.on("snapshot", () => {
  drawSoon();
  load();
});
const refreshMonitors = config.subsystem ? following("monitors") : () => {};
live.on("assessment", ({ body }) => {
  refreshMonitors();
  const value = config.subsystem ? body.subsystems?.[config.subsystem]?.score ?? null : body.score;
  if (isLive()) columns = [[...columns[0], epoch(body.assessed_at)], [...columns[1], value]];
  drawSoon();
  drawHistory();
});
