// Beer's diagram of a viable system, drawn from the live data: health by colour and shape, messages by the width of
// lines and their motion, varieties as balances. It moves only while something moves.
import { config, withSystem } from "./config.js";
import { badge } from "./badge.js";
import { el, setText } from "./dom.js";
import { score, short } from "./format.js";
import { tickAge } from "./live.js";
import { flowWidth, layout, lean, ring } from "./model_layout.js";
import { bits, environmentLines, painWords, picture, rowLines, rowName, tableRows } from "./model_facts.js";
import { getJson } from "./post.js";
import { healthShape, setAll, svg } from "./svg.js";
import { t, tn } from "./text.js";

const NARROW_PIXELS = 560;
const FRESH_SECONDS = 12; // a rate that is older than two ticks moves nothing
const MOVES_MS = 5000; // a message moves its line until the next tick
const BANDS = { critical: "unhealthy", warning: "degraded", adequate: "healthy", excess: "info" };
const WORDS_OF_BANDS = { critical: "critical", warning: t("too little"), adequate: "adequate", excess: t("more than needed"), insufficient_data: t("told by too few observations") };
const STEERED = new Set(["celery_worker"]);

// *load* asks for new facts; a page that shows more than the diagram asks for all of its own at once.
export function showModel(live, root, facts, load = () => getJson(withSystem("/dashboard/model/facts/"))) {
  return new Model(live, root, facts, load);
}

class Model {
  constructor(live, root, facts, ask) {
    Object.assign(this, { live, root, facts, ask, updates: [], moving: new Map(), signature: "", shown: new Map() });
    this.figure = root.querySelector(".model-figure");
    this.tip = root.querySelector(".model-tip");
    this.crumb = root.querySelector(".model-fold");
    this.none = root.querySelector(".model-none");
    this.table = root.querySelector(".model-table");
    this.open = new URLSearchParams(location.search).get("fold") ?? "";
    this.listen();
  }

  listen() {
    const { live } = this;
    new ResizeObserver(() => this.draw()).observe(this.figure);
    addEventListener("popstate", () => this.unfold(new URLSearchParams(location.search).get("fold") ?? "", { push: false }));
    live.on("assessment", () => this.load());
    live.on("signal", () => this.move("algedonic"));
    live.on("action", () => this.move("command"));
    live.on("recommendation", () => this.move("homeostat"));
    this.figure.addEventListener("click", (event) => this.clicked(event));
    this.figure.addEventListener("keydown", (event) => this.pressed(event));
    document.addEventListener("keydown", (event) => event.key === "Escape" && !event.target.closest("dialog, input, select, textarea") && this.climb());
    for (const [kind, shown] of [["pointerover", true], ["focusin", true], ["pointerout", false], ["focusout", false]]) this.figure.addEventListener(kind, (event) => this.tell(event, shown));
    this.root.addEventListener("toggle", () => this.draw(), true);
    setInterval(() => this.draw(), MOVES_MS); // what has come to rest stops
  }

  async load() {
    try {
      this.facts = await this.ask();
      this.draw();
    } catch (problem) {
      console.info(`The diagram keeps its last facts: ${problem.message}`);
    }
  }

  move(channel) {
    this.moving.set(channel, Date.now() + MOVES_MS);
    this.draw();
  }

  // --- Folds ----------------------------------------------------------------------------------------------------------
  clicked(event) {
    const link = event.target.closest("a[data-fold]");
    if (!link || event.metaKey || event.ctrlKey || event.shiftKey || event.button) return;
    event.preventDefault();
    this.unfold(link.dataset.fold);
  }

  unfold(key, { push = true } = {}) {
    const left = this.open;
    this.open = key;
    this.hideTip();
    if (push) history.pushState(null, "", addressOf(key));
    this.draw();
    const back = [...this.figure.querySelectorAll("a[data-fold]")].find((one) => one.dataset.fold === left);
    (key ? this.crumb.querySelector("a") : back)?.focus();
  }

  climb() {
    if (!this.tip.hidden) this.hideTip();
    else if (this.open) this.unfold("");
  }

