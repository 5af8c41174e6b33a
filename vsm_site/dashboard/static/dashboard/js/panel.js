// The three-way panel as a picture: environment, operation and management, each as large as it varies, and between two
// neighbours the balance of theirs.
import { el } from "./dom.js";
import { svg } from "./svg.js";
import { t, tn } from "./text.js";

const BOX = 120;
const MOST = 54;
const LEAST = 10;
const SHAPES = { environment: cloud, operation: circle, management: square };
const WORDS = {
  environment: t("What is asked"), operation: t("What is answered"), management: t("What is decided"),
};
const BANDS = { critical: "critical", warning: "warning", adequate: "healthy", excess: "severity-info", insufficient_data: "unknown" };
const BAND_WORDS = { critical: "critical", warning: "warning", adequate: "adequate", excess: t("more than needed"), insufficient_data: t("too few observations") };

export function bits(value, digits = 2) {
  return value === null || value === undefined ? t("unknown") : t("{value} bits", { value: value.toFixed(digits) });
}

export function ratio(balance) {
  if (balance.sufficient === null) return "unknown";
  return balance.ratio === null ? "∞" : balance.ratio.toFixed(2);
}

export function bandBadge(band) {
  return el("span", { class: `badge ${BANDS[band] ?? "unknown"}` }, BAND_WORDS[band] ?? band);
}

export function panelPicture(body) {
  const most = Math.max(1, ...["environment", "operation", "management"].map((name) => body[name].bits ?? 0));
  const node = (name) => {
    const side = body[name];
    const size = side.bits === null ? null : LEAST + (MOST - LEAST) * Math.sqrt(side.bits / most);
    const states = side.observed_states;
    const lines = side.bits === null ? [t("nothing observed")] : [bits(side.bits), tn("{n} state, as varied as {effective} equal ones", "{n} states, as varied as {effective} equal ones", states, { effective: side.effective_states.toFixed(1) }), side.confidence === "sufficient" ? t("{count} observed", { count: side.sample_size }) : t("{count} observed, {needed} needed", { count: side.sample_size, needed: side.needed_samples })];
    return el("figure", { class: `side-of ${name}${body.gap === name ? " lacks" : ""}`, "data-side": name },
      picture(name, size, `${name}: ${lines.join(", ")}`),
      el("figcaption", {}, el("strong", {}, name), el("span", { class: "quiet" }, WORDS[name]), ...lines.map((line) => el("span", {}, line))));
  };
  const between = (side, words) => el("div", { class: "balance", "data-balance": side.controller },
    el("span", { class: "balance-ratio number" }, ratio(side.balance)), bandBadge(side.balance.band),
    el("span", { class: "quiet" }, words),
    side.balance.deficit_bits ? el("span", {}, t("lacks {bits} (×{shortfall} states)", { bits: bits(side.balance.deficit_bits), shortfall: side.balance.state_shortfall.toFixed(1) })) : null);
  return el("div", { class: "three-way" }, node("environment"), between(body.operational, t("operation over environment")), node("operation"), between(body.managerial, t("management over operation")), node("management"));
}

function picture(name, size, words) {
  const image = svg("svg", { viewBox: `0 0 ${BOX} ${BOX}`, role: "img", "aria-label": words, class: "shape" });
  image.append(size === null ? dashed(SHAPES[name](MOST)) : SHAPES[name](size));
  return image;
}

function dashed(shape) {
  shape.classList.add("unknown");
  return shape;
}

function circle(size) {
  return svg("circle", { cx: BOX / 2, cy: BOX / 2, r: size });
}

function square(size) {
  return svg("rect", { x: BOX / 2 - size * 0.9, y: BOX / 2 - size * 0.9, width: size * 1.8, height: size * 1.8, rx: 3 });
}

// The outline that the model's diagrams give an environment.
function cloud(size) {
  const points = Array.from({ length: 48 }, (_, step) => {
    const angle = (step / 48) * 2 * Math.PI;
    const radius = size * (0.88 + 0.1 * Math.sin(3 * angle + 0.6) + 0.05 * Math.sin(5 * angle));
    return `${(BOX / 2 + radius * Math.cos(angle)).toFixed(1)},${(BOX / 2 + radius * Math.sin(angle)).toFixed(1)}`;
  });
  return svg("polygon", { points: points.join(" ") });
}

export function adviceList(suggestions) {
  return el("ul", { class: "advice" }, ...suggestions.map((one) => el("li", {},
    el("strong", {}, one.name.replaceAll("_", " ")), el("span", { class: "quiet" }, ` ${one.kind}${one.bits ? `, ${t("worth {one}", { one: bits(one.bits) })}` : ""}`),
    el("div", {}, one.advice), el("div", { class: "quiet" }, one.because))));
}
