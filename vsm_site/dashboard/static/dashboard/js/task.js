// One task: its page follows it until it has ended.
import { config } from "./config.js";
import { following } from "./following.js";
import { live } from "./here.js";

if (config.follows) {
  const changed = following("story");
  live.on("tasks", ({ body }) => { if (!body.all_told || body.uuids.includes(config.uuid)) changed(); });
}
