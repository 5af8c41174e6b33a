"""Looking for what is stuck, every ten seconds: evidence is gathered, judged by pure functions, and told."""

from __future__ import annotations

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from django.db import transaction

from subsystems.algedonic.queries import CAUSE
from subsystems.algedonic.services import end_by_itself, try_to_raise
from subsystems.fleets import pauses
from subsystems.fleets.detectors import consumers, lost, redelivery, stalled, starvation
from subsystems.fleets.detectors.base import FRESH_SECONDS, Found, Hearing, Kind, Patience, Verdict
from subsystems.fleets.detectors.stalled import Watched
from subsystems.fleets.models import (
    BlindSpell,
    DetectionRules,
    ExpectedWorkers,
    Listening,
    Redelivery,
    StuckFinding,
    Task,
)
from subsystems.fleets.snapshots import QueueSeen
from subsystems.fleets.states import FINAL, State
from subsystems.fleets.watching import queue_states, worker_states
from subsystems.kernel.severity import Severity
from subsystems.messaging.channels import Party
from subsystems.messaging.live import push
from subsystems.messaging.slots import slot_once
from subsystems.s1_operations import services as s1
from subsystems.s1_operations.adapters.base import FleetRef
from subsystems.s1_operations.adapters.celery_link import link_errors, watching_app
from subsystems.s1_operations.models import Fleet, Unit
from subsystems.s1_operations.queries import broker_url
from subsystems.s1_operations.sealing import CannotOpen

logger = logging.getLogger(__name__)
PERIOD_SECONDS = 10
STUCK = "stuck"  # the cause of every such pain
TOLD_FROM = 0.6  # confidence: what is less sure is listed and raises no pain
LOOK_BACK_SECONDS = 2 * 3600.0  # tasks that were lost before are not found anew
MAX_OPEN = 2_000  # tasks of one fleet that one look judges
MAX_STARTED = 1_000
KEEP_FINDINGS = timedelta(days=30)
SEVERITIES = {
    Kind.STALLED_WORKER: Severity.HIGH,
    Kind.QUEUE_WITHOUT_CONSUMER: Severity.HIGH,
    Kind.MISSING_WORKERS: Severity.MEDIUM,
    Kind.STARVED_PRIORITY: Severity.MEDIUM,
    Kind.LOST_TASKS: Severity.HIGH,
    Kind.REDELIVERY_LOOP: Severity.HIGH,
}
_TASK_COLUMNS = ("uuid", "name", "queue", "state", "changed_at", "sent_at", "eta_at", "expires_at", "worker")


@dataclass
class Observed:
    """Everything that is known of one fleet at one moment."""

    fleet: Fleet
    now: float
    patience: Patience
    workers: list[Watched] = field(default_factory=list)
    queues: dict[str, QueueSeen] = field(default_factory=dict)
    declared: list[consumers.Expected] = field(default_factory=list)
    hearing: Hearing = field(default_factory=Hearing)
    goodbyes: dict[str, float] = field(default_factory=dict)
    paused: frozenset[str] = frozenset()  # queues that are not to be read now

    @property
    def answers(self) -> bool:
        """Whether the fleet's broker answered lately."""
        seen = [queue.observed_at for queue in self.queues.values()] + [w.seen.observed_at for w in self.workers]
        return not self.fleet.last_error and bool(seen) and self.now - max(seen) < FRESH_SECONDS


def detect(*, now: datetime) -> int:
    """Look for what is stuck, once per slot; return how many findings are open, or -1 when another has the slot."""
    with slot_once("detect", PERIOD_SECONDS, now=now) as slot:
        return -1 if slot is None else look(now=now)


def look(*, now: datetime, patience: Patience | None = None, fleets: Iterable[Fleet] | None = None) -> int:
    """Look at every fleet that is watched (or at *fleets*); return how many findings are open.

    *patience* replaces what each fleet's rules say.
    """
    chosen = list(Fleet.objects.filter(enabled=True).select_related("listening")) if fleets is None else list(fleets)
    rules = DetectionRules.objects.in_bulk([fleet.pk for fleet in chosen])
    opened = 0
    for fleet, observed in _observe(chosen, rules, patience, now):
        left_out = set(rules[fleet.pk].left_out) if fleet.pk in rules else set()
        verdicts = {kind: verdict for kind, verdict in _judge(observed).items() if kind not in left_out}
        opened += settle(fleet, verdicts, left_out, now=now)
    return opened


