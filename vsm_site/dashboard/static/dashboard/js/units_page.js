// The list of units: asked for again after each assessment, which is when what it says of them may have changed.
import { following } from "./following.js";
import { live } from "./here.js";

const changed = following("record", { part: "rows" });
live.on("assessment", changed);
