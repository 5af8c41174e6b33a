// The pages of schedules: what the server writes, asked for again every few seconds while somebody looks.
import { refreshing } from "./refresh.js";

const EVERY_MS = 5000;
const part = ["schedules", "schedule"].find((id) => document.getElementById(id));
const refresh = refreshing(part);

setInterval(() => {
  if (!document.hidden) refresh();
}, EVERY_MS);
