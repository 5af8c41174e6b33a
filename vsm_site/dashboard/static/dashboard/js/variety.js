// The variety of a system, measured anew every half minute.
import { config, withSystem } from "./config.js";
import { Chart } from "./charts.js";
import { el, setText } from "./dom.js";
import { ago, epoch, words } from "./format.js";
import { Live } from "./live.js";
import { adviceList, bandBadge, bits, panelPicture, ratio } from "./panel.js";
import { getJson } from "./post.js";
import { showStrip } from "./strip.js";

const SECONDS = { "1h": 3600, "6h": 21600, "24h": 86400, "7d": 604800 };
const LINES = ["environment", "operation", "management"];
const MOST_UNITS = 100;
const POSITIONS = { below: ["degraded", "too little"], within: ["healthy", "in its range"], above: ["degraded", "too much"], insufficient_data: ["unknown", "too few observations"] };
const ARROWS = { rising: "↗ rising", falling: "↘ falling", steady: "→ steady", insufficient_data: "" };
const NOTHING = "Nothing was measured yet. Variety is read from what units do: add a fleet, push operations with vsm_client, or simply wait: the platform watches its own work, and the first figures come within a minute.";
const live = new Live();
const box = document.getElementById("history");
let body = config.variety;
let range = document.querySelector("button.range").dataset.range;
let chart = null;

function part(id) {
  return document.getElementById(id);
}

function empty(id, text) {
  part(id).replaceChildren(el("p", { class: "empty" }, text));
}

function draw() {
  const known = body.status === "measured";
  setText(part("as-of"), known ? `up to ${ago(Math.max(0, live.now() - epoch(body.at)))}` : "");
  if (!known) {
    for (const id of ["panel", "advice", "ranges", "scales", "states"]) empty(id, id === "panel" ? NOTHING : "Nothing was measured yet.");
    return;
  }
  part("panel").replaceChildren(panelPicture(body), balanceFacts(body));
  drawAdvice();
  drawRanges();
  drawScales();
  drawStates();
}

function balanceFacts({ operational: { balance }, outcome, operation_and_outcome: relation }) {
  const facts = [
    ["Variety ratio", el("span", {}, `${ratio(balance)} `, bandBadge(balance.band))],
    ["Recommendation", balance.recommendation ?? "unknown"],
    ["Lacking", bits(balance.deficit_bits)],
    ["Buffer", bits(balance.buffer_bits)],
    ["Answers tell of questions", balance.mutual_information === null ? "unknown" : `${balance.mutual_information.toFixed(2)} bits of mutual information`],
    ["Must get through", bits(balance.least_leak_bits)],
    ["Outcomes", outcome.bits === null ? "unknown" : `${bits(outcome.bits)} in ${outcome.observed_states} kinds`],
    ["Regulated away", balance.regulation_effectiveness === null ? "unknown" : `${(100 * balance.regulation_effectiveness).toFixed(0)} %`],
    ["Operation and outcome", relation ? `${bits(relation.joint_bits)} together` : "unknown"],
  ];
  return el("dl", { class: "fact-row" }, ...facts.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))));
}

function drawAdvice() {
  const ranged = Object.values(body.subsystems).flatMap((one) => one.suggestions);
  const all = [...body.operational.suggestions, ...body.managerial.suggestions, ...ranged];
  const once = [...new Map(all.map((one) => [`${one.name} ${one.because}`, one])).values()];
  if (once.length) part("advice").replaceChildren(adviceList(once));
  else empty("advice", "Nothing: the balances are in order.");
}

function table(heads, rows, kind = "") {
  return el("div", { class: "table-wrap" }, el("table", { class: kind }, el("thead", {}, el("tr", {}, ...heads.map((head) => el("th", { scope: "col" }, head)))), el("tbody", {}, ...rows.map((cells) => el("tr", {}, ...cells.map((cell, place) => el("td", { "data-head": heads[place] }, cell)))))));
}

function drawRanges() {
  const rows = Object.entries(body.subsystems).map(([name, one]) => {
    const [badge, text] = POSITIONS[one.position];
    return [`${name.toUpperCase()} ${config.titles[name] ?? ""}`, bits(one.bits), `${one.range.low} to ${one.range.high}`, el("span", { class: `badge ${badge}` }, text)];
  });
  const balance = body.s3_s4_balance === null ? "unknown: one of the two was not observed" : `${body.s3_s4_balance.toFixed(2)}, ${words(body.s3_s4)}`;
  part("ranges").replaceChildren(table(["System", "Variety", "Its range", ""], rows), el("p", { class: "quiet" }, `S3 to S4: ${balance}`));
}

