// The live connection: a snapshot first, then numbered changes. A hole in the numbers, a new connection or a long
// silence asks for a new snapshot, so what is shown never drifts from the truth without saying so.
//
// What a page may rely on. `new Live(view)` opens it; `live.on(kind, listener)` hears of it; `live.data` is what is known:
//
//   system, viability, tick   as in the API; null until they are known
//   units                     Map by id (text) of the units IN SIGHT, each with `latest`: {metric: [at, value]}
//   alerts, signals           Map by id of the open ones, the 200 most urgent of each; `totals` counts all
//   fleets                    Map by id
//   view                      {units, matching, cut}: how many units are in sight, how many the view matches, whether that
//                             is more (then filter by `live.look`, not here)
//   totals.units              {all, health: {healthy, degraded, unhealthy, unknown}, states: {active, silent, …},
//                             kinds: {host, …}, fleets: [{kind, fleet, units, health, silent, active}],
//                             groups: [{kind, fleet, role, units, health, silent}]}: all units of the system; `fleets` has
//                             one line for each kind that a fleet has, `groups` folds by kind, fleet and role
//                             (`shop/celery@web-*`), the largest first. Where roles are more than 200, those that differ in
//                             numbers are one (`shop/api-*@host*`) and the smallest one of the role `*`: nothing is left out
//   totals.alerts             {all, states: {pending, firing, …}, firing: {critical, warning, info}}
//   totals.signals            {all, pain: {critical, high, medium, low}}
//   channels                  {command, coordination, audit, resource_bargain, algedonic, homeostat}, each
//                             {per_second, open}: messages of the last 10 s per second, and how many are not handled yet
//
// The view (all optional): {units: 200, queues: 15, q: "part of a name", kind: "host", ids: [1, 2]} is the worst `units`
// that match and the deepest `queues`; `{units: 0}` none of them, `{ids: […]}` just these. A system with no more units than
// that is shown whole. `live.look(view)` changes it; a snapshot follows.
//
// Kinds: `snapshot` (all of `data` is new), `update` (something changed: draw; at most 4 times a second unless it is
// urgent), `totals` (`totals` and `channels` are new: with each tick and when alerts or signals change), `state`, `pause`,
// and one per change with {key, body}: unit, samples, assessment, alert, tick, fleet, signal, action, recommendation,
// finding, tasks, variety, coordination, intelligence, pattern, bargain, environment.
//
// `live.condition` is one word for what to tell the reader: connecting, live, stale (connected, but no collection was heard
// of for 15 s), lost (trying again), paused, refused. `live.pause()` holds back what comes in and `live.resume()` applies it;
// `pause` tells both with {paused, waiting}.
import { config } from "./config.js";
import { epoch } from "./format.js";

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 15000;
const QUIET_MS = 20000; // a tick comes every 5 s; longer silence is looked into
const ANSWER_MS = 6000;
const UPDATE_MS = 250; // what eyes can follow
const STALE_SECONDS = 15;
const MOST_HELD = 2000; // messages while paused; beyond that a snapshot is shorter
const UNHURRIED = new Set(["samples", "tasks", "environment"]);
const OVER = ["resolved", "false_alarm"]; // signals that leave the list

export class Live extends EventTarget {
  constructor(view = {}) {
    super();
    this.view = view;
    this.state = "connecting";
    this.seq = null;
    this.offset = 0; // server's clock minus ours, in seconds
    this.heardAt = Date.now();
    this.data = { system: null, viability: null, units: new Map(), alerts: new Map(), signals: new Map(), fleets: new Map(), tick: null, totals: null, channels: null, view: null };
    this.holes = 0;
    this.tries = 0;
    this.held = null;
    this.toldAt = 0;
    document.addEventListener("DOMContentLoaded", () => this.open()); // when all scripts of the page hear it
    setInterval(() => this.watch(), 5000);
    addEventListener("online", () => this.hurry());
    document.addEventListener("visibilitychange", () => document.hidden || this.watch());
  }

  now() {
    return Date.now() / 1000 + this.offset;
  }

  get paused() {
    return this.held !== null;
  }

