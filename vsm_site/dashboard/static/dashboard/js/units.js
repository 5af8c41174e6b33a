// The table of units: worst first, filtered by name and type, folded when there are many.
import { config } from "./config.js";
import { badge, setBadge } from "./badge.js";
import { el, keyed, setText } from "./dom.js";
import { ago, epoch, metricTitle, metricValue, words } from "./format.js";
import { getJson } from "./post.js";
import { withSystem } from "./config.js";
import { drawSpark, makeSpark } from "./spark.js";

const FOLDED = 40;
const STATE_RANK = { silent: 0, active: 1, new: 2, paused: 3 };
const HEALTH_RANK = { unhealthy: 0, degraded: 1, healthy: 2, unknown: 3 };
const KEEP_SECONDS = 960;

export function keyMetric(unit) {
  return config.keyMetrics[unit.kind] ?? Object.keys(unit.latest ?? {}).sort()[0] ?? "";
}

export class UnitTable {
  constructor(live) {
    this.live = live;
    this.body = document.getElementById("units");
    this.filter = document.getElementById("unit-filter");
    this.kind = document.getElementById("kind-filter");
    this.more = document.getElementById("units-more");
    this.empty = document.getElementById("units-empty");
    this.count = document.getElementById("unit-count");
    this.unfolded = false;
    this.history = new Map();
    this.filter.addEventListener("input", () => this.draw());
    this.kind.addEventListener("change", () => this.draw());
    this.more.addEventListener("click", () => {
      this.unfolded = !this.unfolded;
      this.draw();
    });
    live.on("snapshot", () => this.history.clear());
    live.on("samples", ({ key, body }) => this.remember(key, body));
  }

  remember(id, samples) {
    const unit = this.live.data.units.get(id);
    const points = this.history.get(id);
    const sample = unit && samples[keyMetric(unit)];
    if (!points || !sample) return;
    points.push([epoch(sample[0]), sample[1]]);
    while (points.length && points[0][0] < this.live.now() - KEEP_SECONDS) points.shift();
  }

  draw() {
    if (this.live.seq === null) return;
    const all = [...this.live.data.units.values()];
    this.drawKinds(all);
    const text = this.filter.value.trim().toLowerCase();
    const kind = this.kind.value;
    const matching = all.filter((unit) => (!kind || unit.kind === kind) && (!text || unit.name.toLowerCase().includes(text))).sort(worstFirst);
    const shown = this.unfolded ? matching : matching.slice(0, FOLDED);
    keyed(this.body, shown, (unit) => unit.id, makeRow, (row, unit) => this.update(row, unit));
    this.drawFrame(all.length, matching.length);
    this.fetchHistory(shown);
  }

  drawKinds(units) {
    const kinds = [...new Set(units.map((unit) => unit.kind))].sort();
    if (this.kinds === kinds.join()) return;
    this.kinds = kinds.join();
    const chosen = this.kind.value;
    this.kind.replaceChildren(el("option", { value: "" }, "Every type"), ...kinds.map((kind) => el("option", { value: kind }, words(kind))));
    this.kind.value = kinds.includes(chosen) ? chosen : "";
  }

  drawFrame(all, matching) {
    setText(this.count, matching === all ? String(all) : `${matching} of ${all}`);
    document.getElementById("units-table").hidden = matching === 0;
    this.empty.hidden = matching > 0;
    setText(this.empty, all ? "No unit matches the filter." : "No unit yet. This host and the platform's own workers appear with the first tick; add others under Fleets, or push samples to /api/v1/ingest/.");
    this.more.hidden = matching <= FOLDED;
    setText(this.more, this.unfolded ? `Show the first ${FOLDED}` : `Show all ${matching}`);
  }

  update(row, unit) {
    const metric = keyMetric(unit);
    const value = unit.latest?.[metric]?.[1];
    const link = row.querySelector("a");
    setText(link, unit.name);
    setText(row.querySelector(".kind"), words(unit.kind));
    setBadge(row.querySelector(".badge"), unit.health);
    const state = row.querySelector(".state");
    setText(state, unit.state === "active" ? "" : unit.state);
    state.className = `state ${unit.state}`;
    setText(row.querySelector(".value"), value === undefined ? "–" : metricValue(metric, value));
    setText(row.querySelector(".metric"), metricTitle(metric));
    const seen = epoch(unit.last_seen_at);
    setText(row.querySelector(".seen"), seen === null ? "never" : ago(Math.max(0, this.live.now() - seen)));
    const error = row.querySelector(".unit-error");
    setText(error, unit.last_error || "");
    error.hidden = !unit.last_error;
    drawSpark(row.querySelector(".spark"), this.history.get(String(unit.id)) ?? [], this.live.now(), metricTitle(metric));
  }

  // Ask once for the past of the rows that are in sight; what follows comes live.
  async fetchHistory(units) {
    const missing = units.map((unit) => String(unit.id)).filter((id) => !this.history.has(id)).slice(0, 100);
    if (!missing.length) return;
    for (const id of missing) this.history.set(id, []);
    const path = withSystem("/dashboard/sparklines/") + missing.map((id) => `&unit=${id}`).join("");
    try {
      for (const [id, line] of Object.entries(await getJson(path))) {
        const live = this.history.get(id) ?? [];
        const from = live[0]?.[0] ?? Infinity;
        this.history.set(id, [...line.points.filter(([at]) => at < from), ...live]);
      }
    } catch (problem) {
      console.warn(`No sparklines: ${problem.message}`); // the lines then grow from now on
    }
    this.draw();
  }
}

function worstFirst(a, b) {
  return (STATE_RANK[a.state] ?? 9) - (STATE_RANK[b.state] ?? 9) || (HEALTH_RANK[a.health] ?? 9) - (HEALTH_RANK[b.health] ?? 9)
    || a.kind.localeCompare(b.kind) || a.name.localeCompare(b.name);
}

function makeRow(unit) {
  return el("tr", { "data-unit": unit.name, "data-kind": unit.kind },
    el("td", {}, el("a", { class: "unit-name", href: `/dashboard/units/${unit.id}/${config.query}` }), " ", el("span", { class: "kind" }), el("div", { class: "unit-error", hidden: true })),
    el("td", {}, badge("unknown"), " ", el("span", { class: "state" })),
    el("td", { class: "nowrap" }, el("span", { class: "value number" }), " ", el("span", { class: "metric quiet" })),
    el("td", {}, makeSpark()), el("td", { class: "seen nowrap number" }));
}
