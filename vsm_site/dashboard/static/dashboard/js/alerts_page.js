// The page of alerts: the open ones live, the record as the server lists it, asked for again when an alert moves on.
import { showAlerts } from "./alerts.js";
import { perFrame } from "./dom.js";
import { Live } from "./live.js";
import { showStrip } from "./strip.js";

const RECORD_WAIT_MS = 300; // one answer for alerts that move together
const record = document.getElementById("record");
const known = new Map();
let asked = 0;

function moved(key, alert) {
  const where = alert ? `${alert.state} ${alert.acknowledged_at}` : "gone";
  const news = known.get(key) !== where;
  known.set(key, where);
  return news;
}

async function listAgain() {
  const answer = await fetch(location.href, { credentials: "same-origin" }).catch(() => null);
  if (!answer?.ok || answer.redirected) return; // what is shown stays; the next change asks again
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  record.replaceChildren(...(page.getElementById("record")?.children ?? []));
}

const live = new Live();
const drawSoon = perFrame(showAlerts(live, document.getElementById("alerts"), document.getElementById("alert-count")));
showStrip(live);
live.on("update", drawSoon);
live.on("snapshot", () => live.data.alerts.forEach((alert, key) => moved(key, alert)));
live.on("alert", ({ key, body }) => {
  if (!moved(key, body)) return;
  clearTimeout(asked);
  asked = setTimeout(listAgain, RECORD_WAIT_MS);
});
setInterval(drawSoon, 1000);