  get condition() {
    if (this.state !== "live") return this.state;
    if (this.paused) return "paused";
    return (tickAge(this) ?? 0) > STALE_SECONDS ? "stale" : "live";
  }

  open() {
    clearTimeout(this.retry);
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    const since = this.seq === null || this.held?.length ? {} : { since: this.seq };
    const query = new URLSearchParams({ system: config.system, ...this.view, ...since });
    const socket = new WebSocket(`${scheme}//${location.host}/ws/dashboard/?${query}`);
    this.socket = socket;
    this.awaiting = true;
    this.askedAt = Date.now();
    socket.onmessage = (event) => socket === this.socket && this.receive(JSON.parse(event.data));
    socket.onclose = (event) => socket === this.socket && this.lose(event.code);
  }

  lose(code) {
    this.socket = null;
    if (code === 4401 && this.seq !== null && !config.wall) location.reload(); // logged out meanwhile: the server shows the login
    this.setState(code === 4401 || code === 4403 ? "refused" : "lost");
    if (this.state === "refused") return;
    const wait = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** this.tries);
    this.tries += 1;
    this.retry = setTimeout(() => this.open(), wait * (0.5 + Math.random() / 2));
  }

  hurry() {
    this.tries = 0;
    if (!this.socket && this.state !== "refused") this.open();
  }

  // After a sleep a socket may look open and be dead: ask, and if nobody answers, start anew.
  watch() {
    if (!this.socket) return;
    if (this.awaiting && Date.now() - this.askedAt > ANSWER_MS) {
      const dead = this.socket;
      this.lose(0);
      dead.close();
    } else if (!this.awaiting && Date.now() - this.heardAt > QUIET_MS) this.ask();
  }

  ask(message = { type: "snapshot" }) {
    if (this.socket?.readyState !== WebSocket.OPEN) return; // a new connection asks by itself
    if (this.awaiting && message.type === "snapshot") return;
    this.awaiting = true;
    this.askedAt = Date.now();
    this.socket.send(JSON.stringify(message));
  }

  // Have other units in sight.
  look(view) {
    this.view = view;
    this.seq = null; // what is known is of another view: a connection that is lost meanwhile starts anew
    this.ask({ type: "view", ...view });
  }

  pause() {
    this.held ??= [];
    this.tell("pause", { paused: true, waiting: this.held.length });
    this.tell("state", this.state);
  }

  resume() {
    const held = this.held ?? [];
    this.held = null;
    if (held.length > MOST_HELD) this.ask();
    else for (const message of held) this.hear(message);
    this.tell("pause", { paused: false, waiting: 0 });
    this.tell("state", this.state);
  }

  receive(message) {
    this.heardAt = Date.now();
    if (!this.held) {
      this.hear(message);
      return;
    }
    if (message.type === "snapshot") this.held.length = 0; // it has what was held
    if (this.held.length <= MOST_HELD) this.held.push(message);
    this.awaiting = false;
    this.tries = 0;
    this.setState("live");
    this.tell("pause", { paused: true, waiting: this.held.length });
  }

  hear(message) {
    if (message.type === "snapshot") this.take(message);
    else if (message.type === "changes") this.follow(message);
    else if (message.type === "totals") this.count(message);
  }

  take({ seq, body }) {
    this.seq = seq;
    this.come();
    this.offset = body.now ? body.now - Date.now() / 1000 : 0;
    const byId = (list) => new Map(list.map((item) => [String(item.id), item]));
    this.data = {
      system: body.system, viability: body.viability, tick: body.tick, totals: body.totals ?? null, channels: body.channels ?? null, view: body.view ?? null,
      units: byId(body.units), alerts: byId(body.alerts), signals: byId(body.signals ?? []), fleets: byId(body.fleets),
    };
    this.setState("live");
    this.tell("snapshot", body);
    this.update(true);
  }

  // The numbers from `from` to `seq` in one message. One that does not join on to what is known shows a hole.
  follow({ from, seq, changes }) {
    if (this.seq === null || seq < this.seq || from > this.seq + 1) {
      if (this.seq !== null && from > this.seq + 1) this.fall();
      return;
    }
    this.come();
    this.setState("live");
    if (seq === this.seq) return;
    for (const change of changes) this.apply(change);
    this.seq = seq;
    this.update(changes.some(({ kind }) => !UNHURRIED.has(kind)));
    this.refill();
  }

  count({ seq, body: { channels, ...totals } }) {
    if (this.seq === null) return;
    if (seq > this.seq) {
      this.fall(); // the changes before it went missing
      return;
    }
    this.data.totals = totals;
    this.data.channels = channels;
    this.tell("totals", this.data.totals);
    this.update(false);
  }

  fall() {
    this.holes += 1;
    this.ask();
  }

  come() {
    this.awaiting = false;
    this.tries = 0;
  }

  // Units have left a view that others would fill.
  refill() {
    const { view, units } = this.data;
    if (view?.cut && units.size < view.units * 0.9) this.ask();
  }

  apply({ kind, key, body }) {
    if (kind === "samples") {
      const unit = this.data.units.get(key);
      if (unit) takeSamples(unit, body);
    } else if (kind === "unit") this.put(this.data.units, key, body, body?.state === "gone");
    else if (kind === "alert") this.put(this.data.alerts, key, body, body?.state === "resolved");
    else if (kind === "signal") this.put(this.data.signals, key, body, OVER.includes(body?.state));
    else if (kind === "fleet") this.put(this.data.fleets, key, body, false);
    else if (kind === "assessment") this.data.viability = body;
    else if (kind === "tick") this.hearTick(body);
    this.tell(kind, { key, body });
  }

  // What has just been collected and is not of just now: the clock of this device was put, so the server's is asked again.
  hearTick(tick) {
    this.data.tick = tick;
    if (Math.abs(this.now() - epoch(tick.at)) > STALE_SECONDS) this.ask();
  }

  put(map, key, body, over) {
    if (!body || over) map.delete(key);
    else map.set(key, { ...map.get(key), ...body });
  }

  setState(state) {
    if (this.state === state) return;
    this.state = state;
    this.tell("state", state);
  }

  update(urgent) {
    const wait = this.toldAt + UPDATE_MS - Date.now();
    if (urgent || wait <= 0) {
      clearTimeout(this.drawing);
      this.drawing = null;
      this.toldAt = Date.now();
      this.tell("update");
    } else this.drawing ??= setTimeout(() => this.update(true), wait);
  }

  tell(kind, detail) {
    this.dispatchEvent(new CustomEvent(kind, { detail }));
  }

  on(kind, listener) {
    this.addEventListener(kind, (event) => listener(event.detail));
  }
}

