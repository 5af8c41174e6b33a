// The page of signals: the open ones live, the record as the server lists it, the lane and the channels.
import { perFrame } from "./dom.js";
import { live } from "./here.js";
import { followNerves } from "./nerves.js";
import { following } from "./following.js";
import { showSignals } from "./signals.js";
import { t } from "./text.js";

const empty = t("Nothing hurts, and nothing is praised. Signals appear here the moment they are heard.");
const draw = perFrame(showSignals(live, document.getElementById("signals"), document.getElementById("signal-count"), { empty }));
live.on("update", draw);
const again = following("record");
live.on("signal", again);
setInterval(draw, 1000);
followNerves();
