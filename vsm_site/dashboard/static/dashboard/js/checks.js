// Checks: how they stand is asked for again with every tick of the platform, by which silence is judged too.
import { setText } from "./dom.js";
import { Live } from "./live.js";
import { refreshing } from "./refresh.js";
import { showStrip } from "./strip.js";

const live = new Live();
const again = refreshing("live");
showStrip(live);
live.on("tick", () => document.hidden || again());

document.getElementById("copy")?.addEventListener("click", async () => {
  const field = document.getElementById("address");
  field.select();
  try {
    await navigator.clipboard.writeText(field.value);
    setText(document.getElementById("copied"), "Copied.");
  } catch {
    setText(document.getElementById("copied"), "Selected: copy it with your keyboard.");
  }
});
