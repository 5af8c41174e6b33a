"""Taking in what is told of operations, merging it, and measuring how varied it all is."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np
from django.db import connection, transaction
from django.db.models import Max
from django.utils import timezone

from subsystems.algedonic.queries import CAUSE, open_pains
from subsystems.algedonic.services import end_by_itself, settle, try_to_raise
from subsystems.algedonic.states import ACKNOWLEDGE, FALSE_ALARM, RESOLVE, RESPOND
from subsystems.event_log.models import Event
from subsystems.event_log.services import append
from subsystems.event_log.streams import Stream
from subsystems.kernel.errors import TransientError
from subsystems.kernel.severity import Severity
from subsystems.kernel.telemetry_events import emit
from subsystems.messaging.channels import Party
from subsystems.messaging.live import push
from subsystems.messaging.slots import slot_once
from subsystems.recursion.models import System
from subsystems.recursion.queries import root_system
from subsystems.telemetry import requisite
from subsystems.telemetry.crdt import GCounter
from subsystems.telemetry.queries import window
from subsystems.telemetry.recorders import MAX_OPERATIONS, OTHER, OperationRecorder
from subsystems.variety import batches, measuring, queries, slowness
from subsystems.variety.batches import Kept, OfUnit, Pushed
from subsystems.variety.measuring import MANAGEMENT, PAIRS, SUBJECTS, Seen, Watch, Windows, packed, unpacked
from subsystems.variety.models import Batch, EventCursor, Operation, Reading, Subject, UnitVariety, VarietyPolicy
from subsystems.variety.rules import Rules, check

logger = logging.getLogger(__name__)
MERGE_SECONDS, READ_SECONDS = 10, 30
LAG_SECONDS = 10  # a reading ends so long before its slot: processes write what they saw every five seconds
MAX_BATCHES = 500  # merged at once
MAX_EVENTS = 20_000
MAX_MEASURED = 500  # units of a system whose continuous measures are binned
KEEP_SECONDS, KEEP_BODIES_SECONDS = 7 * 86_400, 3_600
KEEP_IDLE_SECONDS = 30 * 86_400  # operations and units that nobody carries out any more
SOURCE, SLOW = "variety", "slow_operation"
KEPT_FIELDS = ["counts", "recorder", "count", "success", "slow", "total_ms", "p50", "p95", "p99", "max", "last_at",
               "slow_at"]  # fmt: skip
STREAMS: Mapping[str, str] = {
    Stream.COORDINATION: "s2", Stream.CONTROL: "s3", Stream.INTELLIGENCE: "s4", Stream.POLICY: "s5",
}  # fmt: skip
ANSWERS = {verb.fact for verb in (ACKNOWLEDGE, RESPOND, RESOLVE, FALSE_ALARM)}  # of people, to signals


class Told(NamedTuple):
    """What one batch says of one operation."""

    batch: int
    replica: str
    ended: batches.Ended


# --- In ---------------------------------------------------------------------------------------------------------------
def take(system: System, pushed: Pushed, *, now: float) -> None:
    """Keep what an application told; a batch whose number was taken before is the same batch."""
    kept = Kept([OfUnit(pushed.source, each) for each in pushed.operations])
    row = Batch(
        system=system, replica=batches.replica_of(pushed), number=pushed.number, at=now, body=batches.encode(kept)
    )
    Batch.objects.bulk_create([row], ignore_conflicts=True)


@transaction.atomic
def judge_by(system: System, wanted: Mapping[str, Any], *, actor: str) -> None:
    """Judge the variety of *system* by *wanted*, fields of its policy, from the next reading on.

    Raises Invalid naming the field.
    """
    row = queries.policy(system)
    for name, value in wanted.items():
        setattr(row, name, value)
    check(row.rules())
    VarietyPolicy.objects.update_or_create(system=system, defaults=dict(wanted))
    append(Stream.POLICY, "VarietyPolicyChanged", dict(wanted), system_id=system.pk, actor=actor)


def expect(operation: Operation, expected_ms: float | None) -> Operation:
    """Say how long *operation* should take; None lets it be learnt again."""
    operation.expected_ms = expected_ms
    operation.save(update_fields=["expected_ms"])
    return operation


def plan(unit: UnitVariety, **targets: float | None) -> UnitVariety:
    """Say what a unit could do now (*capability*) and ought to be able to do (*potentiality*)."""
    for name, value in targets.items():
        setattr(unit, name, value)
    unit.save(update_fields=list(targets))
    return unit


# --- Merging ----------------------------------------------------------------------------------------------------------
def merge_slot(*, now: datetime) -> int:
    """Merge what waits, once in a slot; return how many batches."""
    with slot_once("variety.merge", MERGE_SECONDS, now=now) as slot:
        return 0 if slot is None else merge(now=now)


def merge(*, now: datetime) -> int:
    """Add what waits to what is known of operations; return how many batches."""
    done = 0
    while count := _merge_some(now):
        done += count
        if count < MAX_BATCHES:
            break
    _settle_slow(now)
    return done


@transaction.atomic
def _merge_some(now: datetime) -> int:
    waiting = Batch.objects.filter(merged=False).order_by("pk")
    locking = waiting.select_for_update(skip_locked=connection.features.has_select_for_update_skip_locked)
    rows = list(locking[:MAX_BATCHES])
    by_system: defaultdict[int, list[Batch]] = defaultdict(list)
    for row in rows:
        by_system[row.system_id].append(row)
    again = [pk for system_id, told in by_system.items() for pk in _merge_system(system_id, told, now)]
    Batch.objects.filter(pk__in=again).delete()
    Batch.objects.filter(pk__in=[row.pk for row in rows]).update(merged=True)
    return len(rows)


def _merge_system(system_id: int, told: Sequence[Batch], now: datetime) -> list[int]:
    """Merge the batches of one system; return which of them had come before, so that their states are not counted."""
    news: defaultdict[tuple[str, str], list[Told]] = defaultdict(list)
    for row in told:
        for each in batches.decode(bytes(row.body)).operations:
            news[each.unit, each.ended.operation].append(Told(row.pk, row.replica, each.ended))
    if not news:
        return []
    known = _known(system_id, news)
    changed: dict[tuple[str, str], Operation] = {}
    slow: list[slowness.Slow] = []
    fresh: set[int] = set()
    for key, ends in news.items():
        operation = known[key]
        changed[operation.unit, operation.name] = operation
        new = [each for each in ends if not _was_told(operation, each)]
        fresh |= {each.batch for each in new}
        found = _add(operation, new, now.timestamp())
        if found is not None:
            slow.append(found)
    Operation.objects.bulk_create(
        changed.values(), update_conflicts=True, unique_fields=["system", "unit", "name"], update_fields=KEPT_FIELDS
    )
    _raise_slow(system_id, slow, now)
    return sorted({each.batch for ends in news.values() for each in ends} - fresh)


def _known(system_id: int, wanted: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Operation]:
    """Return the row of each operation, new ones too; beyond the limit of a unit all are `(other)`."""
    wanted = list(wanted)
    units = {unit for unit, _ in wanted}
    of_units = Operation.objects.filter(system_id=system_id, unit__in=units)
    rows = of_units.filter(name__in={name for _, name in wanted} | {OTHER}).select_for_update().order_by("pk")
    found = {(row.unit, row.name): row for row in rows}
    missing = [key for key in wanted if key not in found]
    if missing:
        room: defaultdict[str, int] = defaultdict(lambda: MAX_OPERATIONS)
        for unit in of_units.values_list("unit", flat=True).order_by():
            room[unit] -= 1
        for unit, name in missing:
            room[unit] -= 1
            place = (unit, name) if room[unit] >= 0 else (unit, OTHER)
            found.setdefault(place, _empty(system_id, *place))
            found[unit, name] = found[place]
    return {key: found[key] for key in wanted}


def _empty(system_id: int, unit: str, name: str) -> Operation:
    return Operation(
        system_id=system_id, unit=unit, name=name, recorder=packed(OperationRecorder().to_wire()), last_at=0
    )


def _was_told(operation: Operation, told: Told) -> bool:
    """Return whether the replica's total that is known holds this already."""
    known = operation.counts.get("count") if operation.name == told.ended.operation else None
    return known is not None and GCounter.from_wire(known).counts.get(told.replica, 0) >= told.ended.total


