// uPlot in this house's colours. uPlot itself is vendored and loaded as a plain script before the modules.
import { axisValues, isShare, metricValue } from "./format.js";
import { day, minute, second, zoned } from "./zone.js";

export const LINES = ["--chart-1", "--chart-2", "--chart-3", "--chart-4"];
const HEIGHT = 170;
const LEAST_SHARE = 0.05; // that the axis of a share reaches
const BOUNDS = ["forecast", "low80", "high80", "low95", "high95"];
const charts = new Set();

// A token may differ by theme: only a property in use says which of its two colours holds now.
const probe = document.createElement("span");
probe.hidden = true;
document.body.append(probe);

export function colour(name) {
  probe.style.color = `var(${name})`;
  return getComputedStyle(probe).color;
}

export class Chart {
  // *marks* are moments with a word each, drawn across. With *bands* five more columns follow those of the names: the
  // mean of a forecast, and the ends of its intervals of 80 and 95 %.
  // *right* are the indexes of lines with an axis of their own, in the unit of *rightMetric*; *zoom* is told of a stretch
  // that was dragged over.
  constructor(box, metric, names, range, marks = [], { bands = false, right = new Set(), rightMetric = metric, zoom = null, height = HEIGHT } = {}) {
    Object.assign(this, { box, metric, names, range, marks, bands, right, rightMetric, zoom, height });
    this.data = [[], ...names.map(() => []), ...(bands ? BOUNDS : []).map(() => [])];
    this.sizes = new ResizeObserver(() => this.fit());
    this.sizes.observe(box);
    charts.add(this);
    this.build();
  }

  build() {
    this.plot?.destroy();
    const text = colour("--body-quiet-color");
    const grid = { stroke: colour("--hairline-color"), width: 1 };
    const time = { values: (_, ticks, __, ___, step) => ticks.map((tick) => stamp(tick, step)), space: 70 };
    const axis = { stroke: text, grid, ticks: grid, font: "11px system-ui, sans-serif" };
    this.plot = new window.uPlot({
      width: Math.max(80, this.box.clientWidth),
      height: this.height,
      tzDate: zoned,
      legend: { live: true },
      hooks: {
        ...(this.marks.length ? { draw: [(plot) => this.mark(plot)] } : {}),
        ...(this.zoom ? { setSelect: [(plot) => this.dragged(plot)] } : {}),
      },
      cursor: { drag: { x: Boolean(this.zoom), y: false, setScale: false }, y: false },
      scales: { x: { time: true }, y: this.range ? { range: this.range } : { range: (_, low, high) => spread(low, high, isShare(this.metric)) }, ...(this.right.size ? { right: { range: (_, low, high) => spread(low, high, isShare(this.rightMetric)) } } : {}) },
      axes: [{ ...axis, ...time }, { ...axis, size: 72, values: (_, ticks) => axisValues(this.metric, ticks) },
        ...(this.right.size ? [{ ...axis, scale: "right", side: 1, size: 72, grid: { show: false }, values: (_, ticks) => axisValues(this.rightMetric, ticks) }] : [])],
      series: [
        { label: "at", value: (_, at) => (at === null ? "–" : stamp(at, 1)) },
        ...this.names.map((name, index) => ({
          label: name, stroke: colour(LINES[index % LINES.length]), width: 1.5, spanGaps: false, points: { show: (_, __, low, high) => high - low < 3, size: 5 },
          dash: index ? [6, 2 + (index % 6) * 2] : undefined, scale: this.right.has(index) ? "right" : "y",
          value: (_, value) => metricValue(this.right.has(index) ? this.rightMetric : this.metric, value),
        })),
        ...this.forecastLines(),
      ],
      bands: this.forecastBands(),
    }, this.data, this.box);
  }

  forecastLines() {
    if (!this.bands) return [];
    const value = (_, each) => metricValue(this.metric, each);
    const points = { show: false };
    return BOUNDS.map((label, index) => (index ? { label, class: "bound", width: 0, points, value } : { label, stroke: colour(LINES[1]), width: 1.5, dash: [4, 3], points, value }));
  }

  // The wider interval lies under the narrower one.
  forecastBands() {
    if (!this.bands) return [];
    const first = this.names.length + 1;
    const tint = colour(LINES[1]);
    return [{ series: [first + 4, first + 3], fill: `${tint}24` }, { series: [first + 2, first + 1], fill: `${tint}38` }];
  }

  mark(plot) {
    const { ctx, bbox } = plot;
    ctx.save();
    ctx.strokeStyle = ctx.fillStyle = colour("--body-quiet-color");
    ctx.font = `${Math.round(11 * devicePixelRatio)}px system-ui, sans-serif`;
    ctx.setLineDash([2, 3]);
    this.marks.forEach(([at, word], index) => {
      const x = Math.round(plot.valToPos(at, "x", true));
      if (x < bbox.left || x > bbox.left + bbox.width) return;
      ctx.beginPath();
      ctx.moveTo(x, bbox.top);
      ctx.lineTo(x, bbox.top + bbox.height);
      ctx.stroke();
      ctx.textAlign = x > bbox.left + bbox.width * 0.8 ? "right" : "left";
      ctx.fillText(word, x + (ctx.textAlign === "left" ? 4 : -4), bbox.top + (12 + (index % 8) * 13) * devicePixelRatio);
    });
    ctx.restore();
  }

  dragged(plot) {
    const { left, width } = plot.select;
    if (width < 5) return;
    const [from, to] = [plot.posToVal(left, "x"), plot.posToVal(left + width, "x")];
    plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
    this.zoom(from, to);
  }

  set(data) {
    this.data = data;
    this.plot.setData(data);
  }

  show(from, to) {
    this.plot.setScale("x", { min: from, max: to });
  }

  fit() {
    const width = Math.max(80, this.box.clientWidth);
    if (Math.abs(width - this.plot.width) > 1) this.plot.setSize({ width, height: this.height });
  }

  destroy() {
    charts.delete(this);
    this.sizes.disconnect();
    this.plot.destroy();
  }
}

// Hours and minutes, or the day where ticks are days apart.
function stamp(at, step) {
  if (step >= 43200) return day(at);
  return step < 60 ? second(at) : minute(at);
}

// A line that does not move needs room above and below, and so does one that only trembles: its steps would be numbers
// that nobody can read. One that starts at zero or more never shows less than zero. The axis of a share begins at zero and
// ends at the whole, if not before: a tenth of a percent is no cliff.
function spread(low, high, share) {
  if (low === null || high === null) return [0, 1];
  if (share && low >= 0) return [0, high > 1 ? high * 1.1 : Math.min(1, Math.max(high * 1.25, LEAST_SHARE))];
  const room = high - low <= Math.abs(high) * 1e-6 ? Math.abs(high) * 0.1 || 1 : (high - low) * 0.1;
  return [low >= 0 ? Math.max(0, low - room) : low - room, high + room];
}

function recolour() {
  for (const chart of charts) chart.build();
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", recolour);
new MutationObserver(recolour).observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
