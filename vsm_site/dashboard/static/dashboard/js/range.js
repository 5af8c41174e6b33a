// The one control of a page's time range: the last minutes, hours or days, which goes on live, or from one moment to another.
// The address keeps it, as `range` or as `from` and `to` in epoch seconds, so that a link and a saved view show the same.
import { config } from "./config.js";
import { setText } from "./dom.js";
import { live } from "./here.js";
import { t } from "./text.js";
import { minute, picked, whenPicked, zone } from "./zone.js";

const form = document.getElementById("between");
const told = document.getElementById("range-state");
const listeners = [];
let state = read();
let steps = 0; // moments chosen since the page was opened, each of which Back undoes

function read() {
  const given = new URLSearchParams(location.search);
  const [from, to] = ["from", "to"].map((name) => Number(given.get(name)));
  const between = from > 0 && to > from && to - from <= config.longestRange ? { from, to } : null;
  return { between, range: given.get("range") in config.ranges ? given.get("range") : config.usualRange };
}

// Whether what is shown ends now and goes on.
export function isLive() {
  return state.between === null;
}

// What is shown, {from, to} in epoch seconds.
export function spanNow() {
  return state.between ?? { from: live.now() - config.ranges[state.range], to: live.now() };
}

// What the server is asked with: the same words as the address.
export function asked() {
  return state.between ? { from: Math.round(state.between.from), to: Math.round(state.between.to) } : { range: state.range };
}

// How far apart points are to be that a chart of this width has room for.
export function stepOf({ from, to }, points = 300) {
  return Math.max(to - from <= 3600 ? 5 : 60, Math.ceil((to - from) / points / 5) * 5);
}

// Put the range into *query*, instead of the one before.
export function writeRange(query) {
  for (const name of ["range", "from", "to"]) query.delete(name);
  for (const [name, value] of Object.entries(asked())) query.set(name, value);
  return query;
}

// Call *changed* whenever another range is chosen.
export function onRange(changed) {
  listeners.push(changed);
}

// Look closer, or at another time; Back undoes it.
export function showBetween(from, to) {
  steps += 1;
  choose({ ...state, between: { from, to } }, "pushState");
}

export function chosenSteps() {
  return steps;
}

function choose(wanted, how) {
  state = wanted;
  history[how]({ steps }, "", `?${writeRange(new URLSearchParams(location.search))}`);
  draw();
  for (const changed of listeners) changed();
}

function draw() {
  for (const button of document.querySelectorAll("button.range")) button.setAttribute("aria-pressed", String(isLive() && button.dataset.range === state.range));
  const { from, to } = spanNow();
  for (const [field, at] of [["from", from], ["to", to]]) form.elements[field].value = picked(at);
  form.parentElement.open ||= !isLive();
  told.classList.toggle("is-live", isLive());
  const ends = { from: picked(from).replace("T", " "), to: to - from < 86400 ? minute(to) : picked(to).replace("T", " ") };
  setText(told, isLive() ? t("live") : t("held: {from} to {to}", ends));
}

for (const button of document.querySelectorAll("button.range")) button.addEventListener("click", () => choose({ range: button.dataset.range, between: null }, "replaceState"));

// The field at fault and what is wrong with it; null when both may be.
function mistakeIn(from, to) {
  for (const [name, at] of [["from", from], ["to", to]]) if (at === undefined) return [name, t("There is no such time in {zone}: clocks are put forward over it, or it is not whole.", { zone })];
  if (to <= from) return ["to", t("It must start before it ends.")];
  return to - from > config.longestRange ? ["from", t("At most {days} days are shown here.", { days: Math.round(config.longestRange / 86400) })] : null;
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const [begins, ends] = ["from", "to"].map((name) => whenPicked(form.elements[name].value));
  const [from, to] = [begins[0], ends.at(-1)]; // of an hour that comes twice, the whole
  const mistake = mistakeIn(from, to);
  if (!mistake) return showBetween(from, to);
  form.elements[mistake[0]].setCustomValidity(mistake[1]);
  form.elements[mistake[0]].reportValidity();
  return null;
});
form.addEventListener("input", () => { for (const name of ["from", "to"]) form.elements[name].setCustomValidity(""); });

addEventListener("popstate", (event) => {
  steps = event.state?.steps ?? 0;
  state = read();
  draw();
  for (const changed of listeners) changed();
});

draw();
