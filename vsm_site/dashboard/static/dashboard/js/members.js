// Workers and queues: what the server writes of them, anew after each collection and when something is found stuck.
import { following } from "./following.js";
import { live } from "./here.js";

const changed = following("live");
live.on("tick", changed);
live.on("finding", changed);
