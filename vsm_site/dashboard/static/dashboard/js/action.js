// One action: its story follows how far it is.
import { config } from "./config.js";
import { live } from "./here.js";
import { following } from "./following.js";

const again = following("story");
live.on("action", ({ key }) => { if (key === config.action.id) again(); });
