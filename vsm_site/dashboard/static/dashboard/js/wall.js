// A page on a wall: nobody sits at it, so it says itself, to be read from afar, whether its numbers are true. It goes on to
// the next view of its round, and comes back after whatever happened: a lost connection, a sleep, the end of a session.
import { config } from "./config.js";
import { setText } from "./dom.js";
import { duration } from "./format.js";
import { live } from "./here.js";
import { isForPage } from "./keys.js";
import { tickAge } from "./live.js";
import { t } from "./text.js";
import { second } from "./zone.js";

const LOOK_AGAIN_MS = 30000; // whether somebody has logged in again
const LONG_MS = 60000; // after so long without a connection there may be a new release: the page is loaded anew
const IDLE_MS = 3000; // after which the pointer is out of the way
const { every, next, leave } = config.wall;
const part = (id) => document.getElementById(id);
const said = part("wall-said");
const [title, detail] = said.children;
const still = matchMedia("(prefers-reduced-motion: reduce)");
let lostAt = null;
let idle = null;

const TROUBLE = {
  stale: () => [t("Nothing is collected"), t("for {duration}", { duration: duration(tickAge(live)) })],
  lost: () => [t("Connection lost"), asOf()],
  refused: () => [t("Nobody is logged in here"), asOf()],
  paused: () => [t("Paused"), t("Space goes on")],
};

function asOf() {
  const values = { age: duration((Date.now() - live.heardAt) / 1000), time: second(live.heardAt / 1000) };
  return t("these numbers are {age} old, of {time}", values);
}

function draw() {
  const { condition } = live;
  const trouble = TROUBLE[condition]?.();
  document.body.dataset.wall = condition;
  said.hidden = !trouble;
  if (trouble) {
    setText(title, trouble[0]);
    setText(detail, trouble[1]);
  }
  part("wall-login").hidden = condition !== "refused";
  part("wall-rests").hidden = !next || !still.matches;
  setText(part("wall-state"), condition === "live" ? t("Live") : condition === "connecting" ? t("Connecting…") : title.textContent);
  setText(part("wall-clock"), second(Date.now() / 1000));
}

function follow() {
  if (live.condition === "lost") lostAt ??= Date.now();
  else if (live.condition === "live" && lostAt !== null) {
    if (Date.now() - lostAt > LONG_MS) location.reload();
    lostAt = null;
  }
  draw();
}

// Only where the server answers: an error of the browser would never come back by itself.
async function goOn() {
  if (!live.paused && !still.matches && live.condition === "live") {
    const answer = await fetch("/health", { cache: "no-store" }).catch(() => null);
    if (answer?.ok) return location.replace(next);
  }
  return setTimeout(goOn, every * 1000);
}

async function lookAgain() {
  if (live.condition !== "refused") return;
  const answer = await fetch(location.href, { redirect: "manual", cache: "no-store" }).catch(() => null);
  if (answer?.ok) location.reload();
}

// Where the browser allows it (https, localhost), the screen stays on.
function stayAwake() {
  if (!document.hidden) navigator.wakeLock?.request("screen").catch(() => null);
}

document.addEventListener("keydown", (event) => {
  if (!isForPage(event)) return;
  if (event.key === "Escape") location.assign(leave);
  else if (event.key === " " && !event.target.closest?.("a, button, summary")) {
    event.preventDefault();
    if (live.paused) live.resume();
    else live.pause();
  } else if (event.key === "ArrowRight" && next) location.replace(next);
});
document.addEventListener("pointermove", () => {
  document.body.classList.remove("is-idle");
  clearTimeout(idle);
  idle = setTimeout(() => document.body.classList.add("is-idle"), IDLE_MS);
});
document.addEventListener("visibilitychange", stayAwake);
document.body.classList.add("is-idle");
for (const kind of ["state", "pause", "update"]) live.on(kind, follow);
setInterval(follow, 1000);
setInterval(lookAgain, LOOK_AGAIN_MS);
if (next) setTimeout(goOn, every * 1000);
stayAwake();
draw();
