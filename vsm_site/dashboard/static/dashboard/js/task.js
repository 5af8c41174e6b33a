// One task: its page follows it until it has ended.
import { config } from "./config.js";
import { following } from "./following.js";
import { Live } from "./live.js";

if (config.follows) {
  const changed = following("story");
  const live = new Live();
  live.on("tasks", ({ body }) => { if (!body.all_told || body.uuids.includes(config.uuid)) changed(); });
}