  pressed(event) {
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: "line", ArrowUp: "-line", Home: "first", End: "last" }[event.key];
    const dot = event.target.closest("a.dot");
    if (!dot || step === undefined) return;
    event.preventDefault();
    const dots = [...this.figure.querySelectorAll("a.dot")];
    const columns = Number(dot.parentNode.dataset.columns);
    const now = dots.indexOf(dot);
    const to = { line: now + columns, "-line": now - columns, first: 0, last: dots.length - 1 }[step] ?? now + step;
    const next = dots[Math.min(dots.length - 1, Math.max(0, to))];
    dot.setAttribute("tabindex", "-1");
    next.setAttribute("tabindex", "0");
    next.focus();
  }

  // --- Tooltips -------------------------------------------------------------------------------------------------------
  tell(event, shown) {
    const node = event.target.closest?.("[data-tip]");
    if (!shown || !node) {
      if (node || !shown) this.hideTip();
      return;
    }
    const lines = this.shown.get(node.dataset.tip)?.() ?? [];
    this.tip.replaceChildren(...lines.filter(Boolean).map((line, index) => el(index ? "div" : "strong", {}, line)));
    this.tip.hidden = !lines.length;
    const [at, frame] = [node.getBoundingClientRect(), this.root.getBoundingClientRect()];
    const x = Math.min(Math.max(4, at.left + at.width / 2 - frame.left - this.tip.offsetWidth / 2), frame.width - this.tip.offsetWidth - 4);
    this.tip.style.left = `${x}px`;
    this.tip.style.top = `${at.bottom - frame.top + 8}px`;
  }

  hideTip() {
    this.tip.hidden = true;
  }

  // --- Drawing --------------------------------------------------------------------------------------------------------
  draw() {
    const width = this.figure.clientWidth;
    if (this.live.seq === null || !width) return;
    const scene = picture(this.live.data, this.facts, config.titles, this.open);
    this.scene = scene;
    const narrow = width < NARROW_PIXELS;
    const signature = JSON.stringify([narrow, this.open, scene.rows.map((row) => [row.key, row.type]), scene.field?.map((row) => row.key)]);
    if (signature !== this.signature) this.build(scene, narrow, signature);
    const fresh = (tickAge(this.live) ?? Infinity) < FRESH_SECONDS;
    for (const update of this.updates) update(scene, { fresh, moves: (channel) => scene.flows.moved.has(channel) || this.moving.get(channel) > Date.now() });
    this.none.hidden = scene.rows.length > 0 || Boolean(this.open);
    this.drawCrumb(scene);
    this.drawTable(scene);
  }

  build(scene, narrow, signature) {
    const focused = document.activeElement?.closest?.("[data-tip]")?.dataset.tip;
    this.signature = signature;
    this.updates = [];
    this.shown.clear();
    const place = layout({ rows: scene.rows.length, dots: scene.field?.length ?? 0, narrow });
    const drawing = svg("svg", { viewBox: `0 0 ${place.width} ${place.height}`, role: "group", "aria-label": t("Diagram of the viable system"), class: narrow ? "narrow" : "" }, arrows());
    drawing.append(this.surroundings(place), this.channels(place, scene), ...scene.rows.map((row, index) => this.row(place, index, row)), this.members(place, scene), this.parts(place), this.lane(place), this.balances(place));
    this.figure.replaceChildren(drawing);
    if (focused) [...drawing.querySelectorAll("a[data-tip]")].find((one) => one.dataset.tip === focused)?.focus();
  }

  // A node that is a link: its name for those who listen, its tip for those who look.
  link(key, href, attributes, name, tip, ...children) {
    const node = svg("a", { "data-tip": key, tabindex: "0", ...attributes }, ...children);
    this.shown.set(key, () => tip(this.scene));
    this.updates.push((scene) => setAll(node, { href: typeof href === "function" ? href(scene) : href, "aria-label": name(scene) }));
    return node;
  }

  flow(d, channel, count, { both = false, kind = channel } = {}) {
    const path = svg("path", { d, class: `flow flow-${kind}`, "marker-end": "url(#model-arrow)", "marker-start": both ? "url(#model-arrow)" : null });
    this.updates.push((scene, { moves }) => {
      const n = count(scene);
      setAll(path, { "stroke-width": flowWidth(n).toFixed(2), class: `flow flow-${kind}${n > 0 ? " used" : ""}${moves(channel) ? " moving" : ""}` });
    });
    return path;
  }

  label(x, y, text, attributes = {}) {
    const node = svg("text", { x, y, ...attributes });
    this.updates.push((scene) => setText(node, text(scene)));
    return node;
  }

  health(x, y, size, statusOf) {
    const node = svg("path", {});
    this.updates.push((scene) => {
      const status = statusOf(scene);
      setAll(node, { d: healthShape(status, x, y, size), class: `health is-${status}` });
    });
    return node;
  }

  // --- The environment ------------------------------------------------------------------------------------------------
  surroundings(place) {
    const { environment, future, narrow } = place;
    const outside = this.link("environment", `/dashboard/queues/${config.query}`, { class: "node environment" },
      (scene) => t("Environment: {facts}", { facts: environmentLines(scene.environment).join("; ") }), (scene) => [t("Environment"), ...environmentLines(scene.environment)],
      svg("path", { d: environment.path }),
      this.label(environment.x, environment.y, () => t("Environment"), { class: "title" }),
      this.label(environment.x, environment.y + 16, ({ environment: now }) => (now.rate === null ? "" : `${short(now.rate)}${narrow ? "/s" : " tasks/s"}`), { class: "small" }));
    const ahead = this.link("future", `/dashboard/intelligence/${config.query}`, { class: "node future" },
      (scene) => t("Problematic future: {waits}", { waits: scene.parts.s4.waits || t("no threat is seen") }), (scene) => [t("The problematic future"), t("What S4 looks out for"), scene.parts.s4.waits || t("no threat is seen")],
      svg("path", { d: future.path }),
      this.label(future.x, future.y - 2, () => (narrow ? "future" : "problematic"), { class: "small" }),
      this.label(future.x, future.y + 13, () => (narrow ? "" : "future"), { class: "small" }));
    return svg("g", {}, outside, ahead);
  }

  // --- Channels -------------------------------------------------------------------------------------------------------
  channels(place, scene) {
    const { rows, homeostat, field } = place;
    const count = (key) => ({ flows }) => flows.counts[key] ?? 0;
    const down = field ? field.y : rows.at(-1)?.square.y ?? place.s3.y + 60;
    const through = field ? field.y : rows.at(-1)?.circle.y ?? down;
    const group = svg("g", { "aria-hidden": "true" });
    group.append(
      svg("path", { d: place.outlook, class: "flow flow-outlook", "marker-end": "url(#model-arrow)" }), svg("path", { d: place.ahead, class: "flow flow-outlook", "marker-end": "url(#model-arrow)" }),
      this.flow(homeostat.down, "homeostat", count("homeostat:s3>s4")), this.flow(homeostat.up, "homeostat", count("homeostat:s4>s3")),
      svg("path", { d: place.closing, class: "flow flow-closing", "marker-end": "url(#model-arrow)" }), this.flow(place.command, "command", count("command:s5>s3")),
      svg("path", { d: place.s3s2, class: "flow plain" }), svg("path", { d: place.s3star, class: "flow plain" }),
      this.flow(place.orders(down), "command", count("command:s3>s1")), this.flow(place.bargain(down), "resource_bargain", count("resource_bargain"), { both: true }),
      this.flow(place.coordination(down), "coordination", count("coordination"), { both: true }), this.flow(place.audit(through), "audit", count("audit")),
    );
    scene.rows.slice(1).forEach((_, index) => group.append(svg("path", { d: squiggle(rows[index].circle, rows[index + 1].circle), class: "flow squiggle" })));
    return group;
  }

  // --- Operations -----------------------------------------------------------------------------------------------------
  row(place, index, { key }) {
    const at = place.rows[index];
    const of = (scene) => scene.rows[index];
    const group = svg("g", { "data-row": key });
    const asked = svg("path", { d: at.asked, class: "flow flow-asked", "marker-end": "url(#model-arrow)" });
    this.updates.push((scene, { fresh }) => {
      const { rate } = of(scene);
      setAll(asked, { "stroke-width": flowWidth(rate ?? 0).toFixed(2), class: `flow flow-asked${rate > 0 ? " used" : ""}${rate > 0 && fresh ? " moving" : ""}` });
    });
    const pain = svg("path", { d: at.pain, class: "flow flow-pain" });
    this.updates.push((scene) => setAll(pain, { class: `flow flow-pain${hurts(of(scene), scene.pains) ? " hurts" : ""}` }));
    group.append(
      svg("path", { d: at.local.path, class: "local" }), svg("path", { d: at.arm, class: "flow plain" }), svg("path", { d: at.regulated, class: "flow plain" }),
      pain, asked, svg("path", { d: `M${at.regulator.x - 8} ${at.regulator.y - 7}H${at.regulator.x + 8}L${at.regulator.x} ${at.regulator.y + 8}Z`, class: "regulator" }),
      this.askedLabels(place, at, of), this.operation(place, at, of, key), this.management(place, at, of, key),
      this.balance(at.boundary.x, at.boundary.y, 10, (scene) => sidesOf(of(scene), "environment", "operation", "operational_band")),
      this.balance(at.armMiddle.x, at.armMiddle.y, 8, (scene) => sidesOf(of(scene), "operation", "management", "managerial_band")),
    );
    return group;
  }

  askedLabels(place, at, of) {
    const names = ({ asked }) => (asked.queues.length > 2 ? tn("{n} queue", "{n} queues", asked.queues.length) : asked.queues.map((queue) => queue.name.split("/").at(-1)).join(", "));
    const waits = ({ asked }) => (asked.waiting === null || asked.waiting === undefined ? "" : `${short(asked.waiting)}${place.narrow ? "" : " waiting"}`);
    return svg("g", { "aria-hidden": "true" },
      this.label(at.local.x, at.local.y - (place.narrow ? 2 : 3), (scene) => cut(names(of(scene)), place.narrow ? 10 : 22), { class: "small" }),
      this.label(at.local.x, at.local.y + 12, (scene) => waits(of(scene)), { class: "small strong" }));
  }

  operation(place, at, of, key) {
    const { x, y, r } = at.circle;
    const rings = svg("g", {});
    const inner = svg("circle", { cx: x, cy: y, r: r - 5 });
    const node = this.link(key, (scene) => hrefOf(of(scene)), { class: "node operation" }, (scene) => rowName(of(scene)), (scene) => [of(scene).name, statusLine(of(scene)), ...rowLines(of(scene)), hintOf(of(scene))]);
    const wide = place.narrow ? { x: x + r - 110, y, width: 110, height: r + 32 } : { x: x - r - 140, y: y - 24, width: 140 + r, height: 48 };
    node.append(svg("rect", { ...wide, class: "area" }), svg("circle", { cx: x, cy: y, r, class: "body" }), rings, inner);
    let drawn = "";
    this.updates.push((scene) => {
      const row = of(scene);
      if (isFold(row)) node.dataset.fold = row.key;
      setAll(inner, { class: `inner is-${row.status}` });
      const shares = row.counts ? Object.entries(row.counts) : [[row.status, 1]];
      const now = JSON.stringify(shares);
      if (now === drawn) return;
      drawn = now;
      rings.replaceChildren(...ring(x, y, r - 2.5, shares).map(([name, d]) => svg("path", { d, class: `ring is-${name}` })));
    });
    node.append(this.inside(at.circle, of), ...this.names(place, at, of));
    return node;
  }

  // Inside a circle: the shape of its health, and how many it stands for; of a system its own small diagram.
  inside({ x, y, r }, of) {
    const group = svg("g", {});
    const below = [-0.4, 0, 0.4].map((side) => `M${x + r * side} ${y - r * 0.4}a${r * 0.14} ${r * 0.14} 0 1 0 .1 0z`).join("");
    const small = svg("path", { d: `M${x - r * 0.3} ${y - r * 0.72}h${r * 0.6}v${r * 0.22}h${-r * 0.6}zM${x} ${y - r * 0.5}v${r * 0.1}${below}`, class: "recursion" });
    group.append(small, this.health(x, y - r * 0.16, r * 0.24, (scene) => of(scene).status), this.label(x, y + r * 0.45, (scene) => (of(scene).members > 1 || isFold(of(scene)) ? short(of(scene).members) : of(scene).score === null ? "–" : score(of(scene).score)), { class: "count" }));
    this.updates.push((scene) => {
      const system = of(scene).type === "system";
      setAll(small, { visibility: system ? null : "hidden" });
      setAll(group.children[1], { visibility: system ? "hidden" : null });
    });
    return group;
  }

  names(place, at, of) {
    const { x, y, below } = at.label;
    const most = below ? 24 : 20;
    const numbers = (row) => [isFold(row) && row.score !== null ? score(row.score) : "", row.silent ? (row.members > 1 ? t("{count} silent", { count: row.silent }) : "silent") : "", row.rate === null || row.rate === undefined ? "" : `${short(row.rate)}/s`].filter(Boolean).join(" · ");
    return [
      this.label(x, y + (below ? 0 : -8), (scene) => cut(of(scene).name, most), { class: "name" }),
      this.label(x, y + (below ? 14 : 19), (scene) => numbers(of(scene)), { class: "small end" }),
    ];
  }

  management(place, at, of, key) {
    const { x, y, size } = at.square;
    const box = svg("rect", { x: x - size / 2, y: y - size / 2, width: size, height: size, rx: 2 });
    const mark = this.label(x, y + 4, (scene) => managementMark(of(scene)), { class: "mark" });
    this.updates.push((scene) => setAll(box, { class: `management is-${of(scene).status}` }));
    const steered = (scene) => config.mayOperate && STEERED.has(of(scene).kind) && of(scene).type === "unit";
    const node = svg("a", { "data-tip": `management:${key}`, class: "node" }, box, mark);
    this.shown.set(`management:${key}`, () => [t("Management of {system}", { system: of(this.scene).name }), managementWords(of(this.scene)), steered(this.scene) ? t("Steer it") : ""]);
    this.updates.push((scene) => setAll(node, steered(scene)
      ? { href: `/dashboard/units/${of(scene).id}/steer/${config.query}`, "aria-label": t("Management of {system}: {facts}; steer it", { system: of(scene).name, facts: managementWords(of(scene)) }), "aria-hidden": null }
      : { href: null, "aria-label": null, "aria-hidden": "true" }));
    return node;
  }

  // The members of an opened fold: one stop of the Tab key, the arrows go from dot to dot.
  members(place, { field }) {
    if (!field || !place.field) return svg("g", {});
    const { x, y, width, height, columns, dots } = place.field;
    const group = svg("g", { class: "field", "data-columns": columns, role: "group", "aria-label": t("{field} members, worst first", { field: field.length }) }, svg("rect", { x, y, width, height, rx: 12 }));
    field.forEach((row, index) => {
      const at = dots[index];
      const now = (scene) => scene.field[index];
      group.append(this.link(row.key, (scene) => hrefOf(now(scene)), { class: "dot", tabindex: index ? "-1" : "0" }, (scene) => rowName(now(scene)), (scene) => [now(scene).name, statusLine(now(scene)), ...rowLines(now(scene))], svg("circle", { cx: at.x, cy: at.y, r: at.r + 2, class: "hit" }), this.health(at.x, at.y, at.r, (scene) => now(scene).status)));
    });
    return group;
  }

  // --- S2 to S5 -------------------------------------------------------------------------------------------------------
  parts(place) {
    const group = svg("g", {});
    for (const slug of ["s5", "s4", "s3"]) group.append(this.part(slug, place[slug], boxShape(place[slug])));
    group.append(this.part("s3_star", place.star, triangle(place.star, -1), place.narrow ? "below" : "left"), this.part("s2", place.s2, triangle(place.s2, 1), place.narrow ? "above" : "right"));
    return group;
  }

  part(slug, at, shape, beside = "") {
    const of = (scene) => scene.parts[slug];
    const node = this.link(slug, slug === "s3_star" ? `/dashboard/audit/${config.query}` : `/dashboard/systems/${slug}/${config.query}`, { class: "node part", "data-part": slug },
      (scene) => of(scene).name, (scene) => [of(scene).title, `${of(scene).status}${of(scene).score === null ? "" : `, ${score(of(scene).score)}`}`, of(scene).reason, of(scene).waits]);
    node.append(shape);
    this.updates.push((scene) => setAll(shape, { class: `outline is-${of(scene).status}` }));
    const words = { left: [at.x - 30, at.y - 4, "end"], right: [at.x + 32, at.y - 4, "start"], below: [at.x, at.y + 40, "middle"], above: [at.x + 8, at.y - 42, "middle"], "": [at.x, at.y - 5, "middle"] }[beside];
    const [x, y, anchor] = words;
    const shown = (scene) => (of(scene).score === null ? "unknown" : score(of(scene).score));
    const [mark, from] = { middle: [x - 24, x - 14], start: [x + 6, x + 16], end: [x - 6, x - 16] }[anchor];
    if (beside) node.append(this.label(at.x, at.y + (slug === "s2" ? 4 : 10), () => (slug === "s2" ? "S2" : "S3*"), { class: "mark" }));
    node.append(
      this.label(x, y, (scene) => (beside ? of(scene).title.split(" ").slice(1).join(" ") : of(scene).title), { class: `title ${anchor}` }),
      this.health(mark, y + 14, 5.5, (scene) => of(scene).status),
      this.label(from, y + 18, shown, { class: `small ${anchor === "end" ? "end" : "start"}` }),
      this.waiting(beside ? { x: at.x + (beside === "left" ? -18 : 20), y: at.y - 20 } : { x: at.x + at.w / 2, y: at.y - at.h / 2 }, of),
    );
    return node;
  }

  waiting({ x, y }, of) {
    const text = svg("text", { x, y: y + 4, class: "wait-count" });
    const group = svg("g", { "aria-hidden": "true" }, svg("rect", { x: x - 12, y: y - 9, width: 24, height: 18, rx: 9, class: "wait" }), text);
    this.updates.push((scene) => {
      const { waiting } = of(scene);
      setAll(group, { visibility: waiting ? null : "hidden" });
      setText(text, waiting > 99 ? "99+" : waiting ?? "");
    });
    return group;
  }

  // --- The algedonic lane ---------------------------------------------------------------------------------------------
  lane(place) {
    const from = place.field ? place.field.bottom : place.rows.at(-1)?.painEnd.y ?? place.bottom;
    const { x } = place.lane;
    const path = this.flow(place.algedonic(from), "algedonic", ({ flows }) => flows.counts.algedonic ?? 0);
    const under = svg("path", { d: place.algedonic(from), class: "hit" });
    const marks = svg("g", {});
    const node = this.link("lane", `/dashboard/signals/${config.query}`, { class: "node lane" },
      (scene) => t("Algedonic lane to S5: {pains}", { pains: painWords(scene.pains) }), (scene) => [t("Algedonic lane"), t("Pain goes past everybody to S5"), t("Open pains: {pains}", { pains: painWords(scene.pains) })], under, path, marks,
      svg("text", { x: x - 6, y: place.s4.y + 6, class: "small end" }));
    setText(node.lastChild, "algedonic");
    let drawn = "";
    this.updates.push((scene) => {
      setAll(node, { class: `node lane${scene.pains.total ? " hurts" : ""}` });
      const now = painWords(scene.pains);
      if (now === drawn) return;
      drawn = now;
      const present = ["critical", "high", "medium", "low"].filter((severity) => scene.pains.counts[severity]);
      marks.replaceChildren(...present.flatMap((severity, index) => mark(x, place.s5.y + 22 + index * 24, severity, scene.pains.counts[severity])));
    });
    return node;
  }

  // --- Balances -------------------------------------------------------------------------------------------------------
  balances(place) {
    const { strip, homeostat, width, narrow } = place;
    const [a, b, c] = narrow ? [56, 186, 318] : [122, 390, 640];
    const of = (side) => ({ varieties }) => `${narrow ? "" : `${side} `}${varieties[side] === null || varieties[side] === undefined ? "unknown" : `${varieties[side].toFixed(2)} bits`}`;
    const words = ({ varieties: now }) => [t("Variety: environment {environment}, operation {operation}, management {management}", { environment: bits(now.environment), operation: bits(now.operation), management: bits(now.management) }), t("environment to operation {operational_band}", { operational_band: WORDS_OF_BANDS[now.operational_band] ?? t("not measured") }), t("operation to management {managerial_band}", { managerial_band: WORDS_OF_BANDS[now.managerial_band] ?? t("not measured") })];
    const labels = [["environment", a], ["operation", b], ["management", c]].flatMap(([side, x]) => [this.label(x, strip.y + 4, of(side), { class: "small" }), narrow ? this.label(x, strip.y + 19, () => side, { class: "small" }) : null]);
    const along = this.link("balances", `/dashboard/variety/${config.query}`, { class: "node strip" }, (scene) => words(scene).join("; "), words,
      svg("rect", { x: 4, y: strip.y - 16, width: width - 8, height: narrow ? 42 : 32, rx: 6 }), ...labels,
      this.balance((a + b) / 2, strip.y, 13, ({ varieties: now }) => ({ left: now.environment, right: now.operation, band: now.operational_band })),
      this.balance((b + c) / 2, strip.y, 13, ({ varieties: now }) => ({ left: now.operation, right: now.management, band: now.managerial_band })));
    const between = this.link("homeostat", `/dashboard/variety/${config.query}`, { class: "node" },
      ({ varieties: now }) => t("Homeostat of S3 and S4: {reason}", { reason: now.s3_s4.reason }), ({ varieties: now }) => [t("Homeostat of S3 and S4"), now.s3_s4.reason],
      svg("rect", { x: homeostat.x - 18, y: homeostat.y - 12, width: 36, height: 24, rx: 6, class: "hit" }),
      this.balance(homeostat.x, homeostat.y, 12, ({ varieties: now }) => ({ left: now.s3, right: now.s4, band: now.s3_s4.balance === null ? null : now.s3_s4.balance > 0.8 ? "adequate" : "warning" })));
    return svg("g", {}, along, between);
  }

  // A beam on its support, lower on the side that varies more; hollow where nothing was measured.
  balance(x, y, size, of) {
    const group = svg("g", { class: "balance-sign", "aria-hidden": "true" });
    const [beam, left, right] = [svg("line", {}), svg("circle", {}), svg("rect", {})];
    group.append(svg("path", { d: `M${x} ${y}l${size * 0.4} ${size * 0.75}h${-size * 0.8}z`, class: "support" }), beam, left, right);
    this.updates.push((scene) => {
      const told = of(scene);
      setAll(group, { visibility: told ? null : "hidden" });
      if (!told) return;
      const leans = lean(told.left, told.right);
      const drop = (leans ?? 0) * size * 0.5;
      setAll(group, { class: `balance-sign is-${leans === null ? "unknown" : BANDS[told.band] ?? "unknown"}` });
      setAll(beam, { x1: x - size, y1: y - drop, x2: x + size, y2: y + drop });
      setAll(left, { cx: x - size, cy: y - drop, r: size * 0.24 });
      setAll(right, { x: x + size * 0.78, y: y + drop - size * 0.22, width: size * 0.44, height: size * 0.44 });
    });
    return group;
  }

  // --- Around it ------------------------------------------------------------------------------------------------------
  drawCrumb(scene) {
    this.crumb.hidden = !this.open;
    const said = this.open ? `${scene.title}, ${scene.count}${scene.cut ? ` ${t("in sight")}` : ""}` : "";
    if (this.crumb.dataset.said === said) return;
    this.crumb.dataset.said = said;
    const back = el("a", { href: addressOf("") }, this.facts.system.name);
    back.addEventListener("click", (event) => {
      event.preventDefault();
      this.unfold("");
    });
    this.crumb.replaceChildren(back, ` › ${said}`);
  }

  // Only while it is open: a table of three hundred lines is not to be made anew at every tick unseen.
  drawTable(scene) {
    if (!this.table.closest("details").open) return;
    const lines = tableRows(scene, this.facts.window_seconds);
    const text = JSON.stringify(lines);
    if (this.table.dataset.text === text) return;
    this.table.dataset.text = text;
    this.table.replaceChildren(...lines.map(([name, status, value, said]) => el("tr", {}, el("th", { scope: "row" }, name), el("td", {}, status ? badge(status) : ""), el("td", { class: "number" }, value === null || value === undefined ? "" : score(value)), el("td", { class: "breakable" }, said))));
  }
}

