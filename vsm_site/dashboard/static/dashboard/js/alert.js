// One alert: its picture, and a story that follows what happens; the comment being typed stays.
import { config, withSystem } from "./config.js";
import { setText } from "./dom.js";
import { live } from "./here.js";
import { showPicture } from "./alert_picture.js";
import { post, postJson } from "./post.js";
import { askQuiet } from "./quiet.js";
import { following } from "./following.js";
import { t } from "./text.js";

const EVERY_MS = 15000;
const id = String(config.alert.id);
const verbs = document.getElementById("verbs");
const error = document.getElementById("verb-error");
const comment = document.getElementById("comment");
const said = document.getElementById("said");
const again = following("story");
const chosen = (name) => document.getElementById(name).value;
const api = (verb, body = {}) => postJson(`/api/v1/alerts/${id}/${verb}/`, body);

// Each verb: what it sends, and what is said once it is done.
const DOING = {
  acknowledge: [() => api("acknowledge", { comment: comment.value }), t("Acknowledged.")],
  unacknowledge: [() => api("unacknowledge"), t("Given back.")],
  resolve: [() => api("resolve", { comment: comment.value }), t("Resolved.")],
  "false-alarm": [() => api("resolve", { comment: comment.value, false_alarm: true }), t("Called a false alarm.")],
  comment: [() => api("comments", { text: comment.value }), t("Noted.")],
  snooze: [() => api("snooze", { seconds: Number(chosen("snooze-for")) * 60 }), t("Snoozed.")],
  unsnooze: [() => api("unsnooze"), t("Woken.")],
  assign: [() => api("assign", { to: chosen("assign-to") || null }), t("Assigned.")],
};

// Which verbs mean something in the state that the alert is in.
function offered(alert) {
  const open = alert.state !== "resolved";
  return {
    acknowledge: open && !alert.acknowledged_at, unacknowledge: open && Boolean(alert.acknowledged_at), resolve: open, "false-alarm": open, comment: true,
    snooze: open && !alert.snoozed_until, unsnooze: open && Boolean(alert.snoozed_until), silence: open, assign: open,
  };
}

function show(alert) {
  if (!verbs) return;
  const before = document.activeElement; // a button that is hidden loses the focus to nothing
  for (const [name, wanted] of Object.entries(offered(alert))) {
    const button = verbs.querySelector(`[data-verb="${name}"]`);
    (button.closest("[data-group]") ?? button).hidden = !wanted;
  }
  if (verbs.contains(before) && !before.checkVisibility()) comment.focus();
}

function silence() {
  askQuiet(t("This alert, whatever its severity becomes."), async (fields) => {
    const { refused } = await post(withSystem("/dashboard/alerts/silence/"), { ids: id, ...fields });
    if (refused.length) throw new Error(refused[0].detail);
    setText(said, t("Silenced."));
    again();
  });
}

async function act(button) {
  error.hidden = true;
  if (button.dataset.verb === "silence") return silence();
  const [send, words] = DOING[button.dataset.verb];
  try {
    const answer = await send();
    setText(said, words);
    comment.value = "";
    if (answer.state) show(answer);
    again();
  } catch (problem) {
    setText(error, problem.message);
    error.hidden = false;
  }
  return null;
}

for (const button of verbs?.querySelectorAll("[data-verb]") ?? []) button.addEventListener("click", () => act(button));
document.getElementById("verb-form")?.addEventListener("submit", (event) => event.preventDefault());
live.on("alert", ({ key, body }) => {
  if (key !== id || !body) return;
  show(body);
  again();
});
show(config.alert);

if (config.picture) {
  const load = showPicture(document.getElementById("picture"), config.picture);
  load(config.picture.to);
  if (config.picture.follows) setInterval(() => document.hidden || load(live.now()), EVERY_MS);
}
