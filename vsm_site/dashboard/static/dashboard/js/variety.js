// The variety of a system, measured anew every half minute.
import { config, withSystem } from "./config.js";
import { Chart } from "./charts.js";
import { el, setText } from "./dom.js";
import { ago, epoch, words } from "./format.js";
import { live } from "./here.js";
import { adviceList, bandBadge, bits, panelPicture, ratio } from "./panel.js";
import { getJson } from "./post.js";
import { asked, onRange, showBetween, spanNow } from "./range.js";
import { t } from "./text.js";

const LINES = ["environment", "operation", "management"];
const MOST_UNITS = 100;
const POSITIONS = { below: ["degraded", t("too little")], within: ["healthy", t("in its range")], above: ["degraded", t("too much")], insufficient_data: ["unknown", t("too few observations")] };
const ARROWS = { rising: t("↗ rising"), falling: t("↘ falling"), steady: t("→ steady"), insufficient_data: "" };
const NOTHING = t("Nothing was measured yet. Variety is read from what units do: add a fleet, push operations with vsm_client, or simply wait: the platform watches its own work, and the first figures come within a minute.");
const box = document.getElementById("history");
let body = config.variety;
let question = 0;
let chart = null;

function part(id) {
  return document.getElementById(id);
}

function empty(id, text) {
  part(id).replaceChildren(el("p", { class: "empty" }, text));
}

function draw() {
  const known = body.status === "measured";
  setText(part("as-of"), known ? t("up to {when}", { when: ago(Math.max(0, live.now() - epoch(body.at))) }) : "");
  if (!known) {
    for (const id of ["panel", "advice", "ranges", "scales", "states"]) empty(id, id === "panel" ? NOTHING : t("Nothing was measured yet."));
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
    [t("Variety ratio"), el("span", {}, `${ratio(balance)} `, bandBadge(balance.band))],
    [t("Recommendation"), balance.recommendation ?? t("unknown")],
    [t("Lacking"), bits(balance.deficit_bits)],
    [t("Buffer"), bits(balance.buffer_bits)],
    [t("Answers tell of questions"), balance.mutual_information === null ? t("unknown") : t("{mutual_information} bits of mutual information", { mutual_information: balance.mutual_information.toFixed(2) })],
    [t("Must get through"), bits(balance.least_leak_bits)],
    [t("Outcomes"), outcome.bits === null ? t("unknown") : t("{outcome} in {observed_states} kinds", { outcome: bits(outcome.bits), observed_states: outcome.observed_states })],
    [t("Regulated away"), balance.regulation_effectiveness === null ? t("unknown") : `${(100 * balance.regulation_effectiveness).toFixed(0)} %`],
    [t("Operation and outcome"), relation ? t("{bits} together", { bits: bits(relation.joint_bits) }) : "unknown"],
  ];
  return el("dl", { class: "fact-row" }, ...facts.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))));
}

function drawAdvice() {
  const ranged = Object.values(body.subsystems).flatMap((one) => one.suggestions);
  const all = [...body.operational.suggestions, ...body.managerial.suggestions, ...ranged];
  const once = [...new Map(all.map((one) => [`${one.name} ${one.because}`, one])).values()];
  if (once.length) part("advice").replaceChildren(adviceList(once));
  else empty("advice", t("Nothing: the balances are in order."));
}

function table(heads, rows, kind = "") {
  return el("div", { class: "table-wrap" }, el("table", { class: kind }, el("thead", {}, el("tr", {}, ...heads.map((head) => (head ? el("th", { scope: "col" }, head) : el("td"))))), el("tbody", {}, ...rows.map((cells) => el("tr", {}, ...cells.map((cell, place) => el("td", { "data-head": heads[place] }, cell)))))));
}

function drawRanges() {
  const rows = Object.entries(body.subsystems).map(([name, one]) => {
    const [badge, text] = POSITIONS[one.position];
    return [`${name.toUpperCase()} ${config.titles[name] ?? ""}`, bits(one.bits), t("{low} to {high}", { low: one.range.low, high: one.range.high }), el("span", { class: `badge ${badge}` }, text)];
  });
  const balance = body.s3_s4_balance === null ? t("unknown: one of the two was not observed") : `${body.s3_s4_balance.toFixed(2)}, ${words(body.s3_s4)}`;
  part("ranges").replaceChildren(table([t("System"), t("Variety"), t("Its range"), ""], rows), el("p", { class: "quiet" }, t("S3 to S4: {balance}", { balance })));
}

