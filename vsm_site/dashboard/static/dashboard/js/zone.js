// Times by the clocks of the zone that the server's pages speak in, too: the charts agree with what stands beside them.
const wanted = document.querySelector("meta[name=person]")?.dataset.zone || "UTC";
const options = { year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" };
const clocks = clocksOf(wanted);
export const zone = clocks.resolvedOptions().timeZone;

// A zone that this browser has never heard of: better its own than none.
function clocksOf(timeZone) {
  try {
    return new Intl.DateTimeFormat("en-GB", { ...options, timeZone });
  } catch {
    return new Intl.DateTimeFormat("en-GB", options);
  }
}

function parts(at) {
  return Object.fromEntries(clocks.formatToParts(at * 1000).map(({ type, value }) => [type, value]));
}

export function day(at) {
  const shown = parts(at);
  return `${shown.year.padStart(4, "0")}-${shown.month}-${shown.day}`;
}

export function minute(at) {
  const shown = parts(at);
  return `${shown.hour}:${shown.minute}`;
}

export function second(at) {
  return `${minute(at)}:${parts(at).second}`;
}

export function moment(at) {
  return `${day(at)} ${second(at)}`;
}

// What a picker of the browser shows and gives: 2026-11-22T10:00.
export function picked(at) {
  return `${day(at)}T${minute(at)}`;
}

// How far the clocks are ahead of UTC, in seconds.
function ahead(at) {
  return Date.parse(`${day(at)}T${second(at)}Z`) / 1000 - Math.floor(at);
}

// When clocks show what was picked, in epoch seconds: twice in the night they are put back, never in the gap of the
// night they are put forward.
export function whenPicked(text) {
  const shown = Date.parse(`${text}Z`) / 1000;
  if (Number.isNaN(shown)) return [];
  const offsets = new Set([ahead(shown - 86400), ahead(shown + 86400)]);
  return [...offsets].map((offset) => shown - offset).filter((at) => picked(at) === text.slice(0, 16)).sort((a, b) => a - b);
}

// For uPlot, which writes the axes.
export function zoned(at) {
  return window.uPlot.tzDate(new Date(at * 1000), zone);
}
