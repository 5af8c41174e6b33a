// The frame around every page: the sidebar with what is counted and how each subsystem is, and the line of the connection.
import { setClass, setText } from "./dom.js";
import { live } from "./here.js";
import { listenEverywhere } from "./keys.js";
import { forgetVisits, noteVisit } from "./recent.js";
import { showStrip } from "./strip.js";

const COUNTED = {
  alerts: () => [...live.data.alerts.values()].filter((alert) => alert.state === "firing").length,
  signals: () => [...live.data.signals.values()].filter((signal) => signal.type === "pain").length,
};
const sidebar = document.getElementById("sidebar");
const veil = document.getElementById("veil");
const menu = document.getElementById("menu");

function open(wanted) {
  menu.setAttribute("aria-expanded", String(wanted));
  sidebar.classList.toggle("is-open", wanted);
  veil.hidden = !wanted;
  if (wanted) sidebar.querySelector("[aria-current], a").focus();
  else menu.focus();
}

menu.addEventListener("click", () => open(menu.getAttribute("aria-expanded") !== "true"));
veil.addEventListener("click", () => open(false));
sidebar.addEventListener("keydown", (event) => event.key === "Escape" && !veil.hidden && open(false));

function draw() {
  for (const node of sidebar.querySelectorAll("[data-counted]")) {
    const number = COUNTED[node.dataset.counted]();
    node.hidden = number === 0;
    setText(node, number);
  }
  for (const node of sidebar.querySelectorAll("[data-health]")) {
    const status = live.data.viability?.subsystems?.[node.closest("[data-subsystem]").dataset.subsystem]?.status ?? "unknown";
    setClass(node, `badge mark ${status}`);
    node.setAttribute("aria-label", status);
    node.title = status;
  }
}

// What scrolls must be reached by the keyboard, too; what fits needs no stop of its own.
const SCROLLS = ".table-wrap, .json, .run pre, .code-box";
const sizes = new ResizeObserver((entries) => {
  for (const box of new Set(entries.map((entry) => entry.target.closest(SCROLLS)))) {
    if (!box) continue;
    const scrolls = box.scrollWidth > box.clientWidth || box.scrollHeight > box.clientHeight + 1;
    if (scrolls) box.setAttribute("tabindex", "0");
    else box.removeAttribute("tabindex");
  }
});

function watchSize(node) {
  if (node.parentElement?.matches(SCROLLS)) sizes.observe(node);
  for (const box of [...(node.matches(SCROLLS) ? [node] : []), ...node.querySelectorAll(SCROLLS)]) {
    sizes.observe(box);
    if (box.firstElementChild) sizes.observe(box.firstElementChild);
  }
}

const content = document.getElementById("content");
new MutationObserver((changes) => {
  for (const { addedNodes } of changes) for (const node of addedNodes) if (node.nodeType === Node.ELEMENT_NODE) watchSize(node);
}).observe(content, { childList: true, subtree: true });
watchSize(content);

// The dialog opens at once, so that no letter is lost; what it needs is loaded when it is first opened.
async function openSearch() {
  const dialog = document.getElementById("search");
  if (!dialog.open) dialog.showModal();
  document.getElementById("search-text").select();
  (await import("./search.js")).look();
}

live.on("snapshot", draw);
for (const kind of ["alert", "signal", "assessment"]) live.on(kind, draw);
showStrip(live);
listenEverywhere(openSearch);
noteVisit();
// The address may have moved on since the page was written.
document.getElementById("keep-view").addEventListener("click", ({ currentTarget: link }) => {
  const query = new URLSearchParams(link.search);
  query.set("of", location.pathname + location.search);
  link.search = query;
});
document.getElementById("to-wall")?.addEventListener("click", ({ currentTarget: link }) => {
  const query = new URLSearchParams(location.search);
  query.set("wall", "1");
  link.search = query;
});
document.querySelector(".user-tools form").addEventListener("submit", forgetVisits);
document.getElementById("search-open").addEventListener("click", (event) => {
  if (event.ctrlKey || event.metaKey || event.shiftKey) return; // in a tab of its own it is a page
  event.preventDefault();
  openSearch();
});
sidebar.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest" });
