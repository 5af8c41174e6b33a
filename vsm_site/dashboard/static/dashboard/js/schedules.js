// The pages of schedules: what the server writes, asked for again every few seconds while somebody looks.
import { following } from "./following.js";

const EVERY_MS = 5000;
const part = ["schedules", "schedule"].find((id) => document.getElementById(id));
const refresh = following(part);

setInterval(() => {
  if (!document.hidden) refresh();
}, EVERY_MS);
