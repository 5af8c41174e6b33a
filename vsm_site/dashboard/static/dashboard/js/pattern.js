// A rehearsal that runs, followed until it has ended.
import { following } from "./following.js";

const BUSY_MS = 1000;
const part = document.getElementById("rehearsal");
const again = following("rehearsal");

setInterval(() => part.querySelector("[data-busy]") && again(), BUSY_MS);
