import { post } from "./post.js";

// The keys of every page: / and Ctrl+K search, ? tells the keys, g and a letter lead to a page. Single keys can be
// switched off (WCAG 2.1.4), and are while something is typed; Ctrl+K always works.
const OFF = "vsm.keys.off";
const JUMP_MS = 1500; // so long after a g its letter is waited for
const TYPED = "input:not([type=checkbox], [type=radio]), select, textarea, [contenteditable]";

const person = document.querySelector("meta[name=person]").dataset;

export function keysAreOn() {
  return person.keys !== "off";
}

// Whether a key is for the page itself: without a modifier, while nothing is typed and no dialog is open.
export function isForPage({ ctrlKey, metaKey, altKey, target }) {
  return !(ctrlKey || metaKey || altKey || target.matches?.(TYPED) || document.querySelector("dialog[open]"));
}

export function switchKeys(on) {
  person.keys = on ? "on" : "off";
  post("/dashboard/me/preferences/keep/", { single_keys: on ? "on" : "" }).catch(() => null); // here it holds in any case
}

// Until preferences were kept with the account, each browser had this for itself.
if (localStorage.getItem(OFF) !== null) {
  localStorage.removeItem(OFF);
  switchKeys(false);
}

function showKeys() {
  document.getElementById("keys-on").checked = keysAreOn();
  document.getElementById("keys").showModal();
}

export function listenEverywhere(openSearch) {
  let leading = -JUMP_MS; // when g was pressed; by the event's own clock, since a busy page hears of it later

  // In the capturing phase: the letter after a g is not a verb of the page.
  document.addEventListener("keydown", (event) => {
    const { key } = event;
    if ((event.ctrlKey || event.metaKey) && !event.altKey && !event.shiftKey && key.toLowerCase() === "k") return take(event, openSearch);
    if (!keysAreOn() || !isForPage(event)) return;
    const jump = event.timeStamp - leading < JUMP_MS && document.querySelector(`[data-jump="${CSS.escape(key)}"]`);
    leading = -JUMP_MS;
    if (jump) take(event, () => location.assign(jump.href));
    else if (key === "g") leading = event.timeStamp;
    else if (key === "/") take(event, openSearch);
    else if (key === "?") take(event, showKeys);
  }, true);
  document.getElementById("keys-on").addEventListener("change", (event) => switchKeys(event.target.checked));
  for (const button of document.querySelectorAll("[data-keys]")) button.addEventListener("click", showKeys);
}

function take(event, act) {
  event.preventDefault();
  event.stopImmediatePropagation();
  act();
}