function drawScales() {
  const heads = ["Window", ...LINES, "Watched", "Trend of what is asked", "Drift"];
  const rows = body.temporal.environment.map((scale, place) => {
    const cells = LINES.map((name) => body.temporal[name][place].variety.bits).map((value) => (value === null ? "–" : value.toFixed(2)));
    const { trend, drift } = scale;
    const drifted = drift.drifted === null ? "" : drift.drifted ? `yes, ${bits(drift.divergence_bits)}` : "no";
    return [scale.scale, ...cells, `${Math.round(100 * scale.covered)} %`, ARROWS[trend.direction], drifted];
  });
  part("scales").replaceChildren(table(heads, rows), el("p", { class: "quiet" }, "A trend needs eight closed windows, drift enough observations before and now; until then both stay empty."));
}

function drawStates() {
  const names = ["environment", "operation", "outcome", "management"];
  part("states").replaceChildren(...names.map((name) => {
    const counts = body.states[name];
    const list = counts.length ? el("ol", { class: "states" }, ...counts.slice(0, 6).map(([state, n]) => el("li", {}, el("span", { class: "breakable" }, state), " ", el("span", { class: "quiet number" }, `× ${n}`)))) : el("p", { class: "empty" }, "none observed");
    return el("div", {}, el("h3", {}, words(name)), list);
  }));
}

async function drawUnits() {
  try {
    const { results } = await getJson(withSystem("/api/v1/variety/units/", { limit: MOST_UNITS, ordering: "-at" }));
    setText(part("by-unit-count"), results.length ? String(results.length) : "");
    if (!results.length) return empty("by-unit", "No unit did anything yet.");
    const telling = (one) => (one.environment_from === "operations" ? 0 : 1);
    const rows = results.sort((a, b) => telling(a) - telling(b) || a.unit.localeCompare(b.unit)).map((one) => [
      one.unit_id ? el("a", { class: "breakable", href: `/dashboard/units/${one.unit_id}/` }, one.unit) : el("span", { class: "breakable" }, one.unit),
      bits(one.environment.bits), bits(one.operation.bits), bits(one.management.bits), ratio(one.operational.balance), bandBadge(one.operational.balance.band),
    ]);
    part("by-unit").replaceChildren(table(["Unit", "Environment", "Operation", "Management", "Ratio", ""], rows, "stack headed"));
  } catch (problem) {
    empty("by-unit", `No panels: ${problem.message}`);
  }
}

async function drawHistory() {
  const asked = range;
  try {
    const answer = await getJson(withSystem("/dashboard/variety/history/", { range }));
    if (asked !== range) return;
    const columns = LINES.map((name) => answer[name]);
    if (!columns.some((line) => line.some((value) => value !== null))) {
      chart?.destroy();
      chart = null;
      empty("history", "No reading in this range yet; one is made every 30 seconds.");
      return;
    }
    if (!chart) {
      box.replaceChildren();
      chart = new Chart(box, "bits", LINES);
    }
    chart.set([answer.at, ...columns]);
    chart.show(live.now() - SECONDS[range], live.now());
  } catch (problem) {
    chart?.destroy();
    chart = null;
    empty("history", `No history: ${problem.message}`);
  }
}

async function load() {
  try {
    body = await getJson(withSystem("/api/v1/variety/now/"));
    draw();
  } catch (problem) {
    setText(part("as-of"), `not to be had: ${problem.message}`);
  }
  await Promise.all([drawHistory(), drawUnits()]);
}

for (const button of document.querySelectorAll("button.range")) {
  button.addEventListener("click", () => {
    range = button.dataset.range;
    for (const other of document.querySelectorAll("button.range")) other.setAttribute("aria-pressed", String(other === button));
    drawHistory();
  });
}

showStrip(live);
draw();
live.on("snapshot", load);
live.on("variety", load);
setInterval(() => body.at && setText(part("as-of"), `up to ${ago(Math.max(0, live.now() - epoch(body.at)))}`), 1000);
