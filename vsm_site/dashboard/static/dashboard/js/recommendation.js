// One recommendation: its loop follows what happens to it and to its action.
import { config } from "./config.js";
import { live } from "./here.js";
import { following } from "./following.js";

const again = following("story");
live.on("recommendation", ({ key }) => { if (key === config.recommendation.id) again(); });
live.on("action", again);
