// The patterns and their figures, asked for again when one is detected.
import { live } from "./here.js";
import { following } from "./following.js";

const again = following("live");
live.on("pattern", again);
