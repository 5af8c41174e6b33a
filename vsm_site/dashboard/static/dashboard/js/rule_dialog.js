// A rule written where one is: the form of its own page in a dialog, saved without leaving the page behind it.
import { el, setText } from "./dom.js";
import { startRule } from "./rule_form.js";
import { t } from "./text.js";

let dialog = null;

async function fetched(address, asked = {}) {
  const answer = await fetch(address, { credentials: "same-origin", ...asked });
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  return { saved: answer.redirected && answer.ok, rule: page.getElementById("rule") };
}

// Open the form at *address*; *saved* is called with the rule's name once it is kept. Focus goes back to where it was.
export async function writeRule(address, saved) {
  if (dialog) return;
  const before = document.activeElement;
  const title = el("h2", { id: "rule-dialog-title" }, t("New rule"));
  const error = el("p", { class: "error", role: "alert", hidden: true });
  const body = el("div", { id: "rule-dialog-body" });
  dialog = el("dialog", { id: "rule-dialog", class: "wide", "aria-labelledby": title.id }, title, error, body);
  let stop = () => {};

  function show(rule) {
    stop();
    body.replaceChildren(document.adoptNode(rule));
    stop = startRule();
    const form = document.getElementById("rule-form");
    form.addEventListener("submit", submit);
    form.querySelector("[data-leave]").addEventListener("click", leave);
    (form.querySelector("[aria-invalid=true]") ?? form.elements.name).focus();
  }

  function leave(event) {
    event.preventDefault();
    dialog.close();
  }

  async function submit(event) {
    event.preventDefault();
    const fields = new FormData(event.target);
    error.hidden = true;
    try {
      const answer = await fetched(address, { method: "POST", body: fields });
      if (answer.saved) {
        dialog.close();
        saved(String(fields.get("name")));
      } else if (answer.rule) show(answer.rule);
      else throw new Error();
    } catch {
      setText(error, t("It could not be saved: the server cannot be reached, or refuses."));
      error.hidden = false;
    }
  }

  dialog.addEventListener("close", () => {
    stop();
    dialog.remove();
    dialog = null;
    before?.isConnected && before.focus();
  }, { once: true });
  const { rule } = await fetched(address).catch(() => ({ rule: null }));
  if (!rule) {
    window.location.assign(address); // the session may be over: its own page says so
    return;
  }
  document.body.append(dialog);
  dialog.showModal();
  show(rule);
}