# --- What is known ----------------------------------------------------------------------------------------------------
def _observe(
    fleets: Sequence[Fleet], rules: Mapping[int, DetectionRules], patience: Patience | None, now: datetime
) -> Iterable[tuple[Fleet, Observed]]:
    keys = [fleet.pk for fleet in fleets]
    workers, queues = worker_states(keys), queue_states(keys)
    units = {
        (unit.fleet_id, unit.name): unit
        for unit in Unit.objects.filter(fleet_id__in=keys, kind="celery_worker").only(
            "fleet_id", "name", "state", "last_seen_at", "said_goodbye_at"
        )
    }
    expected = list(ExpectedWorkers.objects.filter(fleet_id__in=keys))
    spells = list(BlindSpell.objects.filter(fleet_id__in=keys, lost=True, ended_at__gte=now - timedelta(hours=25)))
    listening = Listening.objects.in_bulk(keys)
    paused = pauses.paused(keys)
    for fleet in fleets:
        found = Observed(fleet, now.timestamp(), patience or patience_of(rules.get(fleet.pk)))
        found.paused = paused.get(fleet.pk, frozenset())
        found.queues = {name: seen for (key, name), seen in queues.items() if key == fleet.pk}
        for (key, name), seen in workers.items():
            unit = units.get((fleet.pk, f"{fleet.name}/{name}"))
            if key != fleet.pk or unit is None or unit.state == Unit.State.PAUSED:
                continue
            heard = unit.last_seen_at.timestamp() if unit.last_seen_at else 0.0
            alive_at = max(seen.observed_at, heard)
            left_at = unit.said_goodbye_at.timestamp() if unit.said_goodbye_at else None
            left = left_at is not None and left_at >= alive_at - 1.0
            found.workers.append(Watched(seen, alive_at, said_goodbye=left))
            if left and left_at is not None:
                found.goodbyes[name] = left_at
        found.declared = [
            consumers.Expected(each.pk, each.role, each.queue, each.workers, _stamp(each.short_since))
            for each in expected
            if each.fleet_id == fleet.pk and each.queue not in found.paused
        ]
        found.hearing = hearing_of(listening.get(fleet.pk), [s for s in spells if s.fleet_id == fleet.pk])
        yield fleet, found


def patience_of(rules: DetectionRules | None) -> Patience:
    """Return how long a fleet's rules wait; without any, the usual times."""
    if rules is None:
        return Patience()
    return Patience(
        rules.stalled_seconds, rules.unread_seconds, rules.starved_seconds, rules.lost_seconds, rules.redeliveries
    )


def hearing_of(listening: Listening | None, spells: Sequence[BlindSpell]) -> Hearing:
    """Return how well a fleet is heard."""
    if listening is None:
        return Hearing()
    return Hearing(
        since=_stamp(listening.since),
        written_at=_stamp(listening.written_at),
        hears_sending=listening.hears_sending,
        lost=tuple((spell.began_at.timestamp(), spell.ended_at.timestamp()) for spell in spells),
        telling={name: worker.get("tells_tasks") for name, worker in listening.workers.items()},
        missed=listening.missed,
    )


