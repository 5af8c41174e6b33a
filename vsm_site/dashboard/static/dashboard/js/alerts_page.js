// The page of alerts: the open ones live, the record as the server lists it.
import { showAlerts } from "./alerts.js";
import { perFrame } from "./dom.js";
import { Live } from "./live.js";
import { showStrip } from "./strip.js";

const live = new Live();
const drawSoon = perFrame(showAlerts(live, document.getElementById("alerts"), document.getElementById("alert-count")));
showStrip(live);
live.on("update", drawSoon);
setInterval(drawSoon, 1000);
