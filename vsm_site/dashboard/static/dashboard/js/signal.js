// One signal: its story follows what happens to it; the comment being typed stays.
import { config } from "./config.js";
import { setText } from "./dom.js";
import { epoch } from "./format.js";
import { live } from "./here.js";
import { following } from "./following.js";
import { answer, due, mayDo } from "./signals.js";

const again = following("story");
const verbs = document.getElementById("verbs");
const error = document.getElementById("verb-error");
const comment = document.getElementById("comment");

function show(state) {
  if (!verbs) return;
  let left = 0;
  for (const button of verbs.querySelectorAll("[data-verb]")) {
    button.hidden = !mayDo(button.dataset.verb, state);
    left += !button.hidden;
  }
  verbs.hidden = left === 0;
}

async function act(button) {
  button.disabled = true;
  error.hidden = true;
  try {
    show((await answer(config.signal.id, button.dataset.verb, comment.value)).state);
    comment.value = "";
    again();
  } catch (problem) {
    setText(error, problem.message);
    error.hidden = false;
  }
  button.disabled = false;
}

function countDown() {
  for (const moment of document.querySelectorAll("time[data-relative]")) setText(moment, due(epoch(moment.dateTime) - live.now()));
}

for (const button of verbs?.querySelectorAll("[data-verb]") ?? []) button.addEventListener("click", () => act(button));
document.getElementById("verb-form")?.addEventListener("submit", (event) => event.preventDefault());
document.getElementById("story").addEventListener("refreshed", () => {
  show(document.getElementById("state").dataset.state);
  countDown();
});
live.on("signal", ({ key }) => { if (key === config.signal.id) again(); });
show(config.signal.state);
setInterval(countDown, 1000);
