// The diagram on a page of its own.
import { config } from "./config.js";
import { perFrame } from "./dom.js";
import { live } from "./here.js";
import { showModel } from "./model.js";

const model = showModel(live, document.getElementById("model"), config.model);
live.on("update", perFrame(() => model.draw()));
