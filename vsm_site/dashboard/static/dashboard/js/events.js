// The chain of events, followed while it is proven whole.
import { config, withSystem } from "./config.js";
import { badge } from "./badge.js";
import { el, setText } from "./dom.js";
import { ago, epoch } from "./format.js";
import { getJson } from "./post.js";
import { t } from "./text.js";

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
    fact(t("Head"), t("event {position}", { position: chain.head.toLocaleString("en") })), fact(t("Waiting for their place"), chain.pending.toLocaleString("en")),
    fact(t("Signed up to"), chain.checkpoint ? t("event {position}", { position: chain.checkpoint.toLocaleString("en") }) : t("nothing yet"))));
}

function verdict({ now, verifying, last }) {
  if (verifying) return said("unknown", t("Being verified…"));
  if (!last) return said("unknown", t("Not verified yet"));
  const when = `${ago(Math.max(0, epoch(now) - epoch(last.at)))}${last.by ? ` by ${last.by}` : ""}`;
  if (last.error) return said("degraded", t("Could not be verified {when}: {error}", { when, error: last.error }));
  if (last.ok) return said("healthy", t("Whole: {checked} events verified {when}", { checked: last.checked.toLocaleString("en"), when }));
  return said("unhealthy", t("Broken at event {first_bad_position}: {findings} findings {when}", { first_bad_position: last.first_bad_position, findings: last.findings, when }));
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
