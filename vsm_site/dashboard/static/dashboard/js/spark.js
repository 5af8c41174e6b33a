// Sparklines: one SVG line, scaled to its own smallest and largest value.
import { t } from "./text.js";
const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 120;
const HEIGHT = 26;
const SECONDS = 900;

export function makeSpark() {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "spark");
  svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("role", "img");
  const line = document.createElementNS(SVG, "polyline");
  line.setAttribute("fill", "none");
  line.setAttribute("stroke", "currentColor");
  line.setAttribute("stroke-width", "1.5");
  line.setAttribute("vector-effect", "non-scaling-stroke");
  svg.append(line);
  return svg;
}

export function drawSpark(svg, points, now, label) {
  const shown = points.filter(([at, value]) => at > now - SECONDS && value !== null);
  const values = shown.map((point) => point[1]);
  const low = Math.min(...values);
  const high = Math.max(...values);
  const span = high - low || 1;
  const y = (value) => (high === low ? HEIGHT / 2 : HEIGHT - 2 - ((value - low) / span) * (HEIGHT - 4));
  const x = (at) => Math.max(0, WIDTH - ((now - at) / SECONDS) * WIDTH);
  svg.firstChild.setAttribute("points", shown.map(([at, value]) => `${x(at).toFixed(1)},${y(value).toFixed(1)}`).join(" "));
  svg.setAttribute("aria-label", shown.length ? t("{label}, last 15 minutes", { label }) : t("{label}: no values yet", { label }));
}