function addressOf(fold) {
  const parameters = new URLSearchParams(location.search);
  parameters.delete("fold");
  if (fold) parameters.set("fold", fold);
  return `${location.pathname}${parameters.size ? `?${parameters}` : ""}`;
}

function isFold(row) {
  return row.type === "fold";
}

function hrefOf(row) {
  if (row.type === "system") return `${location.pathname}?system=${encodeURIComponent(row.slug)}`;
  if (row.type === "systems") return `/dashboard/scores/${config.query}`;
  return isFold(row) ? addressOf(row.key) : `/dashboard/units/${row.id}/${config.query}`;
}

function hintOf(row) {
  if (row.type === "system") return t("Descend into it");
  return isFold(row) ? t("Show its members") : "";
}

function statusLine(row) {
  return `${row.status}${row.score === null ? "" : ` ${score(row.score)}`}`;
}

function managementMark(row) {
  return row.state === "paused" ? "II" : row.silent ? "?" : row.type === "system" ? "S" : "";
}

function managementWords(row) {
  if (row.state === "paused") return t("paused, not collected");
  if (row.silent) return row.members > 1 ? t("{silent} of {members} do not answer", { silent: row.silent, members: row.members }) : t("does not answer");
  return row.type === "system" ? t("a metasystem of its own") : t("it answers");
}

