// What the diagram says of each part, in words and numbers: the same for its nodes, its tooltips and its table. Pure.
import { score, short, words } from "./format.js";
import { askedOf, kindWords, rowsOf, waitingIn } from "./model_rows.js";
import { t, tn } from "./text.js";
import { sum, told } from "./told.js";

const WAITS = {
  s1: (n) => tn("{n} finding of stuck work", "{n} findings of stuck work", n),
  s2: (n) => tn("{n} finding is open", "{n} findings are open", n),
  s3: (n) => tn("{n} recommendation waits", "{n} recommendations wait", n),
  s3_star: (n) => tn("{n} audit finding is open", "{n} audit findings are open", n),
  s4: (n) => tn("{n} threat is seen", "{n} threats are seen", n),
  s5: (n) => tn("{n} decision waits", "{n} decisions wait", n),
};
const SEVERITIES = ["critical", "high", "medium", "low"];

// Everything that is drawn, from the live data and the facts of the server; *open* is the key of an opened fold.
export function picture(data, facts, titles, open) {
  const own = new Set([...data.fleets.values()].filter((fleet) => fleet.own).map((fleet) => fleet.name));
  const units = [...data.units.values()];
  const queues = units.filter((unit) => unit.kind === "celery_queue");
  const totals = data.view?.cut ? data.totals?.units ?? null : null; // more units than are in sight: count, do not list
  const found = rowsOf(units, { own, inside: open ? [] : facts.inside, open, totals });
  const rows = found.rows.map((row) => withAsked(row, queues, facts, own));
  return {
    ...found, rows, parts: partsOf(data, facts, titles), flows: flowsOf(facts, data.channels), pains: painsOf(data),
    environment: environmentOf(units, queues, own, totals ? data.viability?.details?.scores?.task_throughput ?? null : undefined), varieties: facts.varieties, cut: Boolean(totals),
  };
}

function withAsked(row, queues, facts, own) {
  const asked = row.key === "platform" ? { queues: queues.filter((queue) => own.has(queue.fleet)) } : askedOf(row, queues, facts.readers);
  if (asked.waiting === undefined) asked.waiting = waitingIn(asked.queues);
  const sides = row.type === "unit" ? facts.varieties.units[row.units[0].name] ?? null : null;
  return { ...row, asked, sides };
}

function partsOf({ viability }, facts, titles) {
  const parts = {};
  for (const [slug, title] of Object.entries(titles)) {
    const vital = viability?.subsystems?.[slug];
    parts[slug] = part(slug, `${slug.toUpperCase()} ${title}`, vital?.score ?? null, vital?.status ?? "unknown", facts.waiting[slug], vital?.reason);
  }
  const compliance = viability?.details?.scores?.audit_compliance ?? null;
  parts.s3_star = part("s3_star", t("S3* Audit"), compliance, band(compliance), facts.waiting.s3_star, compliance === null ? t("No fleet has been audited.") : t("Mean of the fleets' scores in the configuration audit."));
  return parts;
}

function part(slug, title, value, status, waiting, reason) {
  const waits = waiting ? WAITS[slug](waiting) : "";
  const name = `${title}, ${status}${value === null ? "" : `, ${score(value)}`}${waits ? `; ${waits}` : ""}`;
  return { slug, title, score: value, status, waiting, waits, reason: reason ?? "", name };
}

function band(value) {
  if (value === null) return "unknown";
  return value > 0.8 ? "healthy" : value > 0.5 ? "degraded" : "unhealthy";
}

// Messages of five minutes by channel and by its two ends, and what moved since the last tick where the server tells it.
function flowsOf(facts, live) {
  const flows = {};
  for (const { channel, from, to, count } of facts.flows) {
    for (const key of [channel, `${channel}:${from}>${to}`]) flows[key] = (flows[key] ?? 0) + count;
  }
  const moved = new Set(Object.entries(live ?? {}).filter(([, rate]) => rateIn(rate) > 0).map(([channel]) => channel));
  return { counts: flows, moved };
}

function rateIn(told) {
  return typeof told === "number" ? told : told?.per_second ?? told?.rate ?? 0;
}

function painsOf({ signals, totals }) {
  const open = [...signals.values()].filter((signal) => signal.type === "pain");
  const counts = Object.fromEntries(SEVERITIES.map((severity) => [severity, open.filter((signal) => signal.severity === severity).length]));
  if (totals?.signals) Object.assign(counts, totals.signals.pain); // only the most urgent are in sight
  return { open, counts, total: Object.values(counts).reduce((sum, count) => sum + count, 0), sources: new Set(open.map((signal) => signal.source)) };
}

