// One action: its story follows how far it is.
import { config } from "./config.js";
import { Live } from "./live.js";
import { refreshing } from "./refresh.js";

const live = new Live();
const again = refreshing("story");
live.on("action", ({ key }) => { if (key === config.action.id) again(); });
// What happened between the page and the first word of the socket would be missed.
if (["proposed", "applying"].includes(config.action.state)) setTimeout(again, 1500);
