// The one live connection of this page: the frame and everything in it share it.
import { config } from "./config.js";
import { Live } from "./live.js";

export const live = new Live(config.unit ? { ids: config.unit.id } : config.view);
