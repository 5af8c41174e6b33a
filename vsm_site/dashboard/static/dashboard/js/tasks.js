// The last runs, followed until each has ended.
import { config, withSystem } from "./config.js";
import { badge, setBadge } from "./badge.js";
import { el, keyed, setText } from "./dom.js";
import { clock } from "./format.js";
import { getJson } from "./post.js";
import { t } from "./text.js";

const BUSY_MS = 700;
const IDLE_MS = 5000;
const SHAPES = { pending: "unknown", running: "severity-info", succeeded: "healthy", failed: "unhealthy" };
const box = document.getElementById("runs");
const list = el("div", {});
const none = el("p", { class: "empty" }, t("Nothing was triggered yet. Trigger a task, and its result appears here."));

function make(run) {
  return el("article", { class: "run", "data-run": run.id }, el("div", { class: "alert-head" }, badge("unknown"), el("code", {}), el("span", { class: "quiet" })), el("pre", { hidden: true }));
}

function update(node, run) {
  setBadge(node.querySelector(".badge"), run.state, `${SHAPES[run.state] ?? "unknown"} state-`);
  setText(node.querySelector("code"), run.name);
  const by = run.requested_by ? ` ${t("by {who}", { who: run.requested_by.username ?? run.requested_by })}` : "";
  setText(node.querySelector(".quiet"), t("asked for at {requested_at}{by}{worker}", { requested_at: clock(run.requested_at), by, worker: run.worker ? `, ${t("ran on {worker}", { worker: run.worker })}` : "" }));
  const output = node.querySelector("pre");
  const text = run.error || (run.result === null || run.result === undefined ? "" : JSON.stringify(run.result, null, 1));
  setText(output, text);
  output.hidden = !text;
}

function show(runs) {
  const wanted = runs.length ? list : none;
  if (box.firstElementChild !== wanted) box.replaceChildren(wanted);
  keyed(list, runs, (run) => run.id, make, update);
}

async function follow(runs) {
  show(runs);
  const busy = runs.some((run) => run.state === "pending" || run.state === "running");
  await new Promise((resolve) => setTimeout(resolve, busy ? BUSY_MS : IDLE_MS));
  try {
    follow((await getJson(withSystem("/dashboard/tasks/runs/"))).results);
  } catch {
    follow(runs); // the server is away for a moment; ask again later
  }
}

follow(config.runs);
