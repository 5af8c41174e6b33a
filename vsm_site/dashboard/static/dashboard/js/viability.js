// The score of the whole and the parts that add up to it, and a card for each of S1-S5.
import { config } from "./config.js";
import { badge, setBadge } from "./badge.js";
import { el, keyed, setClass, setText } from "./dom.js";
import { addingUp, metricTitle, metricValue, score, short, words } from "./format.js";
import { t } from "./text.js";

export function showViability(box, viability) {
  if (!viability || !viability.status) return;
  if (viability.score === null && !viability.assessed_at) {
    box.replaceChildren(el("p", { class: "empty" }, t("Not assessed yet. The first assessment comes within 30 seconds.")));
    return;
  }
  const parts = viability.parts ?? [];
  const shown = addingUp(parts.map((part) => part.contribution), viability.score ?? 0);
  box.replaceChildren(
    el("div", { class: "score-row" }, el("span", { class: "score", id: "score" }, score(viability.score, 3)), badge(viability.status)),
    bar(parts, shown), el("div", { class: "scale", "aria-hidden": "true" }, el("span", {}, "0"), el("span", {}, "1")),
    table(parts, shown, viability), raises(viability) ?? "", others(viability),
  );
}

// The one part that would raise it most if it alone were healthy.
function raises({ counterfactual }) {
  const most = counterfactual?.[0];
  if (!most) return null;
  const step = most.next_band ? `, ${t("+{gain} one band better", { gain: score(most.next_band.gain, 3) })}` : "";
  return el("p", { class: "raise" }, `${t("Raised most by")} `, el("a", { href: `/dashboard/systems/${most.subsystem}/${config.query}` }, title(most)), `: ${t("healthy would make it {viability} (+{gain}{step})", { viability: score(most.viability, 3), gain: score(most.gain, 3), step })}`);
}

// The scores of the whole: how deep it is, how autonomous its operations are, how fast it adapts.
export function showWhole(box, scores) {
  box.replaceChildren(el("div", { class: "gauges whole" }, ...scores.filter((each) => each.card === "overall").map(gauge)));
}

// One score: its value, or that it is unknown and why.
export function gauge({ title: name, value, unit, reason, means }) {
  const known = value !== null && value !== undefined;
  const share = unit === "0 to 1" || unit === "1 at most";
  const text = !known ? "unknown" : share ? score(value) : unit === "seconds" ? metricValue("lead_seconds", value) : `${short(value)} ${unit}`;
  const track = known && share ? el("span", { class: "track", "aria-hidden": "true" }, el("span", {})) : null;
  if (track) track.firstChild.style.width = `${Math.max(0, Math.min(1, value)) * 100}%`;
  return el("div", { class: "gauge", title: means ?? "" }, el("span", {}, name), el("span", { class: known ? "value" : "value unknown" }, text), track, known ? null : el("span", { class: "because" }, reason));
}

function bar(parts, shown) {
  const box = el("div", { class: "parts-bar", role: "img", "aria-label": `Parts: ${parts.map((part, i) => `${title(part)} ${shown[i]}`).join(", ")}` });
  parts.forEach((part, index) => {
    const piece = el("span", { class: `part-${index + 1}`, title: `${title(part)}: ${shown[index]}` }, part.contribution > 0.03 ? shortName(part) : "");
    piece.style.flexBasis = `${Math.max(0, part.contribution ?? 0) * 100}%`;
    box.append(piece);
  });
  return box;
}

function shortName(part) {
  return config.titles[String(part.subsystem)] ? String(part.subsystem).toUpperCase() : words(part.subsystem);
}

function title(part) {
  const name = String(part.subsystem);
  return config.titles[name] ? `${name.toUpperCase()} ${config.titles[name]}` : words(name).replace(/^./, (letter) => letter.toUpperCase());
}

function table(parts, shown, viability) {
  const head = [t("Part"), t("Status"), t("Weight"), t("Adds")].map((word, i) => el("th", { scope: "col", class: i > 1 ? "number" : "" }, word));
  const rows = parts.map((part, index) => el("tr", {},
    el("td", {}, el("span", { class: `swatch part-${index + 1}`, "aria-hidden": "true" }), title(part)),
    el("td", {}, badge(part.status)),
    el("td", { class: "number" }, part.weight === null || part.weight === undefined ? "" : short(part.weight)),
    el("td", { class: "number" }, shown[index])));
  const sum = el("tr", {}, el("th", { scope: "row", colspan: "3" }, t("Viability")), el("td", { class: "number" }, score(viability.score, 3)));
  return el("table", { class: "parts" }, el("thead", {}, el("tr", {}, ...head)), el("tbody", {}, ...rows), el("tfoot", {}, sum));
}

