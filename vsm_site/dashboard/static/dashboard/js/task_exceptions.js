// Failures by kind, as they come.
import { following } from "./following.js";
import { live } from "./here.js";

const changed = following("groups");
live.on("tasks", ({ body }) => { if (body.failed) changed(); });
