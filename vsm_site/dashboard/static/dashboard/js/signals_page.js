// The page of signals: the open ones live, the record as the server lists it, the lane and the channels.
import { perFrame } from "./dom.js";
import { Live } from "./live.js";
import { followNerves } from "./nerves.js";
import { refreshing } from "./refresh.js";
import { showSignals } from "./signals.js";
import { showStrip } from "./strip.js";

const live = new Live();
const empty = "Nothing hurts, and nothing is praised. Signals appear here the moment they are heard.";
const draw = perFrame(showSignals(live, document.getElementById("signals"), document.getElementById("signal-count"), { empty }));
showStrip(live);
live.on("update", draw);
live.on("signal", refreshing("record"));
setInterval(draw, 1000);
followNerves();
