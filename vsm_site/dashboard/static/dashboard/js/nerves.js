// How the algedonic lane and the channels do, asked for every few seconds.
import { config, withSystem } from "./config.js";
import { badge } from "./badge.js";
import { el, keyed, setText } from "./dom.js";
import { ago, duration, epoch, metricValue, short, words } from "./format.js";
import { getJson } from "./post.js";
import { t } from "./text.js";

const EVERY_MS = 5000;
const lane = document.getElementById("lane");
const channels = document.getElementById("channels");
let heardAt = Date.now();

export function followNerves() {
  show(config.nerves);
  setInterval(() => document.hidden || ask(), EVERY_MS);
  document.addEventListener("visibilitychange", () => document.hidden || ask());
}

async function ask() {
  try {
    show(await getJson(withSystem("/dashboard/signals/lane/")));
    heardAt = Date.now();
  } catch {
    lane.replaceChildren(el("p", { class: "error" }, t("The server was heard last {heardAt}.", { heardAt: ago((Date.now() - heardAt) / 1000) })));
  }
}

function show(nerves) {
  showLane(nerves.lane);
  keyed(channels, nerves.channels, (one) => one.channel, makeChannel, updateChannel);
}

function showLane(state) {
  const { p50, p99 } = state.latency_seconds;
  const word = state.failing ? "critical" : state.answered_at === null ? "unknown" : "healthy";
  const sentence = state.failing ? t("Failing for {failing_since}", { failing_since: duration(Date.now() / 1000 - epoch(state.failing_since)) }) : state.answered_at === null ? t("No canary has come through yet") : t("Alive");
  const health = badge(word);
  setText(health, sentence);
  const fact = (name, value) => el("div", {}, el("dt", {}, name), el("dd", {}, value));
  lane.replaceChildren(el("p", {}, health), el("dl", { class: "fact-row" },
    fact(t("Latency p50"), metricValue("latency_seconds", p50)), fact("p99", metricValue("latency_seconds", p99)),
    fact(t("Last answer"), ago(state.age_seconds)), fact(t("Lost"), short(state.lost_total))),
  el("p", { class: "help" }, t("A canary goes through every {period_seconds} s.", { period_seconds: state.period_seconds })));
}

function makeChannel(one) {
  return el("div", { class: "queue", "data-channel": one.channel },
    el("div", { class: "queue-head" }, el("span", {}, words(one.channel)), el("span", { class: "number backlog" })),
    el("div", { class: "meter", "aria-hidden": "true" }, el("span", {})), el("div", { class: "quiet rest" }));
}

function updateChannel(node, one) {
  setText(node.querySelector(".backlog"), t("{count} waiting", { count: short(one.backlog) }));
  node.querySelector(".meter span").style.flexBasis = `${Math.min(100, one.utilisation * 100)}%`;
  const oldest = one.backlog ? ` · ${t("oldest {age}", { age: duration(one.oldest_age_seconds) })}` : "";
  setText(node.querySelector(".rest"), t("{utilisation} % of {capacity}{oldest}", { utilisation: (one.utilisation * 100).toFixed(one.utilisation && one.utilisation < 0.1 ? 2 : 0), capacity: short(one.capacity), oldest }));
}