// Samples are a sign of life, unless what they say is that there was none: `worker_up` 0, `http_up` 0.
function takeSamples(unit, samples) {
  unit.latest = { ...unit.latest, ...samples };
  const lines = Object.entries(samples);
  if (lines.some(([name, [, value]]) => name.endsWith("_up") && value === 0)) return;
  unit.last_seen_at = Math.max(epoch(unit.last_seen_at) ?? 0, ...lines.map(([, [at]]) => epoch(at)));
}

// A broker that is in no trouble has answered in the last cycle; only a change of that is told.
export function answeredAt(live, fleet) {
  const at = epoch(fleet.connected_at);
  return at === null || fleet.last_error || !fleet.enabled ? at : Math.max(at, epoch(live.data.tick?.at) ?? 0);
}

export function tickAge(live) {
  const at = epoch(live.data.tick?.at);
  return at === null ? null : Math.max(0, live.now() - at);
}

// What the server counts of *kind* in each fleet: whoever counts what is in sight counts too few where there is more.
export function countsOf(live, kind) {
  return (live.data.totals?.units.fleets ?? []).filter((line) => line.kind === kind);
}

export function countsIn(live, kind, fleet) {
  return countsOf(live, kind).find((line) => line.fleet === fleet.name) ?? { units: 0, active: 0, silent: 0 };
}

// The names of the fleets that are the platform's own.
export function ownFleets(live) {
  return new Set([...live.data.fleets.values()].filter((fleet) => fleet.own).map((fleet) => fleet.name));
}
