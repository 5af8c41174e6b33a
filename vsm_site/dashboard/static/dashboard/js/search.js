// The search: an input that a list of links belongs to (ARIA's combobox). The focus stays in the input; the arrows move the
// mark along the list. Without this, the input is a form that leads to the page of the search.
import { withSystem } from "./config.js";
import { el, setText } from "./dom.js";
import { getJson } from "./post.js";
import { visits } from "./recent.js";
import { t } from "./text.js";

const WAIT_MS = 120; // after the last letter
const RECENT = 8;
const dialog = document.getElementById("search");
const input = document.getElementById("search-text");
const list = document.getElementById("search-found");
const said = document.getElementById("search-said");
let marked = null;
let shown = null; // the text that the list is about
let waiting = 0;
let asking = null;

// Before anything is typed: where this person was last, then the pages.
function start() {
  const here = location.pathname + location.search;
  const recent = visits().filter((one) => one.href !== here).slice(0, RECENT);
  const pages = [...document.querySelectorAll("#sidebar li a")].map((link) => ({ label: link.firstElementChild.nextSibling.textContent.trim(), href: link.getAttribute("href"), note: link.closest("[aria-label]").getAttribute("aria-label") }));
  return [{ title: t("Recent"), hits: recent }, { title: t("Pages"), hits: pages }].filter((group) => group.hits.length);
}

export async function look() {
  const text = input.value.trim();
  if (text === shown) return;
  asking?.abort();
  if (!text) return show("", start());
  asking = new AbortController();
  try {
    show(text, (await getJson(withSystem("/dashboard/search/", { q: text }), asking.signal)).groups);
  } catch (problem) {
    if (problem.name === "AbortError") return;
    shown = null;
    list.replaceChildren();
    input.setAttribute("aria-expanded", "false");
    setText(said, t("No answer: {message}", { message: problem.message }));
  }
}

function show(text, groups) {
  shown = text;
  let number = 0;
  list.replaceChildren(...groups.map((group, index) => el("div", { role: "group", "aria-labelledby": `found-of-${index}` },
    el("div", { class: "found-title", id: `found-of-${index}` }, group.title),
    ...group.hits.map((hit) => el("a", { role: "option", id: `found-${number++}`, href: hit.href, tabindex: -1, "aria-selected": "false" }, el("span", {}, hit.label), el("span", { class: "quiet" }, hit.note ?? ""))))));
  input.setAttribute("aria-expanded", String(number > 0));
  setText(said, text ? (number ? t("{number} found", { number }) : t("Nothing is called so. Names are found by any part, tasks by the beginning of their id, events by position.")) : "");
  said.classList.toggle("visually-hidden", number > 0 || !text);
  mark(text ? list.querySelector("[role=option]") : null);
}

function mark(option) {
  marked?.setAttribute("aria-selected", "false");
  marked = option;
  if (!option) return input.removeAttribute("aria-activedescendant");
  option.setAttribute("aria-selected", "true");
  input.setAttribute("aria-activedescendant", option.id);
  option.scrollIntoView({ block: "nearest" });
}

function move(steps) {
  const options = [...list.querySelectorAll("[role=option]")];
  if (!options.length) return;
  const at = options.indexOf(marked);
  mark(options[at < 0 ? (steps > 0 ? 0 : options.length - 1) : (at + steps + options.length) % options.length]);
}

input.addEventListener("input", () => {
  clearTimeout(waiting);
  waiting = setTimeout(look, WAIT_MS);
});
input.addEventListener("keydown", async (event) => {
  if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    event.preventDefault();
    move(event.key === "ArrowDown" ? 1 : -1);
  } else if (event.key === "Enter" && !event.isComposing) {
    event.preventDefault();
    clearTimeout(waiting);
    await look(); // what was typed last, not what is shown yet
    marked?.click();
  }
});
dialog.addEventListener("click", (event) => {
  if (event.target === dialog || event.target.closest("[data-close]")) dialog.close();
});
