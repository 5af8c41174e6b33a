// The inbox: the list as the server writes it, asked for again when something moves on. Verbs work on the row under the
// cursor; what has consequences that cannot be seen from here asks first.
import { config, withSystem } from "./config.js";
import { setText } from "./dom.js";
import { following } from "./following.js";
import { listenForKeys, rowOf } from "./alert_keys.js";
import { live } from "./here.js";
import { post } from "./post.js";
import { t } from "./text.js";

const box = document.getElementById("record");
const error = document.getElementById("list-error");
const said = document.getElementById("said");
const ask = document.getElementById("ask");
const button = (name) => document.querySelector(`[data-do=${name}]`);
const listAgain = following(["record", "under-way", "holds"]);
const QUESTIONS = { approve: t("Approve and apply?"), refuse: t("Refuse?"), defer: t("Defer?"), undo: t("Undo what was applied?") };
let last = null; // the row that had the focus: a button takes it away

box.addEventListener("focusin", (event) => { last = rowOf(event.target)?.dataset.row ?? last; });

function chosen(row) {
  return row?.dataset?.row ?? (last && box.querySelector(`tr[data-row="${CSS.escape(last)}"]`) ? last : null);
}

async function decide(key, verb, fields) {
  const outcome = await post(withSystem(`/dashboard/inbox/${key}/${verb}/`), fields);
  setText(said, outcome.said);
  listAgain();
}

function question(verb) {
  return (row) => {
    const key = chosen(row);
    if (!key) return setText(said, t("Choose one first: tap its row, or j and the arrow keys."));
    const form = ask.querySelector("form");
    const problem = document.getElementById("ask-error");
    setText(document.getElementById("ask-title"), QUESTIONS[verb]);
    setText(document.getElementById("ask-what"), box.querySelector(`tr[data-row="${CSS.escape(key)}"] a`)?.textContent ?? "");
    ask.querySelector("[data-for=defer]").hidden = verb !== "defer";
    problem.hidden = error.hidden = true;
    form.reset();
    form.onsubmit = async (event) => {
      event.preventDefault();
      try {
        await decide(key, verb, Object.fromEntries(new FormData(form)));
        ask.close();
      } catch (refused) {
        setText(problem, refused.message);
        problem.hidden = false;
      }
    };
    ask.showModal();
    return null;
  };
}

document.getElementById("ask-cancel")?.addEventListener("click", () => ask.close());
const verbs = {};
if (config.mayOperate) {
  for (const [key, verb] of Object.entries({ a: "approve", r: "refuse", d: "defer", u: "undo" })) {
    verbs[key] = question(verb);
    button(verb).addEventListener("click", () => question(verb)(null));
  }
}
listenForKeys(box, verbs);

live.on("recommendation", listAgain);
live.on("action", listAgain);
