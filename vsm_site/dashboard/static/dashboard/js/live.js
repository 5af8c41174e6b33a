// The live connection: a snapshot first, then numbered changes. A hole in the numbers, a new connection or a long
// silence asks for a new snapshot, so what is shown never drifts from the truth without saying so.
import { config } from "./config.js";
import { epoch } from "./format.js";

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 15000;
const HOLE_MS = 300; // two processes may number and send in different order: a hole gets this long to close
const QUIET_MS = 20000; // a tick comes every 5 s; longer silence is looked into
const ANSWER_MS = 6000;
const OVER = ["resolved", "false_alarm"]; // signals that leave the list

export class Live extends EventTarget {
  constructor() {
    super();
    this.state = "connecting";
    this.seq = null;
    this.early = new Map();
    this.offset = 0; // server's clock minus ours, in seconds
    this.heardAt = Date.now();
    this.data = { system: null, viability: null, units: new Map(), alerts: new Map(), signals: new Map(), fleets: new Map(), tick: null };
    this.tries = 0;
    this.open();
    setInterval(() => this.watch(), 5000);
    addEventListener("online", () => this.hurry());
    document.addEventListener("visibilitychange", () => document.hidden || this.watch());
  }

  now() {
    return Date.now() / 1000 + this.offset;
  }

  open() {
    clearTimeout(this.retry);
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(`${scheme}//${location.host}/ws/dashboard/?system=${encodeURIComponent(config.system)}`);
    this.socket = socket;
    this.awaiting = true;
    this.askedAt = Date.now();
    socket.onmessage = (event) => socket === this.socket && this.hear(JSON.parse(event.data));
    socket.onclose = (event) => socket === this.socket && this.lose(event.code);
  }

  lose(code) {
    this.socket = null;
    if (code === 4401 && this.seq !== null) location.reload(); // logged out meanwhile: the server shows the login
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

  ask() {
    if (this.awaiting || this.socket?.readyState !== WebSocket.OPEN) return;
    this.awaiting = true;
    this.askedAt = Date.now();
    this.socket.send(JSON.stringify({ type: "snapshot" }));
  }

  hear(message) {
    this.heardAt = Date.now();
    if (message.type === "snapshot") this.take(message);
    else if (message.type === "changes" && !this.awaiting) this.follow(message);
  }

  take({ seq, body }) {
    this.seq = seq;
    this.early.clear();
    this.awaiting = false;
    this.tries = 0;
    this.offset = body.now ? body.now - Date.now() / 1000 : 0;
    const byId = (list) => new Map(list.map((item) => [String(item.id), item]));
    this.data = {
      system: body.system, viability: body.viability, tick: body.tick,
      units: byId(body.units), alerts: byId(body.alerts), signals: byId(body.signals ?? []), fleets: byId(body.fleets),
    };
    this.setState("live");
    this.tell("snapshot", body);
    this.tell("update");
  }

  follow(message) {
    if (message.seq <= this.seq) return;
    this.early.set(message.seq, message.changes);
    let applied = false;
    for (let next = this.seq + 1; this.early.has(next); next += 1) {
      for (const change of this.early.get(next)) this.apply(change);
      this.early.delete(next);
      this.seq = next;
      applied = true;
    }
    if (applied) this.tell("update");
    clearTimeout(this.hole);
    if (this.early.size) this.hole = setTimeout(() => this.early.size && this.ask(), HOLE_MS);
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
    else if (kind === "tick") this.data.tick = body;
    this.tell(kind, { key, body });
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
