// The chain of events, followed while it is proven whole.
import { config, withSystem } from "./config.js";
import { badge } from "./badge.js";
import { el, setText } from "./dom.js";
import { ago, epoch } from "./format.js";
import { getJson } from "./post.js";

const BUSY_MS = 700;
const IDLE_MS = 5000;
const box = document.getElementById("chain");
const button = document.getElementById("verify");
let shown = "";

function show(chain) {
  if (button) button.disabled = chain.verifying;
  const text = JSON.stringify({ ...chain, now: null });
  if (text === shown) return;
  shown = text;
  const fact = (name, value) => el("div", {}, el("dt", {}, name), el("dd", {}, value));
  box.replaceChildren(el("p", {}, verdict(chain)), el("dl", { class: "fact-row" },
    fact("Head", `event ${chain.head.toLocaleString("en")}`), fact("Waiting for their place", chain.pending.toLocaleString("en")),
    fact("Signed up to", chain.checkpoint ? `event ${chain.checkpoint.toLocaleString("en")}` : "nothing yet")));
}

function verdict({ now, verifying, last }) {
  if (verifying) return said("unknown", "Being verified…");
  if (!last) return said("unknown", "Not verified yet");
  const when = `${ago(Math.max(0, epoch(now) - epoch(last.at)))}${last.by ? ` by ${last.by}` : ""}`;
  if (last.error) return said("degraded", `Could not be verified ${when}: ${last.error}`);
  if (last.ok) return said("healthy", `Whole: ${last.checked.toLocaleString("en")} events verified ${when}`);
  return said("unhealthy", `Broken at event ${last.first_bad_position}: ${last.findings} findings ${when}`);
}

function said(word, sentence) {
  const node = badge(word);
  setText(node, sentence);
  return node;
}

async function follow(chain) {
  for (;;) {
    show(chain);
    await new Promise((resolve) => setTimeout(resolve, chain.verifying ? BUSY_MS : IDLE_MS));
    if (document.hidden) continue;
    try {
      chain = await getJson(withSystem("/dashboard/events/chain/"));
    } catch {
      continue; // the server is away for a moment; ask again later
    }
  }
}

follow(config.chain);
