// The table of units: worst first, filtered by name and type, folded when there are many.
import { config } from "./config.js";
import { badge, setBadge } from "./badge.js";
import { el, keyed, setText } from "./dom.js";
import { ago, epoch, metricTitle, metricValue, words } from "./format.js";
import { getJson } from "./post.js";
import { withSystem } from "./config.js";
import { ownFleets } from "./live.js";
import { drawSpark, makeSpark } from "./spark.js";
import { t } from "./text.js";
import { told } from "./told.js";

const FOLDED = 40;
const MORE = 200;
const MOST = 1000; // that the live connection carries; what is beyond is found by name or type
const TYPING_MS = 250;
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
    this.asked = MORE;
    this.filter.addEventListener("input", () => this.look());
    this.kind.addEventListener("change", () => this.look());
    this.more.addEventListener("click", () => {
      const { view } = this.live.data;
      if (this.unfolded && view.cut && this.asked < MOST) {
        this.asked = Math.min(MOST, this.asked + MORE);
        this.live.look(this.wanted());
      } else this.unfolded = !this.unfolded;
      this.draw();
    });
    live.on("snapshot", () => this.history.clear());
    live.on("samples", ({ key, body }) => this.remember(key, body));
  }

  // What there is more of than is in sight, the server looks through; the rest is filtered here at once.
  look() {
    this.draw();
    clearTimeout(this.typing);
    if (this.live.data.view?.cut || this.narrowed) this.typing = setTimeout(() => this.live.look(this.wanted()), TYPING_MS);
  }

  wanted() {
    const [q, kind] = [this.filter.value.trim(), this.kind.value];
    this.narrowed = Boolean(q || kind);
    return { units: this.asked, q, kind };
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
    this.drawKinds(this.live.data.totals?.units.kinds ?? {});
    const text = this.filter.value.trim().toLowerCase();
    const kind = this.kind.value;
    const matching = all.filter((unit) => (!kind || unit.kind === kind) && (!text || unit.name.toLowerCase().includes(text))).sort(worstFirst(ownFleets(this.live)));
    const shown = this.unfolded ? matching : matching.slice(0, FOLDED);
    keyed(this.body, shown, (unit) => unit.id, makeRow, (row, unit) => this.update(row, unit));
    this.drawFrame(matching.length);
    this.fetchHistory(shown);
  }

  drawKinds(counts) {
    const kinds = Object.keys(counts).sort();
    if (this.kinds === kinds.join()) return;
    this.kinds = kinds.join();
    const chosen = this.kind.value;
    this.kind.replaceChildren(el("option", { value: "" }, t("Every type")), ...kinds.map((kind) => el("option", { value: kind }, words(kind))));
    this.kind.value = kinds.includes(chosen) ? chosen : "";
  }

  drawFrame(matching) {
    const all = this.live.data.totals?.units.all ?? matching;
    const { cut, matching: found } = this.live.data.view ?? {};
    const fits = cut ? Math.max(found, matching) : matching; // of those that are not in sight only the server knows
    setText(this.count, fits === all ? String(all) : t("{fits} of {all}", { fits, all }));
    document.getElementById("units-table").hidden = matching === 0;
    this.empty.hidden = matching > 0;
    setText(this.empty, all ? t("No unit matches the filter.") : t("No unit yet. This host and the platform's own workers appear with the first tick; add others under Fleets, or push samples to /api/v1/ingest/."));
    this.more.hidden = matching <= FOLDED;
    setText(this.more, this.moreWords(matching, fits));
  }

  moreWords(matching, fits) {
    if (!this.unfolded) return fits > matching ? t("Show {matching} of {fits}", { matching, fits }) : t("Show all {matching}", { matching });
    return fits > matching && this.asked < MOST ? t("Show {MORE} more of {fits}", { MORE, fits }) : t("Show the first {FOLDED}", { FOLDED });
  }

  update(row, unit) {
    const metric = keyMetric(unit);
    setText(row.querySelector("a"), unit.name);
    setText(row.querySelector(".kind"), words(unit.kind));
    const error = row.querySelector(".unit-error");
    setText(error, unit.last_error || "");
    error.hidden = !unit.last_error;
    const state = row.querySelector(".state");
    if (state) {
      setBadge(row.querySelector(".badge"), unit.health);
      setText(state, unit.state === "active" ? "" : unit.state);
      state.className = `state ${unit.state}`;
    }
    const value = row.querySelector(".value");
    if (value) {
      setText(value, metricValue(metric, told([unit], metric)[0]));
      setText(row.querySelector(".metric"), metricTitle(metric));
    }
    const seen = epoch(unit.last_seen_at);
    const ago_ = row.querySelector(".seen");
    if (ago_) setText(ago_, seen === null ? "never" : ago(Math.max(0, this.live.now() - seen)));
    const spark = row.querySelector(".spark");
    if (spark) drawSpark(spark, this.history.get(String(unit.id)) ?? [], this.live.now(), metricTitle(metric));
  }

  // Ask once for the past of the rows that are in sight; what follows comes live.
  async fetchHistory(units) {
    if (!config.columns.includes("spark")) return;
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

// The platform's own after those of others, where nothing is wrong with either.
function worstFirst(own) {
  return (a, b) => (STATE_RANK[a.state] ?? 9) - (STATE_RANK[b.state] ?? 9) || (HEALTH_RANK[a.health] ?? 9) - (HEALTH_RANK[b.health] ?? 9)
    || own.has(a.fleet) - own.has(b.fleet) || a.kind.localeCompare(b.kind) || a.name.localeCompare(b.name);
}

// The columns that its reader chose; the name is always there.
const CELLS = {
  name: (unit) => el("td", {}, el("a", { class: "unit-name", href: `/dashboard/units/${unit.id}/${config.query}` }), " ", el("span", { class: "kind" }), el("div", { class: "unit-error", hidden: true })),
  health: () => el("td", {}, badge("unknown"), " ", el("span", { class: "state" })),
  now: () => el("td", { class: "nowrap" }, el("span", { class: "value number" }), " ", el("span", { class: "metric quiet" })),
  spark: () => el("td", {}, makeSpark()),
  seen: () => el("td", { class: "seen nowrap number" }),
};

function makeRow(unit) {
  return el("tr", { "data-unit": unit.name, "data-kind": unit.kind }, ...config.columns.map((name) => CELLS[name](unit)));
}