def _add(operation: Operation, news: Sequence[Told], now: float) -> slowness.Slow | None:
    """Add what replicas told to one row; return what was far too slow, if it is worth pain."""
    if not news:
        return None
    counters = {name: GCounter.from_wire(wire) for name, wire in operation.counts.items()}
    total, success = counters.get("count", GCounter()), counters.get("success", GCounter())
    recorder = OperationRecorder.from_wire(unpacked(bytes(operation.recorder)))
    expectation = queries.expectation(operation)
    fresh = OperationRecorder()
    for _, replica, ended in news:
        if operation.name == ended.operation:
            total = batches.counted(total, replica, ended.total, now=now)
            success = batches.counted(success, replica, ended.total_ok, now=now)
        else:  # what many operations share has no total of its own at a replica
            total, success = batches.folded(total, ended.count), batches.folded(success, ended.success)
        fresh.merge(batches.recorder_of(ended))
        operation.last_at = max(operation.last_at, *(at for at, _, _ in ended.ends))
    found = slowness.judge(operation.unit, operation.name, fresh, expectation)
    recorder.merge(fresh)
    operation.counts = {"count": total.to_wire(), "success": success.to_wire()}
    operation.count, operation.success = total.value, success.value
    operation.total_ms = recorder.totals.duration_ms
    operation.slow += found.count if found else 0
    operation.recorder = packed(recorder.to_wire())
    operation.p50, operation.p95, operation.p99 = recorder.durations.quantiles([0.5, 0.95, 0.99])
    operation.max = recorder.durations.max
    painful = slowness.hurts(found, recorder.recent(now), expectation)
    if painful:
        operation.slow_at = now
    return found if painful else None


