// One unit: what it is now, and a chart for each of its metrics.
import { config, withSystem } from "./config.js";
import { badge } from "./badge.js";
import { withBands, worth } from "./bands.js";
import { Chart } from "./charts.js";
import { el, perFrame, setText } from "./dom.js";
import { ago, epoch, metricTitle, metricValue, score, words } from "./format.js";
import { live } from "./here.js";
import { getJson } from "./post.js";
import { isLive, onRange, showBetween, spanNow, stepOf } from "./range.js";
import { followOperations } from "./operations.js";
import { showAlerts } from "./alerts.js";
import { writeRule } from "./rule_dialog.js";
import { t } from "./text.js";

const MOST_CHARTS = 24;
const MOST_LINES = 4;
const GAP_STEPS = 3;
const id = String(config.unit.id);
const box = document.getElementById("charts");
const panels = new Map();
let ahead = null; // the forecasts of this unit by metric, while they are shown

class Panel {
  constructor(metric) {
    this.metric = metric;
    this.value = el("span", { class: "number" });
    this.plot = el("div", { class: "chart-box" });
    this.node = el("section", { class: "panel chart", "data-metric": metric }, el("div", { class: "chart-head" }, el("strong", { title: metric }, metricTitle(metric)), alertOn(metric), this.value), this.plot);
    this.lines = new Map();
    box.append(this.node);
  }

  async load() {
    const span = spanNow();
    const mine = (this.question = (this.question ?? 0) + 1);
    this.step = stepOf(span);
    const parameters = { metric: this.metric, source: config.unit.name, from: stamp(span.from), to: stamp(span.to), step: this.step, agg: "avg" };
    try {
      const answer = await getJson(withSystem("/api/v1/query/", parameters));
      if (mine !== this.question) return; // another range was chosen meanwhile
      const series = [...answer.series].sort((a, b) => labelled(a.labels).localeCompare(labelled(b.labels)));
      this.lines = new Map(series.slice(0, MOST_LINES).map((one) => [labelled(one.labels), one.points.filter((point) => point[1] !== null)]));
      this.draw();
    } catch (problem) {
      this.plot.replaceChildren(el("p", { class: "empty" }, t("No chart: {message}", { message: problem.message })));
      this.chart = null;
    }
  }

  add(labels, at, value) {
    if (!isLive()) return;
    const line = this.lines.get(labels);
    if (!line) return;
    const last = line.at(-1)?.[0] ?? 0;
    if (at - last >= this.step) line.push([at, value]);
    while (line.length && line[0][0] < spanNow().from) line.shift();
  }

  draw() {
    const names = [...this.lines.keys()];
    const points = [...this.lines.values()];
    if (!points.some((line) => line.length)) {
      this.chart?.destroy();
      this.chart = null;
      this.plot.replaceChildren(el("p", { class: "empty" }, t("No values in this range.")));
      return;
    }
    const forecast = names.length === 1 && names[0] === "" ? ahead?.get(this.metric) : undefined;
    const shown = `${names.join()} ${Boolean(forecast)}`;
    if (!this.chart || this.shown !== shown) {
      this.chart?.destroy();
      this.plot.replaceChildren();
      this.chart = new Chart(this.plot, this.metric, names.map((name) => name || metricTitle(this.metric)), undefined, [], { bands: Boolean(forecast), zoom: showBetween });
      this.shown = shown;
    }
    this.plot.title = forecast ? worth(forecast) : "";
    const data = joined(points, Math.max(10, this.step));
    this.chart.set(forecast ? withBands(data, forecast) : data);
    const { from, to } = spanNow();
    this.chart.show(from, forecast ? Math.max(to, forecast.at.at(-1)) : to);
  }
}

// The way from a chart to a rule about what it shows.
function alertOn(metric) {
  if (!config.mayOperate) return null;
  const href = withSystem("/dashboard/alerts/rules/add/", { unit: config.unit.id, metric });
  return el("a", { href, class: "chart-alert", onclick: write }, t("Alert…"), el("span", { class: "visually-hidden" }, ` ${t("on {metric}", { metric: metricTitle(metric) })}`));
}

