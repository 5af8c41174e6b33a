// A part of the page that the server writes, asked for again when what it tells has changed, and with each snapshot of the
// live connection, for what happened since the page was written or while the connection was away: at once, one answer at a
// time (an older one that came later would be believed), not faster than can be read, and not while nobody looks.
import { live } from "./here.js";

const PAUSE_MS = 250;
const AWAY_MS = 5000; // until a server that gave no answer is asked again
const PRESS_MS = 2000; // what is held longer is no click
const CLICK_MS = 100; // a finger is lifted some time before its click comes
let pressedAt = -PRESS_MS; // what a finger or the pointer is on stays: a click on what is written anew meanwhile would be lost

document.addEventListener("pointerdown", (event) => { pressedAt = event.timeStamp; }, true);
for (const kind of ["pointerup", "pointercancel"]) document.addEventListener(kind, () => setTimeout(() => { pressedAt = -PRESS_MS; }, CLICK_MS), true);

const wait = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

// How an element is found again after the part was written anew: a link by where it leads, a tick by its row.
function place(node) {
  if (node.id) return `#${CSS.escape(node.id)}`;
  const row = node.closest("tr[data-alert]");
  if (row && node.matches("[data-pick]")) return `tr[data-alert="${CSS.escape(row.dataset.alert)}"] [data-pick]`;
  if (node.form && node.name) return inForm(node);
  const href = node.getAttribute("href");
  return href ? `a[href="${CSS.escape(href)}"]` : null;
}

const FIELDS = "input[name]:not([type=hidden]), textarea[name]";
const inForm = (field) => `form[action="${CSS.escape(field.form?.getAttribute("action") ?? "")}"] [name="${CSS.escape(field.name)}"]`;

// What somebody is typing into the part, by where it stands.
function typed(box) {
  const fields = [...box.querySelectorAll(FIELDS)].filter((field) => field.value !== field.defaultValue);
  return new Map(fields.map((field) => [inForm(field), field.value]));
}

// The token of a form is written another way each time, and is no news.
const told = (html) => html.replaceAll(/name="csrfmiddlewaretoken" value="\w+"/g, "");

function write(box, found) {
  const kept = typed(box);
  const open = [...box.querySelectorAll("details")].map((one) => one.open);
  const focused = box.contains(document.activeElement) ? place(document.activeElement) : null;
  box.replaceChildren(...(found?.childNodes ?? []));
  box.querySelectorAll("details").forEach((one, index) => { one.open = open[index] ?? false; });
  for (const [field, value] of kept) for (const one of box.querySelectorAll(field)) one.value = value;
  box.dispatchEvent(new CustomEvent("refreshed"));
  if (focused) box.querySelector(focused)?.focus();
}

export function following(ids, { part = "" } = {}) {
  const boxes = [].concat(ids).map((id) => document.getElementById(id));
  const written = new Map(boxes.map((box) => [box, told(box.innerHTML)])); // as the server wrote it, whatever scripts made of it
  let busy = false;
  let again = false;

  // The server's answer: null where it gave none and should be asked again, "" where it will give none.
  async function ask() {
    try {
      const answer = await fetch(location.href, { credentials: "same-origin", headers: part ? { "X-Part": part } : {} });
      if (answer.ok && !answer.redirected) return await answer.text();
      return answer.status >= 500 ? null : "";
    } catch {
      return null;
    }
  }

  async function show(text) {
    while (performance.now() - pressedAt < PRESS_MS) await wait(PAUSE_MS);
    const page = new DOMParser().parseFromString(text, "text/html");
    for (const box of boxes) {
      const found = part ? page.body : page.getElementById(box.id);
      const wanted = told(found?.innerHTML ?? "");
      if (wanted === written.get(box)) continue;
      written.set(box, wanted);
      write(box, found);
    }
  }

  async function changed() {
    again = true;
    if (busy || document.hidden) return;
    busy = true;
    while (again) {
      again = false;
      const text = await ask();
      if (text) await show(text);
      again ||= text === null;
      await wait(text === null ? AWAY_MS : PAUSE_MS);
    }
    busy = false;
  }

  document.addEventListener("visibilitychange", () => again && changed());
  live.on("snapshot", changed);
  return changed;
}
