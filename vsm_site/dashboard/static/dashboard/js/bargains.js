// Pools and their bargains, asked for again when somebody asks, offers or answers, and when what is used was measured.
import { live } from "./here.js";
import { following } from "./following.js";

const again = following(["pools", "rows"].filter((id) => document.getElementById(id)));
live.on("bargain", again);
