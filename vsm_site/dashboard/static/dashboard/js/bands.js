// A forecast beside what was measured: its mean and its two intervals, as columns that a chart with bands draws.
const LINES = ["mean", "low80", "high80", "low95", "high95"];

// Returns *data* ([times, values, …]) with the five lines of *forecast* after it; without a forecast they are empty.
export function withBands(data, forecast) {
  if (!forecast) return [...data, ...LINES.map(() => data[0].map(() => null))];
  return window.uPlot.join([data, [forecast.at, ...LINES.map((name) => forecast[name])]]);
}

// What is said of a forecast in a few words.
export function worth({ used, best, skill, compared, judged }) {
  if (used === "naive") return "naive: nothing tried was better than that it stays as it is";
  const tested = `${best}; back-test ${Math.round(100 * skill)} % less wrong than naive (n = ${compared})`;
  return judged.skill === null ? tested : `${tested}; since then ${Math.round(100 * judged.skill)} % (n = ${judged.values})`;
}
