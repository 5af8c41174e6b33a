// The list of tasks: its first page follows what happens.
import { config } from "./config.js";
import { following } from "./following.js";
import { live } from "./here.js";

if (config.follows) {
  const changed = following("rows", { part: "rows" });
  live.on("tasks", changed);
}
