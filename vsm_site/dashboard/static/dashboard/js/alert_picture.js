// A metric around an alert: its line, each threshold as a line of its own, and when it began, fired and ended.
import { withSystem } from "./config.js";
import { Chart } from "./charts.js";
import { el } from "./dom.js";
import { getJson } from "./post.js";
import { t } from "./text.js";

const MOST_LINES = 3;

function stamp(at) {
  return new Date(at * 1000).toISOString();
}

function isOf(line, labels) {
  return Object.entries(labels).every(([name, value]) => line.labels[name] === value);
}

export function showPicture(box, picture) {
  let chart = null;
  let drawn = "";

  async function load(to) {
    const asked = { metric: picture.metric, from: stamp(picture.from), to: stamp(to), step: picture.step };
    if (picture.source) asked.source = picture.source;
    try {
      const answer = await getJson(withSystem("/api/v1/query/", asked));
      draw(answer.series.filter((line) => isOf(line, picture.labels)).slice(0, MOST_LINES), to);
    } catch (problem) {
      nothing(t("No picture: {message}", { message: problem.message }));
    }
  }

  function nothing(words) {
    chart?.destroy();
    chart = null;
    drawn = "";
    box.replaceChildren(el("p", { class: "empty" }, words));
  }

  function draw(lines, to) {
    if (!lines.some((line) => line.points.length)) return nothing(t("What was measured then is not kept any more, or nothing was."));
    const names = [...lines.map((line) => [line.source, ...Object.values(line.labels)].join(" ")), ...picture.limits.map(([name]) => name)];
    if (drawn !== names.join("\n")) {
      chart?.destroy();
      box.replaceChildren();
      chart = new Chart(box, picture.metric, names, undefined, picture.marks);
      drawn = names.join("\n");
    }
    const moments = [...new Set([picture.from, ...lines.flatMap((line) => line.points.map(([at]) => at)), to])].sort((a, b) => a - b);
    const columns = lines.map((line) => {
      const known = new Map(line.points);
      return moments.map((at) => known.get(at) ?? null);
    });
    chart.set([moments, ...columns, ...picture.limits.map(([, limit]) => moments.map(() => limit))]);
    chart.show(picture.from, to);
    return null;
  }

  return load;
}
