// Where everything of the diagram stands. Pure geometry: numbers in, numbers and paths out.
//
// As in Beer's drawings ("Brain of the Firm", "Diagnosing the System"): the environment an amoeba on the left with a
// local one for each operation and, apart and dashed, the problematic future one; operations as circles one below the
// other, the management of each as a square at 45 degrees on the vertical spine; S2 as triangles on a line at the
// right, S3* as a triangle at the left of S3, S4 and S5 above, the algedonic lane at the edge.

const WIDE = { width: 760, env: [14, 236], cx: 424, box: [124, 50], s5: 40, s4: 138, s3: 240, s2: 610, star: 366, lane: 738, pitch: 104, least: 76 };
const NARROW = { width: 400, env: [4, 96], cx: 160, box: [112, 50], s5: 36, s4: 130, s3: 232, s2: 312, star: 110, lane: 388, pitch: 112, least: 100 };
const FIELD = { pitch: 19, least: 8 };

// *rows* operations one below the other, or *dots* members of a fold as a field of them.
export function layout({ rows = 0, dots = 0, narrow = false } = {}) {
  const base = narrow ? NARROW : WIDE;
  const pitch = Math.max(base.least, base.pitch - Math.max(0, rows - 3) * 6);
  const r = Math.round(pitch * (narrow ? 0.24 : 0.29));
  const arm = Math.round(r * 2.1);
  const square = Math.round(r * 1.15);
  const spine = base.cx + arm;
  const first = base.s3 + base.box[1] / 2 + 20 + square / 2 + arm;
  const placed = Array.from({ length: rows }, (_, index) => rowAt(base, first + index * pitch, { r, arm, square, spine, pitch }));
  const field = dots ? fieldAt(base, first - arm * 0.4, dots) : null;
  const last = field ? field.bottom : first + Math.max(0, rows - 1) * pitch + r;
  const height = Math.round(last + (narrow ? 98 : 94));
  return { ...parts(base, spine, height), width: base.width, height, narrow, r, square, spine, rows: placed, field, bottom: last };
}

function rowAt(base, cy, { r, arm, square, spine, pitch }) {
  const [left, right] = base.env;
  const middle = (left + right) / 2;
  const { cx } = base;
  return {
    circle: { x: cx, y: cy, r },
    square: { x: spine, y: cy - arm, size: square },
    arm: line(cx + r * Math.SQRT1_2, cy - r * Math.SQRT1_2, spine - square / 2, cy - arm + square / 2),
    armMiddle: { x: (cx + spine) / 2 + 2, y: cy - arm / 2 - 2 },
    asked: line(right - 18, cy, cx - r - 4, cy),
    local: { path: amoeba(middle, cy, (right - left) * 0.44, pitch * 0.45, cy), x: middle, y: cy },
    boundary: { x: right + 14, y: cy },
    regulator: { x: base.s2, y: cy - arm },
    regulated: line(spine + square / 2, cy - arm, base.s2 - 9, cy - arm),
    pain: `M${at(cx + r * 0.93)} ${at(cy + r * 0.37)}H${at(base.lane)}`,
    painEnd: { x: base.lane, y: cy + r * 0.37 },
    label: base === NARROW ? { x: cx + r, y: cy + r + 14, below: true } : { x: cx - r - 12, y: cy, below: false },
  };
}

// A fold without a finer one: its members as dots, in a rounded field where the circles would be.
function fieldAt(base, top, dots) {
  const narrow = base === NARROW;
  const room = narrow ? 150 : 210;
  const columns = Math.max(1, Math.min(dots, Math.floor(room / FIELD.pitch)));
  const lines = Math.ceil(dots / columns);
  const left = base.cx - (narrow ? 56 : 150);
  return {
    columns, x: left, y: top, width: columns * FIELD.pitch + 14, height: lines * FIELD.pitch + 14, bottom: top + lines * FIELD.pitch + 14,
    dots: Array.from({ length: dots }, (_, index) => ({ x: left + 7 + FIELD.pitch * ((index % columns) + 0.5), y: top + 7 + FIELD.pitch * (Math.floor(index / columns) + 0.5), r: FIELD.least - 1 })),
  };
}