function drawScales() {
  const heads = [t("Window"), ...LINES, t("Watched"), t("Trend of what is asked"), t("Drift")];
  const rows = body.temporal.environment.map((scale, place) => {
    const cells = LINES.map((name) => body.temporal[name][place].variety.bits).map((value) => (value === null ? "–" : value.toFixed(2)));
    const { trend, drift } = scale;
    const drifted = drift.drifted === null ? "" : drift.drifted ? `yes, ${bits(drift.divergence_bits)}` : "no";
    return [scale.scale, ...cells, `${Math.round(100 * scale.covered)} %`, ARROWS[trend.direction], drifted];
  });
  part("scales").replaceChildren(table(heads, rows), el("p", { class: "quiet" }, t("A trend needs eight closed windows, drift enough observations before and now; until then both stay empty.")));
}

function drawStates() {
  const names = ["environment", "operation", "outcome", "management"];
  part("states").replaceChildren(...names.map((name) => {
    const counts = body.states[name];
    const list = counts.length ? el("ol", { class: "states" }, ...counts.slice(0, 6).map(([state, n]) => el("li", {}, el("span", { class: "breakable" }, state), " ", el("span", { class: "quiet number" }, `× ${n}`)))) : el("p", { class: "empty" }, t("none observed"));
    return el("div", {}, el("h3", {}, words(name)), list);
  }));
}

async function drawUnits() {
  try {
    const { results } = await getJson(withSystem("/api/v1/variety/units/", { limit: MOST_UNITS, ordering: "-at" }));
    setText(part("by-unit-count"), results.length ? String(results.length) : "");
    if (!results.length) return empty("by-unit", t("No unit did anything yet."));
    const telling = (one) => (one.environment_from === "operations" ? 0 : 1);
    const rows = results.sort((a, b) => telling(a) - telling(b) || a.unit.localeCompare(b.unit)).map((one) => [
      one.unit_id ? el("a", { class: "breakable", href: `/dashboard/units/${one.unit_id}/` }, one.unit) : el("span", { class: "breakable" }, one.unit),
      bits(one.environment.bits), bits(one.operation.bits), bits(one.management.bits), ratio(one.operational.balance), bandBadge(one.operational.balance.band),
    ]);
    part("by-unit").replaceChildren(table([t("Unit"), t("Environment"), t("Operation"), t("Management"), t("Ratio"), ""], rows, "stack headed"));
  } catch (problem) {
    empty("by-unit", t("No panels: {message}", { message: problem.message }));
  }
}

async function drawHistory() {
  const mine = ++question;
  try {
    const answer = await getJson(withSystem("/dashboard/variety/history/", asked()));
    if (mine !== question) return;
    const columns = LINES.map((name) => answer[name]);
    if (!columns.some((line) => line.some((value) => value !== null))) {
      chart?.destroy();
      chart = null;
      empty("history", t("No reading in this range yet; one is made every 30 seconds."));
      return;
    }
    if (!chart) {
      box.replaceChildren();
      chart = new Chart(box, "bits", LINES, undefined, [], { zoom: showBetween });
    }
    chart.set([answer.at, ...columns]);
    const { from, to } = spanNow();
    chart.show(from, to);
  } catch (problem) {
    chart?.destroy();
    chart = null;
    empty("history", t("No history: {message}", { message: problem.message }));
  }
}

async function load() {
  try {
    body = await getJson(withSystem("/api/v1/variety/now/"));
    draw();
  } catch (problem) {
    setText(part("as-of"), t("not to be had: {message}", { message: problem.message }));
  }
  await Promise.all([drawHistory(), drawUnits()]);
}

onRange(drawHistory);

draw();
live.on("snapshot", load);
live.on("variety", load);
setInterval(() => body.at && setText(part("as-of"), t("up to {when}", { when: ago(Math.max(0, live.now() - epoch(body.at))) })), 1000);