function sidesOf(row, left, right, band) {
  if (row.type !== "unit") return null;
  return { left: row.sides?.[left] ?? null, right: row.sides?.[right] ?? null, band: row.sides?.[band] };
}

function hurts(row, pains) {
  return row.units.some((unit) => pains.sources.has(unit.name));
}

function cut(text, most) {
  return text.length > most ? `${text.slice(0, most - 1)}…` : text;
}

function arrows() {
  const head = svg("marker", { id: "model-arrow", viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 7, markerHeight: 7, orient: "auto-start-reverse", markerUnits: "userSpaceOnUse" }, svg("path", { d: "M0 0.6L7.5 4L0 7.4z" }));
  return svg("defs", {}, head);
}

function boxShape({ x, y, w, h }) {
  return svg("rect", { x: x - w / 2, y: y - h / 2, width: w, height: h, rx: 3 });
}

// *way* 1: the point below (S2), -1: above (S3*).
function triangle({ x, y, size }, way) {
  return svg("path", { d: `M${x - size} ${y - way * size * 0.8}H${x + size}L${x} ${y + way * size * 0.95}Z` });
}

// Operations touch each other: the wavy line between neighbours.
function squiggle(a, b) {
  const [x, from, to] = [a.x - a.r * 0.35, a.y + a.r + 3, b.y - b.r - 3];
  const step = (to - from) / 6;
  return `M${x} ${from}${Array.from({ length: 6 }, (_, index) => `q${index % 2 ? -5 : 5} ${step / 2} 0 ${step}`).join("")}`;
}

function mark(x, y, severity, count) {
  const status = { critical: "unhealthy", high: "degraded", medium: "medium", low: "low" }[severity];
  const shape = status === "medium" ? `M${x} ${y - 8}L${x + 8} ${y}L${x} ${y + 8}L${x - 8} ${y}Z` : status === "low" ? `M${x - 8} ${y - 2.5}h16v5h-16z` : healthShape(status, x, y, 8);
  const text = svg("text", { x: x - 13, y: y + 4, class: "small end strong" });
  setText(text, short(count));
  return [svg("path", { d: shape, class: `pain-mark severity-${severity}` }), text];
}
