// What S4 foretells: the past of each series, and its forecast as bands.
import { config, withSystem } from "./config.js";
import { worth, withBands } from "./bands.js";
import { Chart } from "./charts.js";
import { el } from "./dom.js";
import { metricTitle } from "./format.js";
import { getJson } from "./post.js";
import { t } from "./text.js";

const PAST = { hour: [4 * 3600, 60], days: [7 * 86400, 3600] };
const box = document.getElementById("charts");

async function draw(forecast) {
  const plot = el("div", { class: "chart-box" });
  box.append(el("section", { class: "panel chart" }, el("div", { class: "chart-head" }, el("strong", { title: forecast.metric }, metricTitle(forecast.metric)), el("span", { class: "quiet breakable" }, name(forecast))), plot, el("p", { class: "help" }, worth(forecast))));
  const [seconds, step] = PAST[forecast.span];
  const from = forecast.at[0] - seconds;
  const parameters = { metric: forecast.metric, source: forecast.source, from: stamp(from), to: stamp(forecast.at[0]), step, agg: "avg" };
  try {
    const answer = await getJson(withSystem("/api/v1/query/", parameters));
    const line = answer.series.find((one) => labelled(one.labels) === labelled(forecast.labels));
    const points = (line?.points ?? []).filter((point) => point[1] !== null);
    const chart = new Chart(plot, forecast.metric, ["measured"], undefined, config.marks[forecast.id] ?? [], { bands: true });
    chart.set(withBands([points.map((point) => point[0]), points.map((point) => point[1])], forecast));
    chart.show(from, forecast.at.at(-1));
  } catch (problem) {
    plot.replaceChildren(el("p", { class: "empty" }, t("No chart: {message}", { message: problem.message })));
  }
}

function name({ source, labels }) {
  const told = labelled(labels);
  return told ? `${source} {${told}}` : source;
}

function labelled(labels) {
  return Object.entries(labels ?? {}).map(([key, value]) => `${key}="${value}"`).sort().join(",");
}

function stamp(at) {
  return new Date(at * 1000).toISOString();
}

for (const forecast of config.forecasts) draw(forecast);