function others(viability) {
  const weakest = viability.weakest_link;
  const structural = viability.structural;
  const checks = structural?.checks ?? [];
  const passed = checks.filter((check) => check.ok).length;
  const rows = [
    [t("Weakest link"), weakest?.subsystem ? `${title(weakest)} (${score(weakest.score)})` : "unknown"],
    [t("Geometric"), score(viability.geometric, 3)],
    [t("Structural"), checks.length ? el("a", { href: `/dashboard/systems/${config.system}/` }, t("{passed} of {checks} checks hold", { passed, checks: checks.length })) : score(structural?.score ?? null)],
  ];
  return el("dl", { class: "more-views" }, ...rows.flatMap(([name, text]) => [el("dt", {}, name), el("dd", {}, text)]));
}

// The structural checks one by one, and how the parts come about: for the page that has room for it.
export function showChecks(box, checks) {
  box.append(
    el("p", { class: "help" }, t("A status counts 1 when healthy, 0.6 when degraded, 0.2 when unhealthy and 0.5 when unknown. Viability is the mean of overall health and of the five statuses by their weights.")),
    el("ul", { class: "checks" }, ...checks.map((check) => el("li", {}, badge(check.ok ? "holds" : "missing", check.ok ? "healthy " : "warning "), ` ${words(check.name)}${check.reason ? `: ${check.reason}` : ""}`))),
  );
}

const EXTRA = {
  s1: (measures, tasks) => [[t("Runtime, 95 of 100"), tasks?.runtime?.p95, "seconds"], [t("Wait, 95 of 100"), tasks?.wait?.p95, "seconds"], [t("Retried in the hour"), tasks?.retried, ""], [t("Units heard"), measures.known_count, ""]],
  s2: (measures) => [[t("Coordination lag"), measures.coordination_lag_seconds, "seconds"]],
  s3: (measures) => [[t("Collection coverage"), measures.collection_coverage, t("0 to 1")], [t("Resource headroom"), measures.resource_headroom, t("0 to 1")]],
  s4: (measures) => [[t("Sources outside"), measures.sources, ""]],
  s5: (measures) => [[t("Alerts answered in time"), measures.settled ? measures.answered_in_time / measures.settled : null, t("0 to 1")]],
};
const NOTHING = { s1: t("No task of a fleet ended in the last hour."), s5: t("No alert of the last day is settled yet.") };

// A card for each of S1 to S5: its health, and every score that is made of it.
export function showCards(box, subsystems, scores = [], tasks = null) {
  const all = Object.keys(config.titles).map((slug) => ({ slug, ...(subsystems?.[slug] ?? { score: null, status: "unknown", reason: t("Not assessed yet."), measures: {} }), scores: scores.filter((each) => each.card === slug), tasks }));
  keyed(box, all, (card) => card.slug, makeCard, updateCard);
}

function makeCard(card) {
  return el("article", { class: "panel card" },
    el("h2", {}, el("a", { href: `/dashboard/systems/${card.slug}/${config.query}` }, `${card.slug.toUpperCase()} ${config.titles[card.slug]}`)),
    el("div", { class: "card-head" }, el("span", { class: "card-score" }), badge("unknown")),
    el("p", { class: "quiet reason" }), el("div", { class: "gauges" }),
    el("p", { class: "quiet explained" }, el("a", { href: `/dashboard/scores/${config.query}#${card.slug}` }, t("Explained"), el("span", { class: "visually-hidden" }, `: ${t("the scores of {card}", { card: card.slug.toUpperCase() })}`))));
}

function updateCard(node, card) {
  setClass(node, `panel card is-${card.status}`);
  setText(node.querySelector(".card-score"), card.score === null ? "–" : score(card.score));
  setBadge(node.querySelector(".badge"), card.status);
  setText(node.querySelector(".reason"), card.reason ?? "");
  const extra = (EXTRA[card.slug]?.(card.measures ?? {}, card.tasks) ?? []).map(([name, value, unit]) => ({ title: name, value, unit, reason: NOTHING[card.slug] ?? t("Not measured yet.") }));
  node.querySelector(".gauges").replaceChildren(...[...card.scores, ...extra].map(gauge));
}

// A list of named measures; *most* keeps a card small.
export function setFacts(list, measures, most = Infinity) {
  const rows = flat(measures ?? {}).slice(0, most);
  const text = rows.map((row) => row.join()).join("|");
  if (list.dataset.text === text) return;
  list.dataset.text = text;
  list.replaceChildren(...rows.flatMap(([name, value]) => [el("dt", { title: name }, metricTitle(name)), el("dd", {}, value)]));
}

function flat(measures, prefix = "") {
  return Object.entries(measures).flatMap(([name, value]) => {
    if (value !== null && typeof value === "object" && !Array.isArray(value)) return flat(value, `${prefix}${name} `);
    return [[prefix + name, shownMeasure(name, value)]];
  });
}

function shownMeasure(name, value) {
  if (value === null) return "unknown";
  if (typeof value === "number") return metricValue(name, value);
  if (Array.isArray(value)) return value.map((item) => (typeof item === "object" ? JSON.stringify(item) : item)).join(", ") || "none";
  return typeof value === "boolean" ? (value ? "yes" : "no") : String(value);
}
