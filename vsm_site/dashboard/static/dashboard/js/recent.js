// The pages this person came to last, in this browser alone: what the search offers before anything is typed. They are
// forgotten when somebody logs out.
import { config } from "./config.js";

const PREFIX = "vsm.recent.";
const KEPT = 12;
const name = `${PREFIX}${config.person}`;

export function visits() {
  try {
    const found = JSON.parse(localStorage.getItem(name) ?? "[]");
    return Array.isArray(found) ? found : [];
  } catch {
    return [];
  }
}

export function noteVisit() {
  const label = document.title.split(" · ")[0];
  const href = location.pathname + location.search;
  if (location.pathname.endsWith("/search/")) return;
  const others = visits().filter((one) => one.href !== href && !(one.label === label && one.href.split("?")[0] === location.pathname));
  localStorage.setItem(name, JSON.stringify([{ label, href }, ...others].slice(0, KEPT)));
}

export function forgetVisits() {
  for (const key of Object.keys(localStorage)) if (key.startsWith(PREFIX)) localStorage.removeItem(key);
}