def _raise_slow(system_id: int, slow: Sequence[slowness.Slow], now: datetime) -> None:
    """Raise one pain for each unit that is far too slow and of which no such pain is open (000-52)."""
    if not slow:
        return
    open_now = {pain.source for pain in open_pains(cause=SLOW) if pain.system_id == system_id}
    worst: dict[str, slowness.Slow] = {}
    for each in slow:
        if each.unit not in worst or each.factor > worst[each.unit].factor:
            worst[each.unit] = each
    for each in worst.values():
        if each.source not in open_now:
            try_to_raise(
                type="pain", source=each.source, severity=Severity.MEDIUM, system_id=system_id, origin=Party.S1, at=now,
                data={**each.to_data(), CAUSE: SLOW}, description=each.words,
            )  # fmt: skip


def _settle_slow(now: datetime) -> None:
    """End the pains of units that were not too slow for five minutes."""
    pains = open_pains(cause=SLOW)
    if not pains:
        return
    since = now.timestamp() - measuring.WINDOW_SECONDS
    names = {pain.source.removeprefix(slowness.PREFIX) for pain in pains}
    rows = Operation.objects.filter(unit__in=names, slow_at__gte=since).values_list("system_id", "unit")
    still = {(system_id, slowness.source_of(unit)) for system_id, unit in rows}
    for pain in pains:
        if (pain.system_id, pain.source) not in still:
            end_by_itself(pain, now=now, why="No operation of it was far too slow for five minutes.")


# --- Measuring --------------------------------------------------------------------------------------------------------
def read_slot(*, now: datetime) -> list[Reading]:
    """Measure every system once in the current slot."""
    with slot_once("variety.read", READ_SECONDS, now=now) as slot:
        return [] if slot is None else read_all(slot, now=now)


def read_now(*, now: datetime) -> list[Reading]:
    """Measure every system out of turn: the row belongs to this very second, so that no slot loses its own."""
    merge(now=now)
    return read_all(int(now.timestamp()), now=now)


def read_all(slot: int, *, now: datetime) -> list[Reading]:
    """Measure every system of which anything was ever told, each in a transaction of its own."""
    _take_events()
    systems = System.objects.in_bulk({
        *Batch.objects.filter(merged=True).values_list("system_id", flat=True).distinct(),
        *Subject.objects.values_list("system_id", flat=True).distinct(),
    })  # fmt: skip
    made = []
    for system in systems.values():
        reading = _read_system(system, slot, now)
        if reading is not None:
            made.append(reading)
            push(system.pk, "variety", system.slug, queries.reading_body(reading))
    return made


def _read_system(system: System, slot: int, now: datetime) -> Reading | None:
    """Count the states that wait, and write the reading of a slot; None where that was done before."""
    until = float(slot - LAG_SECONDS)
    measured = _continuous(system, until)
    with transaction.atomic():
        System.objects.select_for_update().get(pk=system.pk)  # one measurement of a system at a time
        if Reading.objects.filter(system=system, slot=slot).exists():
            return None
        rows = Batch.objects.filter(system=system, merged=True).order_by("pk")
        told = list(rows)
        by_unit = _states(told)
        rules = queries.rules(system)
        _read_units(system, by_unit, measured, rules, until)
        found = measuring.read(_system_windows(system, by_unit, until), _watch(system, slot), rules, now=until)
        reading = Reading.objects.create(
            system=system, slot=slot, at=until, figures=found.figures,
            body=packed({**found.body, "watch": found.watch.to_wire()}),
        )  # fmt: skip
        Batch.objects.filter(pk__in=[row.pk for row in told]).delete()
        _feel(system, found, now)
    _tell(found)
    return reading