def _stamp(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()


# --- Judging ----------------------------------------------------------------------------------------------------------
def _judge(observed: Observed) -> dict[Kind, Verdict]:
    now, patience = observed.now, observed.patience
    missing, short = consumers.missing(
        observed.workers, observed.declared, patience, now=now, observed=observed.answers
    )
    _note_short(observed, short)
    pending, in_hand = _open_tasks(observed)
    _notice_declared(observed)
    read = {name: queue for name, queue in observed.queues.items() if name not in observed.paused}
    return {
        Kind.STALLED_WORKER: _stalled(observed),
        Kind.QUEUE_WITHOUT_CONSUMER: consumers.without_consumer(
            read, observed.declared, patience, now=now, waiting_since=_waiting_since(pending)
        ),
        Kind.MISSING_WORKERS: missing,
        Kind.STARVED_PRIORITY: starvation.starved(
            _lines(observed, pending), observed.queues, observed.hearing, patience, now=now
        ),
        Kind.LOST_TASKS: lost.lost([*pending, *in_hand], _evidence(observed, in_hand), patience, now=now),
        Kind.REDELIVERY_LOOP: redelivery.looping(_redelivered(observed), observed.hearing, patience, now=now),
    }


def _stalled(observed: Observed) -> Verdict:
    """Judge workers; who seems deaf is asked whether it only keeps to a rate limit."""
    verdict = stalled.stalled(observed.workers, observed.queues, observed.patience, now=observed.now)
    deaf = [found.subject for found in verdict.found if found.evidence["how"] == stalled.DEAF]
    if not deaf:
        return verdict
    limited = rate_limited(observed.fleet, deaf)
    asked = [replace(w, rate_limited=w.seen.name in limited) for w in observed.workers]
    return stalled.stalled(asked, observed.queues, observed.patience, now=observed.now)


def _note_short(observed: Observed, short: Mapping[int, float | None]) -> None:
    before = {each.id: each.short_since for each in observed.declared}
    changed = [ExpectedWorkers(pk=key, short_since=since) for key, since in short.items() if since != before.get(key)]
    if changed:
        ExpectedWorkers.objects.bulk_update(changed, ["short_since"])


def _open_tasks(observed: Observed) -> tuple[list[lost.Open], list[lost.Open]]:
    """Return the tasks that wait and may be lost or starving, and those that workers have."""
    if not observed.hearing.hears(observed.now):
        return [], []
    rows = Task.objects.filter(fleet=observed.fleet, seen_at__gte=observed.now - LOOK_BACK_SECONDS)
    soonest = min(10.0, observed.patience.lost_seconds, observed.patience.starved_seconds)
    pending = rows.filter(state=State.PENDING, seen_at__lte=observed.now - soonest).order_by("seen_at")
    # Apart, so that those of a long backlog do not hide those that are lost.
    deep = [name for name, queue in observed.queues.items() if queue.ready]
    waiting = pending.filter(queue__in=deep).values_list(*_TASK_COLUMNS)[:MAX_OPEN]
    nowhere = pending.exclude(queue__in=deep).values_list(*_TASK_COLUMNS)[:MAX_OPEN]
    in_hand = rows.filter(state__in=[State.RECEIVED, State.STARTED]).order_by("-seen_at")
    return (
        [_as_open(*row) for row in (*waiting, *nowhere)],
        [_as_open(*row) for row in in_hand.values_list(*_TASK_COLUMNS)[:MAX_OPEN]],
    )


def _as_open(
    uuid: str,
    name: str,
    queue: str,
    state: int,
    changed: datetime,
    sent: datetime | None,
    eta: datetime | None,
    expires: datetime | None,
    worker: str,
) -> lost.Open:
    return lost.Open(
        uuid,
        name,
        queue,
        state != State.PENDING,
        changed.timestamp(),
        _stamp(sent),
        _stamp(eta),
        _stamp(expires),
        worker,
    )


def _evidence(observed: Observed, in_hand: Sequence[lost.Open]) -> lost.Evidence:
    received: dict[str, float] = {}
    for task in in_hand:
        received[task.queue] = max(received.get(task.queue, 0.0), task.changed_at)
    holders = {
        worker.seen.name: lost.Holder(
            worker.alive_at,
            worker.seen.started_at,
            observed.goodbyes.get(worker.seen.name),
            frozenset(each.id for each in worker.seen.active if each.acknowledged),
        )
        for worker in observed.workers
    }
    keeps = any(not queue.counted for queue in observed.queues.values())
    return lost.Evidence(observed.queues, holders, observed.hearing, received, keeps_unacked=keeps)


def _lines(observed: Observed, pending: Sequence[lost.Open]) -> list[starvation.Line]:
    """Return the queues in which tasks wait for long, and how many that came later were started."""
    old: dict[str, list[lost.Open]] = defaultdict(list)
    for task in pending:
        due = max(task.sent_at or task.changed_at, task.not_before or 0.0)
        expired = task.expires_at is not None and task.expires_at < observed.now
        if task.queue and not expired and observed.now - due >= observed.patience.starved_seconds:
            old[task.queue].append(task)
    if not old:
        return []
    oldest = {queue: min(task.sent_at or task.changed_at for task in tasks) for queue, tasks in old.items()}
    later = _started_since(observed, oldest)
    return [
        starvation.Line(
            queue,
            oldest[queue],
            len(tasks),
            later[queue],
            [task.uuid for task in tasks[:20]],
            [task.name for task in tasks[:200]],
        )
        for queue, tasks in old.items()
    ]


def _started_since(observed: Observed, oldest: Mapping[str, float]) -> dict[str, int]:
    """Return by queue how many tasks started lately that came after the oldest which still waits."""
    patience = observed.patience.starved_seconds
    since = observed.now - patience
    seen_from = max(min(oldest.values()), observed.now - 10 * patience)
    started = Task.objects.filter(
        fleet=observed.fleet, queue__in=list(oldest), seen_at__gte=seen_from, started_at__gte=since
    )
    later: dict[str, int] = defaultdict(int)
    for queue, seen_at in started.order_by("-seen_at").values_list("queue", "seen_at")[:MAX_STARTED]:
        later[queue] += seen_at.timestamp() > oldest[queue]
    return later


def _redelivered(observed: Observed) -> list[redelivery.Redelivered]:
    since = observed.now - redelivery.QUIET_SECONDS
    rows = list(Redelivery.objects.filter(fleet=observed.fleet, last_at__gte=since)[:MAX_OPEN])
    if not rows:
        return []
    ended = set(
        Task.objects.filter(fleet=observed.fleet, uuid__in=[row.uuid for row in rows], state__gte=FINAL)
        .exclude(state=State.REJECTED)  # and perhaps put back
        .values_list("uuid", flat=True)
    )
    return [
        redelivery.Redelivered(
            row.uuid, row.name, row.count, row.first_at.timestamp(), row.last_at.timestamp(), row.worker,
            finished=row.uuid in ended,
        )
        for row in rows
    ]  # fmt: skip


def _waiting_since(pending: Sequence[lost.Open]) -> dict[str, float]:
    found: dict[str, float] = {}
    for task in pending:
        since = max(task.sent_at or task.changed_at, task.not_before or 0.0)
        found[task.queue] = min(found.get(task.queue, since), since)
    return found


def _notice_declared(observed: Observed) -> None:
    """Let the queues be measured that somebody declared."""
    new = {each.queue for each in observed.declared if each.queue} - observed.queues.keys()
    if new and not observed.fleet.own:
        s1.notice_queues(observed.fleet, sorted(new))


# --- Asking -----------------------------------------------------------------------------------------------------------
ASK_AGAIN_SECONDS = 300.0
_limited: dict[tuple[int, str], tuple[float, bool]] = {}
_limited_lock = threading.Lock()


def rate_limited(fleet: Fleet, names: Sequence[str]) -> set[str]:
    """Return which workers have tasks with a rate limit; asked once in five minutes."""
    now = time.monotonic()
    with _limited_lock:
        known = {name: _limited[fleet.pk, name] for name in names if (fleet.pk, name) in _limited}
    ask = [name for name in names if name not in known or now - known[name][0] > ASK_AGAIN_SECONDS]
    answers = _ask_limits(fleet, ask) if ask else {}
    with _limited_lock:
        if len(_limited) > 2_000:
            _limited.clear()
        _limited.update({(fleet.pk, name): (now, told) for name, told in answers.items()})
    return {name for name in names if answers.get(name, known.get(name, (0.0, False))[1])}


def _ask_limits(fleet: Fleet, names: Sequence[str]) -> dict[str, bool]:
    try:
        app = watching_app(FleetRef(fleet.pk, fleet.name, broker_url(fleet), own=fleet.own))
    except CannotOpen:
        return {}
    inspect = app.control.inspect(destination=list(names), timeout=1.0, limit=len(names))
    try:
        answers = inspect.registered("rate_limit") or {}
    except link_errors(app) as error:
        logger.info("Workers of %s could not be asked for rate limits: %s", fleet.name, type(error).__name__)
        return {}
    return {
        name: any("rate_limit=" in str(task) and "rate_limit=None" not in str(task) for task in tasks)
        for name, tasks in answers.items()
        if isinstance(tasks, list)
    }


# --- Telling ----------------------------------------------------------------------------------------------------------
def settle(fleet: Fleet, verdicts: Mapping[Kind, Verdict], left_out: Iterable[str] = (), *, now: datetime) -> int:
    """Open what was found, renew what still is, end what is no more; return how many findings of *fleet* are open.

    What could not be judged stays as it was. Twice is safe: a finding is open once.
    """
    open_rows = {(row.kind, row.subject): row for row in StuckFinding.objects.filter(fleet=fleet, ended_at=None)}
    standing = 0
    for kind, verdict in verdicts.items():
        for found in verdict.found:
            row = open_rows.pop((kind.value, found.subject[:420]), None)
            _renew(fleet, row, found, now) if row else _open(fleet, found, now)
            standing += 1
        for key, row in list(open_rows.items()):
            if row.kind == kind and (verdict.blind or row.subject in verdict.unknown):
                del open_rows[key]
                standing += 1
    for row in open_rows.values():
        end(row, now=now, why="Not looked for any more." if row.kind in set(left_out) else "It is so no more.")
    return standing


@transaction.atomic
def _open(fleet: Fleet, found: Found, now: datetime) -> None:
    row, made = StuckFinding.objects.get_or_create(
        fleet=fleet,
        kind=found.kind.value,
        subject=found.subject[:420],
        ended_at=None,
        defaults={
            "summary": found.summary[:1_000],
            "confidence": found.confidence,
            "evidence": dict(found.evidence),
            "since": datetime.fromtimestamp(found.since, UTC),
            "found_at": now,
            "seen_at": now,
        },
    )
    if made:
        _raise(fleet, row)
        _tell(fleet, row)


def _renew(fleet: Fleet, row: StuckFinding, found: Found, now: datetime) -> None:
    row.summary, row.confidence, row.evidence = found.summary[:1_000], found.confidence, dict(found.evidence)
    row.seen_at = now
    with transaction.atomic():
        row.save(update_fields=["summary", "confidence", "evidence", "seen_at"])
        if row.signal_id is None:
            _raise(fleet, row)  # surer by now, or a limit refused it before
    _tell(fleet, row)


def _raise(fleet: Fleet, row: StuckFinding) -> None:
    if row.confidence < TOLD_FROM:
        return
    signal = try_to_raise(
        type="pain",
        source=f"{fleet.name}/{row.subject}"[:200],
        severity=SEVERITIES[Kind(row.kind)],
        data={
            CAUSE: STUCK, "kind": row.kind, "finding": row.pk, "fleet": fleet.pk, "subject": row.subject,
            "confidence": row.confidence, "evidence": row.evidence,
        },
        system_id=fleet.system_id,
        description=row.summary,
        origin=Party.S1,
    )  # fmt: skip
    if signal is not None:
        row.signal = signal
        row.save(update_fields=["signal"])


def end(row: StuckFinding, *, now: datetime, why: str) -> bool:
    """End a finding and its pain; return False when it was over already."""
    with transaction.atomic():
        if not StuckFinding.objects.filter(pk=row.pk, ended_at=None).update(ended_at=now, ended_why=why):
            return False
        row.ended_at, row.ended_why = now, why
        if row.signal is not None:
            end_by_itself(row.signal, now=now, why=why)
    _tell(row.fleet, row)
    return True


def _tell(fleet: Fleet, row: StuckFinding) -> None:
    body = {"kind": row.kind, "subject": row.subject, "summary": row.summary, "open": row.ended_at is None}
    transaction.on_commit(lambda: push(fleet.system_id, "finding", str(row.pk), body))


def forget_findings(*, now: datetime) -> int:
    """Delete findings that ended a month ago; return how many."""
    return StuckFinding.objects.filter(ended_at__lt=now - KEEP_FINDINGS).delete()[0]