// What stands above the operations, and the channels that run along all of them.
function parts(base, spine, height) {
  const [w, h] = base.box;
  const { s5, s4, s3, s2, star, lane } = base;
  const [left, right] = base.env;
  const middle = (left + right) / 2;
  const loop = (s4 + s3) / 2;
  const end = height - (base === NARROW ? 58 : 54);
  const top = s4 + 46;
  const side = w / 2 + 14;
  return {
    s5: { x: spine, y: s5, w, h }, s4: { x: spine, y: s4, w, h }, s3: { x: spine, y: s3, w, h },
    s2: { x: s2, y: s3, size: 25 }, star: { x: star, y: s3, size: 22 },
    environment: { path: amoeba(middle, (top + end) / 2, (right - left) / 2, (end - top) / 2, 1), x: middle, y: top + (base === NARROW ? 18 : 34) },
    future: { path: amoeba(middle, s4 - 20, (right - left) * 0.42, 44, 4), x: middle, y: s4 - 20 },
    homeostat: {
      down: curve(spine - 30, s4 + h / 2, spine - 52, loop, spine - 30, s3 - h / 2),
      up: curve(spine + 30, s3 - h / 2, spine + 52, loop, spine + 30, s4 + h / 2), x: spine, y: loop,
    },
    closing: `M${at(spine - w / 2)} ${at(s5 + 6)}H${at(spine - side)}V${at(loop)}H${at(spine - 46)}`,
    command: `M${at(spine + w / 2)} ${at(s5 + 6)}H${at(spine + side)}V${at(s3 - 8)}H${at(spine + w / 2 + 4)}`,
    s3s2: line(spine + w / 2, s3 + 4, s2 - 22, s3 + 4), s3star: line(spine - w / 2, s3 + 4, star + 20, s3 + 4),
    outlook: line(spine - w / 2, s4 + 8, middle + (right - left) * 0.39, top + 40), ahead: line(spine - w / 2, s4 - 6, middle + (right - left) * 0.4, s4 - 18),
    lane: { x: lane, top: s5 },
    orders: (to) => line(spine + 5, s3 + h / 2, spine + 5, to), bargain: (to) => line(spine - 5, s3 + h / 2, spine - 5, to),
    coordination: (to) => line(s2, s3 + 22, s2, to),
    audit: (to) => `M${at(star)} ${at(s3 + 20)}C${at(star)} ${at(s3 + 62)} ${at(base.cx)} ${at(s3 + 40)} ${at(base.cx)} ${at(s3 + 96)}V${at(to)}`,
    algedonic: (from) => `M${at(lane)} ${at(from)}V${at(s5)}H${at(spine + w / 2 + 6)}`,
    strip: { y: height - (base === NARROW ? 40 : 30) },
  };
}

function at(value) {
  return Math.round(value * 10) / 10;
}

function line(x1, y1, x2, y2) {
  return `M${at(x1)} ${at(y1)}L${at(x2)} ${at(y2)}`;
}

function curve(x1, y1, cx, cy, x2, y2) {
  return `M${at(x1)} ${at(y1)}Q${at(cx)} ${at(cy)} ${at(x2)} ${at(y2)}`;
}

// A closed, uneven outline; *seed* only makes neighbours differ.
export function amoeba(x, y, rx, ry, seed) {
  const count = 20;
  const points = Array.from({ length: count }, (_, step) => {
    const angle = (step / count) * 2 * Math.PI;
    const swell = 0.96 + 0.035 * Math.sin(3 * angle + seed) + 0.03 * Math.sin(5 * angle + 2 * seed);
    return [x + rx * swell * blunt(Math.cos(angle)), y + ry * swell * blunt(Math.sin(angle))];
  });
  const mid = (a, b) => [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2];
  const start = mid(points[count - 1], points[0]);
  return `M${start.map(at).join(" ")}${points.map((point, index) => `Q${point.map(at).join(" ")} ${mid(point, points[(index + 1) % count]).map(at).join(" ")}`).join("")}Z`;
}

// Blunts an ellipse towards a rectangle, so that what is high and narrow has room from top to bottom.
function blunt(value) {
  return Math.sign(value) * Math.abs(value) ** 0.6;
}

// A ring around (x, y), one arc for each share that is not nothing: [name, path].
export function ring(x, y, r, shares) {
  const total = shares.reduce((sum, [, value]) => sum + value, 0);
  const present = shares.filter(([, value]) => value > 0);
  let from = -Math.PI / 2;
  return present.map(([name, value]) => {
    const to = from + (value / total) * 2 * Math.PI;
    const gap = present.length > 1 ? Math.min(0.06, (to - from) / 4) : 0.0001;
    const path = arc(x, y, r, from + gap, to - gap);
    from = to;
    return [name, path];
  });
}

function arc(x, y, r, from, to) {
  const point = (angle) => `${at(x + r * Math.cos(angle))} ${at(y + r * Math.sin(angle))}`;
  if (to - from > 2 * Math.PI - 0.01) return `M${at(x)} ${at(y - r)}A${r} ${r} 0 1 1 ${at(x - 0.1)} ${at(y - r)}Z`;
  return `M${point(from)}A${r} ${r} 0 ${to - from > Math.PI ? 1 : 0} 1 ${point(to)}`;
}

// The width of a line that carries *count* messages: each ten times as many are as much wider again.
export function flowWidth(count) {
  return count > 0 ? Math.min(7, 1.5 + 1.3 * Math.log10(1 + count)) : 1.25;
}

// How a balance of two varieties in bits leans: -1 the left side weighs all, 1 the right, null not measured.
export function lean(left, right) {
  if (left === null || left === undefined || right === null || right === undefined) return null;
  const sum = left + right;
  return sum === 0 ? 0 : (right - left) / sum;
}
