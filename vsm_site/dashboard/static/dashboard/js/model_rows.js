// Which operations the diagram shows: every unit while they are few, else folded by role, by kind and fleet, by kind.
// Pure: no page, no clock. Queues are no operations here but what is asked of those who read them.
import { t, tn } from "./text.js";
import { sum, told } from "./told.js";

export const MOST_ROWS = 8;
export const LEVELS = ["healthy", "degraded", "unhealthy", "unknown"];
const SEVERITY = { unhealthy: 0, degraded: 1, unknown: 2, healthy: 3 };
const KIND_WORDS = { celery_worker: "workers", host: "hosts", http: "services", agent: "agents" };
const MADE_UP = /-[bcdfghjklmnpqrstvwxz2456789]{8,10}-[bcdfghjklmnpqrstvwxz2456789]{5}(?=$|@)/g; // a pod of a deployment

export function kindWords(kind) {
  return KIND_WORDS[kind] ?? `${kind.replaceAll("_", " ")}s`;
}

// A unit's name within its fleet.
export function nodeOf(unit) {
  return unit.fleet && unit.name.startsWith(`${unit.fleet}/`) ? unit.name.slice(unit.fleet.length + 1) : unit.name;
}

// What stays of a name when its numbers change.
export function roleOf(unit) {
  return nodeOf(unit).replace(MADE_UP, "-*").replace(/\d+/g, "*");
}

// The health of a unit is what the server says of it, silent ones included: its tables and its counts say the same, and a
// circle that made up its own would contradict them.
export function levelOf(unit) {
  return unit.health ?? "unknown";
}

// Returns {rows, field}: at most MOST_ROWS rows, or (inside a fold that has no finer one) all its members as a field.
// *own* are the names of the platform's own fleets, *inside* the systems below; *open* is the key of an opened fold. Where
// only some of the units are in sight, *totals* are the counts of all by kind, fleet and role, and stand for them.
export function rowsOf(units, { own = new Set(), inside = [], open = "", totals = null } = {}) {
  const operations = units.filter((unit) => unit.kind !== "celery_queue");
  const ours = operations.filter((unit) => own.has(unit.fleet));
  const others = operations.filter((unit) => !own.has(unit.fleet));
  const whole = { key: "platform", title: t("This platform"), units: ours };
  if (open) {
    const [members, title] = opened(open, ours, others);
    return { ...folded(members, MOST_ROWS, true), title, count: members.length };
  }
  const systems = foldedSystems(inside);
  const room = Math.max(1, MOST_ROWS - systems.length - (ours.length ? 1 : 0));
  if (totals) return { rows: [...systems, ...countedRows(totals, own, operations, room)], field: null, title: "", count: totals.all };
  const { rows } = folded(others, room, false);
  return { rows: [...systems, ...rows, ...(ours.length ? [fold(whole)] : [])], field: null, title: "", count: operations.length };
}

function foldedSystems(inside) {
  if (inside.length <= MOST_ROWS - 2) return inside.map((system) => ({ key: `system:${system.slug}`, type: "system", name: system.name, slug: system.slug, units: [], score: system.score, status: levelOfStatus(system.status), queues: [], members: 1 }));
  const known = inside.filter((system) => system.score !== null);
  const counts = Object.fromEntries(LEVELS.map((level) => [level, inside.filter((system) => levelOfStatus(system.status) === level).length]));
  return [{ key: "systems", type: "systems", name: tn("{n} system", "{n} systems", inside.length), units: [], counts, score: mean(known.map((one) => one.score)), status: worst(counts), members: inside.length }];
}

// A system's status is what its viability calls for; the words of the bands are those of units.
function levelOfStatus(status) {
  return { normal: "healthy", warning: "degraded", critical: "unhealthy" }[status] ?? "unknown";
}

const KEYS = [
  (unit) => [`unit:${unit.id}`, nodeOf(unit)],
  (unit) => [`role:${unit.fleet ?? ""}|${unit.kind}|${roleOf(unit)}`, roleOf(unit)],
  (unit) => [`fleet:${unit.fleet ?? ""}|${unit.kind}`, `${unit.fleet ? `${unit.fleet} ` : ""}${kindWords(unit.kind)}`],
  (unit) => [`kind:${unit.kind}`, kindWords(unit.kind)],
];

function opened(open, ours, others) {
  if (open === "platform") return [ours, t("This platform")];
  const keyOf = KEYS.find((key) => others.some((unit) => key(unit)[0] === open));
  const members = keyOf ? others.filter((unit) => keyOf(unit)[0] === open) : [];
  return [members, members.length ? keyOf(members[0])[1] : t("Nothing here any more")];
}

// The finest grouping that fits; *inside* a fold a grouping that puts all in one again is none.
function folded(units, room, inside) {
  for (const keyOf of KEYS) {
    const groups = grouped(units, keyOf);
    if (inside && units.length > room && groups.length === 1) break;
    if (groups.length <= room) return { rows: groups.map(fold), field: null };
  }
  if (inside) return { rows: [], field: units.map(single).sort(worstFirst) };
  const groups = grouped(units, KEYS[3]).sort((a, b) => b.units.length - a.units.length);
  const rest = groups.slice(room - 1).flatMap((group) => group.units);
  return { rows: [...groups.slice(0, room - 1), { key: "others", title: "others", units: rest }].map(fold), field: null };
}