// *mean* of the last hour stands for the rate where not every worker is in sight.
function environmentOf(units, queues, own, mean) {
  const outside = queues.filter((queue) => !own.has(queue.fleet));
  const shown = outside.length ? outside : queues;
  const rates = told(units.filter((unit) => !own.has(unit.fleet)), "task_rate");
  return { queues: shown.length, waiting: waitingIn(shown), rate: mean !== undefined ? mean : sum(rates) };
}

// --- Words ------------------------------------------------------------------------------------------------------------
export function rowName(row) {
  const said = [row.name];
  if (row.type === "fold") said.push(row.key === "platform" ? t("{members} of the platform's own workers", { members: row.members }) : `${row.members} ${row.kind ? kindWords(row.kind) : "units"}`);
  if (row.type === "system") said.push(t("a system of its own"));
  said.push(row.status + (row.score === null ? "" : ` ${score(row.score)}`));
  return [said.join(", "), ...rowLines(row)].join("; ");
}

export function rowLines(row) {
  const lines = [];
  if (row.counts && row.members > 1) lines.push(countsLine(row.counts));
  if (row.silent) lines.push(row.members > 1 ? t("{count} silent", { count: row.silent }) : "silent");
  if (row.state === "paused") lines.push("paused");
  if (row.rate !== null && row.rate !== undefined) lines.push(t("{rate} tasks a second", { rate: short(row.rate) }));
  if (row.asked?.queues?.length) lines.push(`reads ${row.asked.queues.length > 3 ? `${row.asked.queues.length} queues` : row.asked.queues.map((queue) => queue.name.split("/").at(-1)).join(", ")}${row.asked.waiting === null ? "" : `, ${t("where {waiting} wait", { waiting: short(row.asked.waiting) })}`}`);
  if (row.sides) lines.push(t("{environment} asked, {operation} answered, {management} decided", { environment: bits(row.sides.environment), operation: bits(row.sides.operation), management: bits(row.sides.management) }));
  return lines;
}

function countsLine(counts) {
  return ["unhealthy", "degraded", "healthy", "unknown"].filter((level) => counts[level]).map((level) => `${counts[level]} ${level}`).join(", ");
}

export function bits(value) {
  return value === null || value === undefined ? t("unknown bits") : t("{value} bits", { value: value.toFixed(2) });
}

export function painWords({ counts, total }) {
  return total ? SEVERITIES.filter((severity) => counts[severity]).map((severity) => `${counts[severity]} ${severity}`).join(", ") : t("none open");
}

// The lines of the table: part, health, what is known of it.
export function tableRows(scene, windowSeconds) {
  const { parts, flows, pains, environment, varieties } = scene;
  const lines = ["s5", "s4", "s3", "s3_star", "s2", "s1"].map((slug) => [parts[slug].title, parts[slug].status, parts[slug].score, [parts[slug].reason, parts[slug].waits].filter(Boolean).join(" ")]);
  for (const row of scene.rows) lines.push([row.name, row.status, row.score, rowLines(row).join("; ")]);
  if (scene.field) for (const row of scene.field) lines.push([row.name, row.status, row.score, rowLines(row).join("; ")]);
  lines.push([t("Environment"), "", null, environmentLines(environment).join("; ")]);
  const minutes = Math.round(windowSeconds / 60);
  for (const channel of ["command", "coordination", "audit", "resource_bargain", "homeostat", "algedonic"]) lines.push([t("{channel} channel", { channel: words(channel) }), "", null, tn("{n} message in {minutes} minutes", "{n} messages in {minutes} minutes", flows.counts[channel] ?? 0, { minutes })]);
  lines.push([t("Open pains"), "", null, painWords(pains)]);
  lines.push([t("Variety"), "", null, t("environment {environment}, operation {operation}, management {management}; S3 {s3}, S4 {s4}", { environment: bits(varieties.environment), operation: bits(varieties.operation), management: bits(varieties.management), s3: bits(varieties.s3), s4: bits(varieties.s4) })]);
  return lines;
}

export function environmentLines({ queues, waiting, rate }) {
  return [
    rate === null ? t("how much is asked is unknown") : t("{rate} tasks a second are done", { rate: short(rate) }),
    queues ? tn("{waiting} wait in {n} queue", "{waiting} wait in {n} queues", queues, { waiting: short(waiting ?? 0) }) : t("no queue is watched"),
  ];
}
