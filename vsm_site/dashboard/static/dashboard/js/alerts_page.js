// The page of alerts: the list as the server writes it, asked for again when an alert moves on; what is selected and where
// the focus is stay. Verbs work on the selected alerts, else on the one under the cursor, and can be taken back.
import { config, withSystem } from "./config.js";
import { perFrame, setText } from "./dom.js";
import { following } from "./following.js";
import { metricValue } from "./format.js";
import { listenForKeys, rowOf } from "./alert_keys.js";
import { live } from "./here.js";
import { post } from "./post.js";
import { askQuiet } from "./quiet.js";
import { t, tn } from "./text.js";

const box = document.getElementById("record");
const error = document.getElementById("list-error");
const said = document.getElementById("said");
const button = (name) => document.querySelector(`[data-do=${name}]`);
const listAgain = following("record", { part: "rows" });
const known = new Map();
const picked = new Set();
let undo = null;

// --- What is selected ---

function showPicked() {
  for (const row of box.querySelectorAll("tr[data-alert]")) {
    const pick = row.querySelector("[data-pick]");
    if (!pick) continue;
    if (pick.disabled) picked.delete(row.dataset.alert);
    pick.checked = picked.has(row.dataset.alert);
  }
  const all = [...box.querySelectorAll("[data-pick]:not(:disabled)")];
  const whole = document.getElementById("pick-all");
  if (whole) {
    whole.checked = all.length > 0 && all.every((one) => one.checked);
    whole.indeterminate = !whole.checked && picked.size > 0;
  }
  for (const name of ["acknowledge", "silence", "resolve"]) if (button(name)) button(name).disabled = picked.size === 0;
}

function pick(row, wanted) {
  const box_ = row?.querySelector("[data-pick]");
  if (!box_ || box_.disabled) return;
  if (wanted ?? !picked.has(row.dataset.alert)) picked.add(row.dataset.alert);
  else picked.delete(row.dataset.alert);
}

function pickAll() {
  const open = [...box.querySelectorAll("tr[data-open]")];
  const wanted = !open.every((row) => picked.has(row.dataset.alert));
  for (const row of open) pick(row, wanted);
  tellPicked();
}

function tellPicked() {
  showPicked();
  setText(said, picked.size ? t("{count} selected", { count: picked.size }) : "");
}

box.addEventListener("change", (event) => {
  if (event.target.id === "pick-all") pickAll();
  else if (event.target.matches("[data-pick]")) pick(rowOf(event.target), event.target.checked);
  tellPicked();
});

// --- What is done ---

function chosen(row) {
  if (picked.size) return [...picked];
  return row?.hasAttribute("data-open") ? [row.dataset.alert] : [];
}

function withIds(ids, fields = {}) {
  return [...ids.map((id) => ["ids", id]), ...Object.entries(fields)];
}

function done(outcome, sentence, takeBack) {
  error.hidden = outcome.refused.length === 0;
  setText(error, outcome.refused.slice(0, 3).map((one) => one.detail).join(" "));
  undo = outcome.done.length ? takeBack : null;
  button("undo").hidden = !undo;
  picked.clear();
  showPicked();
  setText(said, `${sentence(outcome.done.length)}${undo ? ` ${t("Press z to undo.")}` : ""}`);
  listAgain();
}

async function attempt(act) {
  error.hidden = true;
  try {
    await act();
  } catch (problem) {
    setText(error, problem.message);
    error.hidden = false;
  }
}

function acknowledge(row) {
  const ids = chosen(row);
  if (!ids.length) return setText(said, t("No open alert is selected."));
  return attempt(async () => {
    const outcome = await post(withSystem("/dashboard/alerts/acknowledge/"), withIds(ids));
    done(outcome, (n) => tn("{n} alert acknowledged.", "{n} alerts acknowledged.", n), () => post(withSystem("/dashboard/alerts/take-back/"), withIds(outcome.done)));
  });
}

function silence(row) {
  const ids = chosen(row);
  if (!ids.length) return setText(said, t("No open alert is selected."));
  const what = tn("{n} alert, whatever its severity becomes; what is over stays told.", "{n} alerts, whatever its severity becomes; what is over stays told.", ids.length);
  askQuiet(what, async (fields) => {
    const outcome = await post(withSystem("/dashboard/alerts/silence/"), withIds(ids, fields));
    done(outcome, (n) => tn("{n} alert silenced.", "{n} alerts silenced.", n), () => post(withSystem("/dashboard/alerts/end-silences/"), withIds(outcome.silences)));
  });
  return null;
}

function resolve(row) {
  const ids = chosen(row);
  if (!ids.length) return setText(said, t("No open alert is selected."));
  return attempt(async () => done(await post(withSystem("/dashboard/alerts/resolve/"), withIds(ids)), (n) => tn("{n} alert resolved.", "{n} alerts resolved.", n), null));
}

function takeBack() {
  if (!undo) return setText(said, t("There is nothing to undo."));
  const back = undo;
  undo = null;
  button("undo").hidden = true;
  return attempt(async () => {
    const outcome = await back();
    setText(said, t("Undone: {done}.", { done: outcome.done.length }));
    listAgain();
  });
}

const verbs = {};
if (config.mayOperate) {
  Object.assign(verbs, { x: (row) => { pick(row); tellPicked(); }, X: pickAll, a: acknowledge, s: silence, r: resolve, z: takeBack });
  button("acknowledge").addEventListener("click", () => acknowledge(null));
  button("silence").addEventListener("click", () => silence(null));
  button("resolve").addEventListener("click", () => resolve(null));
  button("undo").addEventListener("click", takeBack);
}
listenForKeys(box, verbs);
box.addEventListener("refreshed", showPicked);

// --- What happens ---

function moved(key, alert) {
  const where = alert ? `${alert.state} ${alert.severity} ${alert.acknowledged_at}` : "gone";
  const news = known.get(key) !== where;
  known.set(key, where);
  return news;
}

function showValue(key, alert) {
  const value = box.querySelector(`tr[data-alert="${CSS.escape(key)}"] [data-value]`);
  if (value && alert && alert.value !== null) setText(value, ` · ${metricValue(alert.metric ?? "", alert.value)}`);
}

const countSoon = perFrame(() => {
  const { all, states } = live.data.totals?.alerts ?? { all: 0, states: {} };
  const pending = states.pending ?? 0;
  setText(document.getElementById("alert-count"), all ? t("{firing} firing, {pending} pending", { firing: all - pending, pending }) : t("none is open"));
});
live.on("update", countSoon);
live.on("snapshot", () => live.data.alerts.forEach((alert, key) => moved(key, alert)));
live.on("alert", ({ key, body }) => {
  if (moved(key, body)) listAgain();
  else showValue(key, body);
});
