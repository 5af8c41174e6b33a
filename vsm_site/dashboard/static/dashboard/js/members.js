// Workers and queues: what the server writes of them, anew after each collection and when something is found stuck.
import { Live } from "./live.js";
import { refreshing } from "./refresh.js";

const live = new Live();
const refresh = refreshing("live");
const changed = () => document.hidden || refresh();
live.on("tick", changed);
live.on("finding", changed);
document.addEventListener("visibilitychange", changed);
