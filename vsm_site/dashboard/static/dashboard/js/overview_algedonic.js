// The view of what hurts and what pleases: a day of it as a picture, what is open, how the lane does.
import { config, withSystem } from "./config.js";
import { el, setText } from "./dom.js";
import { clock } from "./format.js";
import { followNerves } from "./nerves.js";
import { getJson } from "./post.js";
import { showSignals } from "./signals.js";
import { healthShape, svg } from "./svg.js";
import { t } from "./text.js";

const HOURS = 24;
const [HEIGHT, LEFT] = [190, 76];
const [LEAST_WIDTH, MOST_WIDTH] = [320, 1400]; // drawn as wide as there is room, so that its words keep their size
// Pleasure above the line; below it pain, the worse the lower.
const LEVELS = { pleasure: 28, low: 74, medium: 104, high: 134, critical: 164 };
let felt = config.felt;

export function show(live) {
  const drawSignals = showSignals(live, document.getElementById("urgent-list"), document.getElementById("urgent-count"), { empty: t("Nothing hurts, and nothing is praised. Signals appear here the moment they are heard.") });
  let asked = 0;
  live.on("signal", () => {
    clearTimeout(asked);
    asked = setTimeout(load, 500);
  });
  followNerves();
  new ResizeObserver(() => draw(live)).observe(document.getElementById("felt"));
  setInterval(() => draw(live), 60000);

  async function load() {
    try {
      felt = (await getJson(withSystem("/dashboard/overview/felt/"))).felt;
      draw(live);
    } catch (problem) {
      console.info(`The day keeps its last picture: ${problem.message}`);
    }
  }
  return drawSignals;
}

function draw(live) {
  const box = document.getElementById("felt");
  const pains = felt.filter((each) => each.type === "pain").length;
  setText(document.getElementById("felt-count"), felt.length ? t("{pains} pains, {pleasures} pleasures", { pains, pleasures: felt.length - pains }) : "");
  if (!felt.length) {
    box.replaceChildren(el("p", { class: "empty" }, t("Nothing was felt in the last 24 hours.")));
    return;
  }
  const now = live.now();
  const width = Math.min(MOST_WIDTH, Math.max(LEAST_WIDTH, box.clientWidth));
  const x = (at) => LEFT + (1 - (now - at) / (HOURS * 3600)) * (width - LEFT - 16);
  const picture = svg("svg", { viewBox: `0 0 ${width} ${HEIGHT}`, role: "img", class: "felt-picture", "aria-label": t("{pains} pains and {pleasures} pleasures of the last 24 hours", { pains, pleasures: felt.length - pains }) });
  for (const [name, y] of Object.entries(LEVELS)) picture.append(svg("line", { x1: LEFT, x2: width - 8, y1: y, y2: y, class: "axis", "stroke-opacity": name === "pleasure" ? 1 : 0.5 }), text(LEFT - 8, y + 4, name, "end"));
  for (let hour = 0; hour <= HOURS; hour += width < 600 ? 8 : 4) picture.append(text(x(now - hour * 3600), HEIGHT - 4, hour ? `−${hour} h` : "now", "middle"));
  for (const each of [...felt].reverse()) picture.append(sign(each, x(each.at)));
  box.replaceChildren(picture);
}

function text(x, y, words, anchor) {
  const node = svg("text", { x, y, "text-anchor": anchor });
  setText(node, words);
  return node;
}

function sign({ type, severity, source, at }, x) {
  const y = LEVELS[type === "pleasure" ? "pleasure" : severity];
  const shape = type === "pleasure" ? healthShape("healthy", x, y, 5) : { critical: healthShape("unhealthy", x, y, 6), high: healthShape("degraded", x, y, 6), medium: `M${x} ${y - 6}L${x + 6} ${y}L${x} ${y + 6}L${x - 6} ${y}Z`, low: `M${x - 6} ${y - 2}h12v4h-12z` }[severity];
  const title = svg("title");
  setText(title, t("{severity} {type} of {source}, {at}", { severity, type, source, at: clock(at) }));
  return svg("path", { d: shape, class: type === "pleasure" ? "pleasure" : `severity-${severity}` }, title);
}
