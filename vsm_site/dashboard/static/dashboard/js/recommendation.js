// One recommendation: its loop follows what happens to it and to its action.
import { config } from "./config.js";
import { Live } from "./live.js";
import { refreshing } from "./refresh.js";

const live = new Live();
const again = refreshing("story");
live.on("recommendation", ({ key }) => { if (key === config.recommendation.id) again(); });
live.on("action", again);
