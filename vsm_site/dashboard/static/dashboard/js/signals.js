// The open signals, with what may be done about them.
import { config, withSystem } from "./config.js";
import { badge, setBadge } from "./badge.js";
import { el, keyed, setClass, setText } from "./dom.js";
import { duration, epoch, words } from "./format.js";
import { post } from "./post.js";
import { t } from "./text.js";

const FOLDED = 12;
const RANK = { critical: 0, high: 1, medium: 2, low: 3 };

// Draw those of *wanted* into *box*; *show* hears how many there are.
export function showSignals(live, box, count, { wanted = () => true, empty = "", show = () => {}, folded = FOLDED } = {}) {
  const list = el("div", { class: "alert-list" });
  const more = el("button", { type: "button", class: "quiet-button", hidden: true });
  const full = el("div", {}, list, more);
  const none = el("p", { class: "empty" }, empty);
  let unfolded = false;
  more.addEventListener("click", () => {
    unfolded = !unfolded;
    draw();
  });

  function draw() {
    if (live.seq === null) return;
    const signals = [...live.data.signals.values()].filter(wanted).sort(byUrgency);
    setText(count, counts(signals));
    const content = signals.length ? full : none;
    if (box.firstElementChild !== content) box.replaceChildren(content);
    keyed(list, unfolded ? signals : signals.slice(0, folded), (signal) => signal.id, make, (node, signal) => update(node, signal, live));
    more.hidden = signals.length <= folded;
    setText(more, unfolded ? t("Show the first {folded}", { folded }) : t("Show all {signals}", { signals: signals.length }));
    show(signals.length);
  }
  return draw;
}

function counts(signals) {
  const found = Object.keys(RANK).map((severity) => [severity, signals.filter((signal) => signal.severity === severity).length]);
  return found.filter(([, number]) => number).map(([severity, number]) => `${number} ${severity}`).join(", ");
}

function byUrgency(a, b) {
  return RANK[a.severity] - RANK[b.severity] || epoch(b.raised_at) - epoch(a.raised_at);
}

export function signalLink(id) {
  return `/dashboard/signals/${id}/${config.query}`;
}

function make(signal) {
  const node = el("article", { class: "alert-item", "data-signal": signal.id },
    el("div", { class: "alert-head" }, badge(signal.severity, "severity-"), el("a", { class: "alert-title", href: signalLink(signal.id) })),
    el("div", { class: "breakable alert-what" }), el("div", { class: "quiet alert-state" }), el("p", { class: "error", hidden: true, role: "alert" }));
  if (config.mayOperate && config.verbs) node.append(actions(node, signal.id));
  node.classList.add("is-new");
  return node;
}

function actions(node, id) {
  const buttons = Object.entries(config.verbs).map(([verb, { title }]) =>
    el("button", { type: "button", "data-verb": verb, onclick: (event) => act(node, event.currentTarget, id, verb) }, title));
  return el("div", { class: "actions" }, ...buttons);
}

async function act(node, button, id, verb) {
  const error = node.querySelector(".error");
  button.disabled = true;
  error.hidden = true;
  try {
    await answer(id, verb); // the change itself comes back as every other: pushed
  } catch (problem) {
    setText(error, problem.message);
    error.hidden = false;
  }
  button.disabled = false;
}

export function answer(id, verb, comment = "") {
  return post(withSystem(`/dashboard/signals/${id}/${verb}/`), { comment });
}

function update(node, signal, live) {
  const fresh = node.classList.contains("is-new") ? " is-new" : "";
  setClass(node, `alert-item type-${signal.type} severity-${signal.severity}${fresh}`);
  setBadge(node.querySelector(".badge"), `${signal.severity} ${signal.type}`, "severity-");
  setText(node.querySelector(".alert-title"), signal.source);
  setText(node.querySelector(".alert-what"), signal.description);
  setText(node.querySelector(".alert-state"), told(signal, live.now()));
  for (const button of node.querySelectorAll("[data-verb]")) button.hidden = !mayDo(button.dataset.verb, signal.state);
}

export function mayDo(verb, state) {
  return config.verbs[verb].from.includes(state);
}

function told(signal, now) {
  const by = signal.acknowledged_by ? ` ${t("by {who}", { who: signal.acknowledged_by })}` : "";
  return [
    t("{state}{by}, raised {raised_at} ago", { state: words(signal.state), by, raised_at: duration(Math.max(1, now - epoch(signal.raised_at))) }),
    signal.deadline_at && due(epoch(signal.deadline_at) - now),
    signal.escalation_level && t("escalated to level {escalation_level}", { escalation_level: signal.escalation_level }),
    signal.times_seen > 1 && t("felt {times_seen} times", { times_seen: signal.times_seen }),
    signal.pattern_count && t("a pattern of {pattern_count}", { pattern_count: signal.pattern_count }),
    signal.suppressed_count && t("{suppressed_count} more refused by the rate limit", { suppressed_count: signal.suppressed_count }),
  ].filter(Boolean).join(" · ");
}

export function due(seconds) {
  return seconds > 0 ? t("answer due in {seconds}", { seconds: duration(Math.max(1, seconds)) }) : t("answer overdue");
}
