// While a signal is written: where it would go.
import { withSystem } from "./config.js";
import { badge } from "./badge.js";
import { el } from "./dom.js";
import { duration, words } from "./format.js";
import { getJson } from "./post.js";
import { t } from "./text.js";

const PAUSE_MS = 250;
const form = document.getElementById("signal-form");
const box = document.getElementById("preview");
let timer = null;
let running = null;

async function preview() {
  running?.abort();
  running = new AbortController();
  const fields = new FormData(form);
  const asked = {};
  for (const name of ["type", "severity", "intensity"]) if (fields.get(name)) asked[name] = fields.get(name);
  try {
    show(await getJson(withSystem("/dashboard/signals/preview/", asked), running.signal));
  } catch (problem) {
    if (problem.name !== "AbortError") box.replaceChildren(el("p", { class: "error" }, problem.message));
  }
}

function show(plan) {
  if (!plan.raised) {
    box.replaceChildren(el("p", {}, el("strong", {}, t("Nothing would be raised"))), el("p", {}, plan.reason));
    return;
  }
  const limits = plan.limits.map((limit) => `${words(limit.layer)} ${limit.limit} in ${duration(limit.period_seconds)}`);
  const facts = [
    [t("Told at once"), plan.recipients.map((party) => party.toUpperCase()).join(", ") || t("nobody")],
    [t("Through"), plan.queue ? t("{queue}, priority {priority}", { queue: plan.queue, priority: plan.priority }) : "–"],
    [t("Answer due"), plan.answer_within_seconds === null ? t("none is expected") : t("within {duration}", { duration: duration(plan.answer_within_seconds) })],
    [t("Told if nobody answers"), plan.answer_within_seconds === null ? "–" : plan.escalation_path.map((party) => party.toUpperCase()).join(" → ") || "–"],
    [t("Lives for"), duration(plan.time_to_live_seconds)],
    [t("Limits on its way"), limits.join(", ") || t("none")],
    [t("Passed on to"), plan.passed_on_to ?? "–"],
  ];
  box.replaceChildren(el("p", { id: "preview-sum" }, badge(plan.severity, "severity-"), ` intensity ${plan.intensity}`),
    ...(plan.reason ? [el("p", { class: "help" }, plan.reason)] : []),
    el("dl", { class: "plan" }, ...facts.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)])));
}

form.addEventListener("input", () => {
  clearTimeout(timer);
  timer = setTimeout(preview, PAUSE_MS);
});
preview();