def _states(told: Iterable[Batch]) -> dict[str, dict[str, list[Seen]]]:
    """Return what was seen by unit and side."""
    units: defaultdict[str, defaultdict[str, list[Seen]]] = defaultdict(lambda: defaultdict(list))
    for row in told:
        kept = batches.decode(bytes(row.body))
        for each in kept.operations:
            sides = measuring.sides_of(each.ended.operation, each.asked, each.ended.ends)
            for side, seen in sides.items():
                units[each.unit][side] += seen
        for unit, side, second, name, n in kept.states:
            units[unit][side].append((name, second, n))
    return {unit: dict(sides) for unit, sides in units.items()}


def _system_windows(
    system: System, by_unit: Mapping[str, Mapping[str, list[Seen]]], until: float
) -> dict[str, Windows]:
    known = {row.name: row for row in Subject.objects.filter(system=system)}
    seen: defaultdict[str, list[Seen]] = defaultdict(list)
    for sides in by_unit.values():
        for name, states in measuring.subjects_of(sides).items():
            seen[name] += states
    windows: dict[str, Windows] = {}
    changed: list[str] = []
    for name in (*SUBJECTS, PAIRS):
        row = known.get(name)
        windows[name] = Windows.from_wire(unpacked(bytes(row.state))) if row else measuring.fresh(name)
        if name in seen or windows[name].later:
            windows[name].take(seen[name], until=until)
            changed.append(name)
    rows = [Subject(system=system, name=name, state=packed(windows[name].to_wire())) for name in changed]
    Subject.objects.bulk_create(rows, update_conflicts=True, unique_fields=["system", "name"], update_fields=["state"])
    return windows


def _read_units(
    system: System,
    by_unit: Mapping[str, Mapping[str, list[Seen]]],
    measured: Mapping[str, Mapping[str, Any]],
    rules: Rules,
    until: float,
) -> None:
    """Write the panel of every unit that did something lately, or whose measures were binned."""
    alive = UnitVariety.objects.filter(system=system, at__gte=until - 2 * measuring.WINDOW_SECONDS)
    known = {row.unit: row for row in alive}
    names = {unit for unit in (*by_unit, *measured) if unit} - set(known)
    known |= {row.unit: row for row in UnitVariety.objects.filter(system=system, unit__in=names)}
    for unit in names - set(known):
        known[unit] = UnitVariety(system=system, unit=unit)
    rates = queries.recent_rates(system, known, now=until)
    for unit, row in known.items():
        active = unit in by_unit or unit in measured
        windows = _unit_windows(row)
        for side, window_ in windows.items():
            window_.take(by_unit.get(unit, {}).get(side, ()), until=until)
        row.body = packed(measuring.unit_body(windows, measured.get(unit, {}), rules, now=until))
        row.state = packed({side: each.to_wire() for side, each in windows.items()})
        row.best_rate = max(row.best_rate, rates.get(unit, 0.0))
        if active or row.at is None:
            row.at = until
    UnitVariety.objects.bulk_create(
        known.values(), update_conflicts=True, unique_fields=["system", "unit"],
        update_fields=["state", "body", "at", "best_rate"],
    )  # fmt: skip


def _unit_windows(row: UnitVariety) -> dict[str, Windows]:
    if not row.state:
        return {side: measuring.fresh_of_unit(side) for side in measuring.OF_UNIT}
    return {side: Windows.from_wire(wire) for side, wire in unpacked(bytes(row.state)).items()}


def _continuous(system: System, until: float) -> dict[str, dict[str, Any]]:
    """Return by unit the values of its declared measures in the last five minutes; none while the hot tier is away."""
    found: defaultdict[str, dict[str, Any]] = defaultdict(dict)
    try:
        for metric in measuring.BINNINGS:
            lines = window(system.pk, metric, start=until - measuring.WINDOW_SECONDS, end=until)
            for (unit, labels), (_, values) in lines.items():
                finite = values[np.isfinite(values)]
                if not labels and finite.size and (unit in found or len(found) < MAX_MEASURED):
                    found[unit][metric] = finite
    except TransientError as error:
        logger.warning("Continuous measures are unknown: %s", error)
    return dict(found)


