// Failures by kind, as they come.
import { following } from "./following.js";
import { Live } from "./live.js";

const changed = following("groups");
new Live().on("tasks", ({ body }) => { if (body.failed) changed(); });
