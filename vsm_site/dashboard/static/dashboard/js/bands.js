// A forecast beside what was measured: its mean and its two intervals, as columns that a chart with bands draws.
import { t } from "./text.js";
const LINES = ["mean", "low80", "high80", "low95", "high95"];

// Returns *data* ([times, values, …]) with the five lines of *forecast* after it; without a forecast they are empty.
export function withBands(data, forecast) {
  if (!forecast) return [...data, ...LINES.map(() => data[0].map(() => null))];
  return window.uPlot.join([data, [forecast.at, ...LINES.map((name) => forecast[name])]]);
}

// What is said of a forecast in a few words.
export function worth({ used, best, skill, compared, judged }) {
  if (used === "naive") return t("naive: nothing tried was better than that it stays as it is");
  const tested = t("{best}; back-test {percent} % less wrong than naive (n = {compared})", { best, percent: Math.round(100 * skill), compared });
  return judged.skill === null ? tested : t("{tested}; since then {percent} % (n = {values})", { tested, percent: Math.round(100 * judged.skill), values: judged.values });
}