// In a dialog, unless it is asked for in a tab of its own.
function write(event) {
  if (event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
  event.preventDefault();
  writeRule(event.currentTarget.href, (name) => setText(document.getElementById("said"), t("{name} is saved and watches from now on.", { name })));
}

function stamp(at) {
  return new Date(at * 1000).toISOString();
}

function labelled(labels) {
  const pairs = typeof labels === "string" ? labels : Object.entries(labels ?? {}).map(([name, value]) => `${name}="${value}"`).join(",");
  return pairs.replace(/^\{|\}$/g, "");
}

// uPlot wants one list of times for all lines. A line is broken where nothing was heard: silence is not a slope.
function joined(lines, step) {
  const columns = lines.map((line) => {
    const [at, values] = [[], []];
    for (const [moment, value] of line) {
      const last = at.at(-1);
      if (last !== undefined && moment - last > GAP_STEPS * step) {
        at.push(last + step);
        values.push(null);
      }
      at.push(moment);
      values.push(value);
    }
    return [at, values];
  });
  return columns.length === 1 ? columns[0] : window.uPlot.join(columns);
}

function wantPanels(metrics) {
  box.querySelector(".awaiting")?.remove();
  for (const metric of metrics) {
    if (panels.has(metric) || panels.size >= MOST_CHARTS) continue;
    const panel = new Panel(metric);
    panels.set(metric, panel);
    panel.load();
  }
  document.getElementById("charts-empty").hidden = panels.size > 0;
}

function drawFacts() {
  const unit = live.data.units.get(id) ?? config.unit;
  const seen = epoch(unit.last_seen_at);
  const parts = Object.entries(unit.parts ?? {}).map(([name, value]) => `${words(name)} ${score(value)}`).join(", ");
  const rows = [
    [t("Health"), badge(unit.health)], [t("Score"), score(unit.score)], [t("Made of"), parts || t("nothing measured yet")], [t("State"), unit.state],
    [t("Type"), words(unit.kind)], [t("Fleet"), unit.fleet?.name ?? unit.fleet ?? null], [t("Last seen"), seen === null ? t("never") : ago(Math.max(0, live.now() - seen))],
    [t("Last error"), unit.last_error || null],
  ].filter((row) => row[1] !== null);
  document.getElementById("facts").replaceChildren(el("dl", { class: "fact-row" }, ...rows.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value)))));
}

function drawValues() {
  const latest = live.data.units.get(id)?.latest ?? {};
  for (const panel of panels.values()) {
    const sample = latest[panel.metric];
    setText(panel.value, sample ? metricValue(panel.metric, sample[1]) : "");
  }
}

const drawSoon = perFrame(() => {
  drawFacts();
  drawValues();
  if (isLive()) for (const panel of panels.values()) if (panel.chart) panel.draw();
});

function heard(samples) {
  wantPanels(Object.keys(samples).map((name) => name.split("{")[0]));
  for (const [name, [at, value]] of Object.entries(samples)) {
    const [metric, labels = ""] = name.split("{");
    panels.get(metric)?.add(labels.replace(/\}$/, ""), epoch(at), value);
  }
}

onRange(() => {
  for (const panel of panels.values()) panel.load();
});

const drawAlerts = showAlerts(live, document.getElementById("unit-alerts"), document.getElementById("alert-count"), {
  only: (alert) => String(alert.unit_id) === id,
  none: t("Nothing fires for this unit."),
});

document.getElementById("ahead").addEventListener("click", async ({ currentTarget: button }) => {
  const pressed = button.getAttribute("aria-pressed") !== "true";
  button.setAttribute("aria-pressed", String(pressed));
  ahead = null;
  if (pressed) {
    const answer = await getJson(withSystem("/api/v1/forecasts/", { source: config.unit.name, span: "hour", limit: 50 }));
    ahead = new Map(answer.results.filter((one) => !labelled(one.labels)).map((one) => [one.metric, one]));
    setText(document.getElementById("ahead-note"), ahead.size ? "" : t("Nothing is foretold of this unit yet."));
  }
  for (const panel of panels.values()) if (panel.chart) panel.draw();
});

followOperations(live);
live.on("update", perFrame(drawAlerts));
live.on("snapshot", () => {
  wantPanels([...config.metrics, ...Object.keys(live.data.units.get(id)?.latest ?? {}).map((name) => name.split("{")[0])]);
  for (const panel of panels.values()) panel.load();
});
live.on("samples", ({ key, body }) => key === id && heard(body));
live.on("update", drawSoon);
setInterval(() => drawFacts(), 1000);
drawFacts();
