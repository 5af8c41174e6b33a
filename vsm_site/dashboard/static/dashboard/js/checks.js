// Checks: how they stand is asked for again with every tick of the platform, by which silence is judged too.
import { setText } from "./dom.js";
import { live } from "./here.js";
import { following } from "./following.js";
import { t } from "./text.js";

const again = following("live");
live.on("tick", () => document.hidden || again());

document.getElementById("copy")?.addEventListener("click", async () => {
  const field = document.getElementById("address");
  field.select();
  try {
    await navigator.clipboard.writeText(field.value);
    setText(document.getElementById("copied"), t("Copied."));
  } catch {
    setText(document.getElementById("copied"), t("Selected: copy it with your keyboard."));
  }
});