// Rows from counts: the finest grouping of them that fits. The units of a row are those of it that are in sight.
function countedRows({ groups }, own, seen, room) {
  const operations = groups.filter((group) => group.kind !== "celery_queue");
  const ours = operations.filter((group) => own.has(group.fleet));
  const others = operations.filter((group) => !own.has(group.fleet)).map((group) => ({ ...group, name: group.role }));
  const sums = KEYS.slice(1).map((keyOf) => summed(others, keyOf));
  const largest = new Set(sums.at(-1).slice(0, room - 1).map((row) => row.key));
  const ofKind = (group) => (largest.has(KEYS[3](group)[0]) ? KEYS[3](group) : ["others", "others"]);
  const found = sums.find((rows) => rows.length <= room) ?? summed(others, ofKind);
  const platform = ours.length ? [...summed(ours, () => ["platform", t("This platform")])] : [];
  const inSight = (row) => seen.filter((unit) => (row.key === "platform" ? own.has(unit.fleet) : KEYS.some((keyOf) => keyOf(unit)[0] === row.key)));
  return [...found, ...platform].map((row) => {
    const units = inSight(row);
    return row.members === 1 && units.length === 1 && row.key !== "platform" ? single(units[0]) : { ...row, units };
  });
}

function summed(groups, keyOf) {
  const rows = new Map();
  for (const group of groups) {
    const [key, name] = keyOf(group);
    if (!rows.has(key)) rows.set(key, { key, type: "fold", name, kind: group.kind, fleet: group.fleet, members: 0, counts: Object.fromEntries(LEVELS.map((level) => [level, 0])), silent: 0, score: null, rate: null });
    const row = rows.get(key);
    if (row.kind !== group.kind) row.kind = "";
    row.members += group.units;
    row.silent += group.silent;
    for (const level of LEVELS) row.counts[level] += group.health[level] ?? 0;
    row.status = worst(row.counts);
  }
  return [...rows.values()];
}

function grouped(units, keyOf) {
  const groups = new Map();
  for (const unit of units) {
    const [key, title] = keyOf(unit);
    if (!groups.has(key)) groups.set(key, { key, title, units: [] });
    groups.get(key).units.push(unit);
  }
  const order = (group) => `${group.units[0].fleet ? 0 : 1}${group.units[0].fleet ?? ""}|${group.units[0].kind === "celery_worker" ? 0 : 1}${group.units[0].kind}|${group.title}`;
  return [...groups.values()].sort((a, b) => order(a).localeCompare(order(b), undefined, { numeric: true }));
}

function fold(group) {
  const { units } = group;
  if (units.length === 1 && group.key !== "platform") return single(units[0]);
  const counts = Object.fromEntries(LEVELS.map((level) => [level, units.filter((unit) => levelOf(unit) === level).length]));
  const known = units.filter((unit) => levelOf(unit) !== "unknown" && unit.score !== null && unit.score !== undefined);
  const kinds = new Set(units.map((unit) => unit.kind));
  return {
    key: group.key, type: "fold", name: group.title, units, members: units.length, counts, fleet: same(units, "fleet"),
    kind: kinds.size === 1 ? units[0].kind : "", silent: units.filter((unit) => unit.state === "silent").length,
    score: mean(known.map((unit) => unit.score)), status: worst(counts), rate: sum(told(units, "task_rate")),
  };
}

function single(unit) {
  const level = levelOf(unit);
  return {
    key: `unit:${unit.id}`, type: "unit", name: nodeOf(unit), id: unit.id, units: [unit], members: 1, kind: unit.kind, fleet: unit.fleet,
    state: unit.state, silent: unit.state === "silent" ? 1 : 0, score: level === "unknown" ? null : unit.score, status: level, rate: sum(told([unit], "task_rate")),
  };
}

// What a person must see of a group: its worst part, where that is more than unknown.
function worst(counts) {
  const present = ["unhealthy", "degraded", "healthy"].find((level) => counts[level]);
  return present ?? "unknown";
}

function worstFirst(a, b) {
  return SEVERITY[a.status] - SEVERITY[b.status] || a.name.localeCompare(b.name, undefined, { numeric: true });
}

function mean(values) {
  return values.length ? values.reduce((sum, value) => sum + value, 0) / values.length : null;
}

function same(units, name) {
  return units.every((unit) => unit[name] === units[0][name]) ? units[0][name] : null;
}

// What is asked of a row: the queues that its workers read, and how much waits in them.
export function askedOf(row, queues, readers) {
  const fleets = new Set(row.units.map((unit) => unit.fleet).filter(Boolean));
  const names = new Set();
  for (const reader of readers) {
    if (fleets.has(reader.fleet) && row.units.some((unit) => unit.fleet === reader.fleet && plays(reader.role, nodeOf(unit)))) for (const queue of reader.queues) names.add(`${reader.fleet}/${queue}`);
  }
  const found = queues.filter((queue) => names.has(queue.name));
  return { queues: found, waiting: waitingIn(found) };
}

export function waitingIn(queues) {
  return sum(told(queues, "ready"));
}

const patterns = new Map();

function plays(role, node) {
  if (!role.includes("*")) return role === node;
  if (!patterns.has(role)) patterns.set(role, new RegExp(`^${role.split("*").map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join(".*")}$`));
  return patterns.get(role).test(node);
}