def _watch(system: System, slot: int) -> Watch | None:
    before = Reading.objects.filter(system=system, slot__lt=slot).exclude(body=None).order_by("-slot").first()
    return Watch.from_wire(unpacked(bytes(before.body))["watch"]) if before and before.body else None


def _feel(system: System, found: measuring.Reading, now: datetime) -> None:
    """Let what lasts hurt, and record each imbalance once (000-27, 000-28)."""
    balance = found.panel.operational.balance
    said: dict[str, Any] = {"type": "pain", "system_id": system.pk, "origin": Party.S3, "at": now}
    if found.watch.critical == requisite.PATIENCE:
        words = f"{balance.recommendation}: {balance.deficit_bits or 0:.2f} bits of what is asked go unanswered."
        data = {"ratio": balance.ratio, "deficit": balance.deficit_bits, "type": "insufficient"}
        try_to_raise(source=SOURCE, severity=Severity.MEDIUM, data=data, description=words, **said)
        append(Stream.VARIETY, "VarietyImbalance", data, system_id=system.pk, actor=str(Party.S3))
    for finding in found.imbalances:
        data = finding.to_wire()
        source = f"{SOURCE}:{finding.subsystem}"
        try_to_raise(source=source, severity=Severity.LOW, data=data, description=finding.meaning, **said)
        append(Stream.VARIETY, "VarietyOutsideRange", data, system_id=system.pk, actor=str(Party.S3))
    for name in found.recovered:
        source = SOURCE if name == measuring.RATIO else f"{SOURCE}:{name}"
        settle(source, system_id=system.pk, now=now, why="Its variety is what it should be again.")


def _tell(found: measuring.Reading) -> None:
    for subsystem, measured in found.varieties.items():
        if measured.bits is not None:
            emit("vsm.variety.calculated", {"variety": measured.bits}, {"subsystem": str(subsystem)})
    news = [requisite.range_imbalance(finding) for finding in found.imbalances]
    for each in (requisite.imbalance(found.panel.operational.balance), *news):
        if each is not None:
            emit("vsm.variety.imbalance", *each)


# --- States of S2 to S5 -----------------------------------------------------------------------------------------------
@transaction.atomic
def _take_events() -> int:
    """Count what the event log holds of S2 to S5 since the last time as states of theirs."""
    cursor, made = EventCursor.objects.select_for_update().get_or_create(pk=1)
    if made:  # what happened before anybody looked is long ago
        cursor.position = Event.objects.aggregate(last=Max("position"))["last"] or 0
        cursor.save()
        return 0
    events = Event.objects.filter(position__gt=cursor.position).order_by("position")
    rows = list(events.values_list("position", "system_id", "stream", "type", "actor", "at")[:MAX_EVENTS])
    if not rows:
        return 0
    root, now = root_system().pk, timezone.now().timestamp()
    kept: defaultdict[int, Kept] = defaultdict(Kept)
    for _, system_id, stream, type_, actor, at in rows:
        subject = STREAMS.get(stream)
        if stream == Stream.ALGEDONIC and type_ in ANSWERS and actor not in {"", str(Party.PLATFORM)}:
            subject = MANAGEMENT
        if subject is not None:
            kept[system_id or root].states.append(("", subject, float(int(at.timestamp())), type_, 1))
    living = set(System.objects.filter(pk__in=kept).values_list("pk", flat=True))
    Batch.objects.bulk_create(
        [
            Batch(
                system_id=system_id, replica="events", number=rows[-1][0], at=now, merged=True,
                body=batches.encode(each),
            )
            for system_id, each in kept.items()
            if system_id in living
        ],
        ignore_conflicts=True,
    )  # fmt: skip
    EventCursor.objects.filter(pk=1).update(position=rows[-1][0])
    return len(rows)


# --- Forgetting -------------------------------------------------------------------------------------------------------
def forget(*, now: datetime) -> int:
    """Delete what is past its time; return how many readings."""
    moment = now.timestamp()
    Reading.objects.filter(at__lt=moment - KEEP_BODIES_SECONDS).exclude(body=None).update(body=None)
    idle = moment - KEEP_IDLE_SECONDS
    Operation.objects.filter(last_at__lt=idle).delete()
    UnitVariety.objects.filter(at__lt=idle, capability=None, potentiality=None).delete()
    return Reading.objects.filter(at__lt=moment - KEEP_SECONDS).delete()[0]
