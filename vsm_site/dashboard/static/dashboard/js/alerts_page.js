// The page of alerts: the open ones live, the record as the server lists it, asked for again when an alert moves on.
import { showAlerts } from "./alerts.js";
import { perFrame } from "./dom.js";
import { Live } from "./live.js";
import { refreshing } from "./refresh.js";
import { showStrip } from "./strip.js";

const listAgain = refreshing("record");
const known = new Map();

function moved(key, alert) {
  const where = alert ? `${alert.state} ${alert.acknowledged_at}` : "gone";
  const news = known.get(key) !== where;
  known.set(key, where);
  return news;
}

const live = new Live();
const drawSoon = perFrame(showAlerts(live, document.getElementById("alerts"), document.getElementById("alert-count")));
showStrip(live);
live.on("update", drawSoon);
live.on("snapshot", () => live.data.alerts.forEach((alert, key) => moved(key, alert)));
live.on("alert", ({ key, body }) => {
  if (moved(key, body)) listAgain();
});
setInterval(drawSoon, 1000);
