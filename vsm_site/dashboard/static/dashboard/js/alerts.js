// The open alerts, with what may be done about them.
import { config, withSystem } from "./config.js";
import { badge, setBadge } from "./badge.js";
import { el, keyed, setClass, setText } from "./dom.js";
import { clock, duration, epoch, metricValue } from "./format.js";
import { post } from "./post.js";
import { askQuiet } from "./quiet.js";
import { t, tn } from "./text.js";

const SIGNS = { gt: "> ", gte: "≥ ", lt: "< ", lte: "≤ " };
const RANK = { critical: 0, warning: 1, info: 2 };

// Of all, or of those that *only* lets through.
export function showAlerts(live, box, count, { only = () => true, none: words = `${t("Nothing is firing.")} ` } = {}) {
  const list = el("div", { class: "alert-list" });
  const none = el("p", { class: "empty" }, words, " ");
  if (config.mayOperate) none.append(el("a", { href: withSystem("/dashboard/alerts/rules/add/") }, t("Write a rule")), ` ${t("to be told when something should be.")}`);

  return function draw() {
    if (live.seq === null) return;
    const alerts = [...live.data.alerts.values()].filter(only).sort(byUrgency);
    const firing = alerts.filter((alert) => alert.state === "firing").length;
    setText(count, alerts.length ? t("{firing} firing, {pending} pending", { firing, pending: alerts.length - firing }) : "");
    const wanted = alerts.length ? list : none;
    if (box.firstElementChild !== wanted) box.replaceChildren(wanted);
    keyed(list, alerts, (alert) => alert.id, make, (node, alert) => update(node, alert, live));
  };
}

function byUrgency(a, b) {
  return (a.state === "pending") - (b.state === "pending") || RANK[a.severity] - RANK[b.severity] || b.id - a.id;
}

function make(alert) {
  const title = el("a", { class: "alert-title", href: `/dashboard/alerts/${alert.id}/` });
  const node = el("article", { class: "alert-item", "data-alert": alert.id },
    el("div", { class: "alert-head" }, badge(alert.severity, "severity-"), title),
    el("div", { class: "breakable alert-what" }), el("div", { class: "quiet alert-state" }), el("div", { class: "quiet alert-quiet", role: "status" }), el("p", { class: "error", hidden: true, role: "alert" }));
  if (config.mayOperate) node.append(actions(node, alert.id));
  node.classList.add("is-new");
  return node;
}

function actions(node, id) {
  const button = (verb, word) => el("button", { type: "button", "data-verb": verb, onclick: (event) => act(node, event.currentTarget, `/dashboard/alerts/${id}/${verb}/`) }, word);
  const quiet = document.getElementById("quiet") ? el("button", { type: "button", onclick: () => silence(node, id) }, t("Silence…")) : null;
  return el("div", { class: "actions" }, button("acknowledge", t("Acknowledge")), quiet ?? "", button("resolve", t("Resolve")));
}

// What is over leaves the list: whoever works by keyboard goes on beside it.
function leave(node) {
  const said = document.getElementById("said");
  if (said) setText(said, t("{title} is resolved.", { title: node.querySelector(".alert-title").textContent }));
  const beside = (node.nextElementSibling ?? node.previousElementSibling)?.querySelector(".alert-title") ?? said;
  if (node.contains(document.activeElement)) beside?.focus();
}

function silence(node, id) {
  askQuiet(t("This alert, whatever its severity becomes; that it is over stays told."), async (fields) => {
    const outcome = await post(withSystem("/dashboard/alerts/silence/"), [["ids", id], ...Object.entries(fields)]);
    const refused = outcome.refused[0]?.detail;
    setText(node.querySelector(".alert-quiet"), refused ?? "silenced");
  });
}

async function act(node, button, path) {
  const error = node.querySelector(".error");
  button.disabled = true;
  error.hidden = true;
  try {
    await post(withSystem(path)); // the change itself comes back as every other: pushed
    if (path.endsWith("/resolve/")) leave(node);
  } catch (problem) {
    setText(error, problem.message);
    error.hidden = false;
  }
  button.disabled = false;
}

function update(node, alert, live) {
  setClass(node, `alert-item severity-${alert.severity} is-${alert.state}${node.classList.contains("is-new") ? " is-new" : ""}`);
  setBadge(node.querySelector(".badge"), alert.severity, "severity-");
  setText(node.querySelector(".alert-title"), alert.title);
  const metric = alert.metric ?? "";
  const value = alert.value === null ? t("no value") : metricValue(metric, alert.value);
  const limit = alert.threshold === null || alert.threshold === undefined ? "" : ` ${t("(limit {threshold})", { threshold: `${SIGNS[alert.comparison] ?? ""}${metricValue(metric, alert.threshold)}` })}`;
  setText(node.querySelector(".alert-what"), `${alert.subject}: ${value}${limit}`);
  const since = epoch(alert.state === "firing" ? alert.fired_at : alert.pending_at);
  const by = alert.acknowledged_by ? ` · ${t("acknowledged by {acknowledged_by}", { acknowledged_by: alert.acknowledged_by })}` : alert.acknowledged_at ? ` · ${t("acknowledged")}` : "";
  const told = alert.suppressed ? ` · ${t("not told ({suppressed})", { suppressed: alert.suppressed.replaceAll("_", " ") })}` : "";
  const silent = alert.no_data_since ? ` · ${t("no data since {no_data_since}", { no_data_since: clock(alert.no_data_since) })}` : "";
  const repeats = alert.repeats ? ` · ${tn("{n} time before", "{n} times before", alert.repeats)}` : "";
  setText(node.querySelector(".alert-state"), `${alert.state}${since === null ? "" : ` for ${duration(Math.max(1, live.now() - since))}`}${by}${told}${silent}${repeats}`);
  const acknowledge = node.querySelector("[data-verb=acknowledge]");
  if (acknowledge) acknowledge.hidden = Boolean(alert.acknowledged_at);
}
