// The list of tasks: its first page follows what happens.
import { config } from "./config.js";
import { following } from "./following.js";
import { Live } from "./live.js";

if (config.follows) {
  const changed = following("rows", { part: "rows" });
  const live = new Live();
  live.on("tasks", changed);
  live.on("snapshot", changed); // what was missed while the connection was away
  document.addEventListener("visibilitychange", () => document.hidden || changed());
}
