// Charts as files: a picture with its title and its names, and the numbers that are shown.
import { LINES } from "./charts.js";
import { t } from "./text.js";
import { picked, zone } from "./zone.js";

export function save(name, blob) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

// A name that a spreadsheet would take for a formula is none.
function cell(text) {
  const safe = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

export function toCsv(panels) {
  return panels.map(({ data, lines }) => {
    const head = ["at", ...lines.map((line) => cell(line.name))].join(",");
    const rows = data[0].map((at, index) => [new Date(at * 1000).toISOString(), ...lines.map((_, place) => data[place + 1][index] ?? "")].join(","));
    return [head, ...rows].join("\r\n");
  }).join("\r\n\r\n");
}

export async function toPng(panels, { from, to }, colour) {
  const scale = devicePixelRatio || 1;
  const [line, gap] = [18 * scale, 12 * scale];
  const heights = panels.map(({ chart, lines }) => chart.plot.ctx.canvas.height + (lines.length + 1) * line + gap);
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(...panels.map(({ chart }) => chart.plot.ctx.canvas.width)) + 2 * gap;
  canvas.height = heights.reduce((sum, height) => sum + height, 2 * line + gap);
  const paper = canvas.getContext("2d");
  paper.fillStyle = colour("--body-bg");
  paper.fillRect(0, 0, canvas.width, canvas.height);
  paper.font = `600 ${14 * scale}px system-ui, sans-serif`;
  paper.fillStyle = colour("--body-fg");
  const [first, last] = [from, to].map((at) => picked(at).replace("T", " "));
  paper.fillText(`${document.title.split(" · ").slice(0, 2).join(" · ")}, ${t("{first} to {last}", { first, last })} ${zone}`, gap, line + gap / 2);
  paper.font = `${12 * scale}px system-ui, sans-serif`;
  let top = 2 * line + gap;
  panels.forEach(({ chart, lines }, index) => {
    paper.drawImage(chart.plot.ctx.canvas, gap, top);
    lines.forEach((each, place) => {
      const y = top + chart.plot.ctx.canvas.height + (place + 0.8) * line;
      paper.fillStyle = colour(LINES[place % LINES.length]);
      paper.fillRect(gap, y - 9 * scale, 10 * scale, 10 * scale);
      paper.fillStyle = colour("--body-fg");
      paper.fillText(each.name, gap + 16 * scale, y);
    });
    top += heights[index];
  });
  return new Promise((resolve) => { canvas.toBlob(resolve, "image/png"); });
}
