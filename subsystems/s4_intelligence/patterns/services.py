"""Hearing events and telling what was detected; patterns as people write, switch and judge them."""

from __future__ import annotations

import json
import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, NamedTuple

from django.conf import settings
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction

from subsystems.event_log import queries as event_log
from subsystems.event_log.models import Event, HandlerPosition, PendingEvent
from subsystems.event_log.recorded import Recorded
from subsystems.event_log.services import append, append_many, pending
from subsystems.event_log.streams import Stream
from subsystems.kernel.errors import Invalid, NotListed
from subsystems.kernel.telemetry_events import emit
from subsystems.kernel.times import moment_text
from subsystems.messaging.live import push
from subsystems.recursion.models import System
from subsystems.recursion.queries import root_system
from subsystems.s4_intelligence.patterns import acting, queries
from subsystems.s4_intelligence.patterns.builtin import BUILT_IN
from subsystems.s4_intelligence.patterns.compiling import names_in, plan_of
from subsystems.s4_intelligence.patterns.engine import Engine, Finding, Level
from subsystems.s4_intelligence.patterns.happening import Happening, happening_of
from subsystems.s4_intelligence.patterns.language import Mistake, Mistaken, read
from subsystems.s4_intelligence.patterns.models import (
    Pattern,
    PatternCell,
    PatternDetection,
    PatternEngine,
    PatternInput,
)
from subsystems.s4_intelligence.patterns.schema import Definition

logger = logging.getLogger(__name__)
HANDLER = "s4.patterns"
LATENESS = 5.0  # seconds; what telemetry tells is written every two
MAX_PATTERNS = 200  # of a system
MAX_INPUTS = 5_000  # of telemetry, heard at once
MAX_CONSEQUENCES = 20  # of one pattern in one turn; the others are only recorded
MAX_DATA = 4_000  # letters of one event, as evidence
KEEP = timedelta(days=90)
KEEP_INPUTS_SECONDS = 86_400.0
DETECTED = "pattern.detected"
FOUND = ["level", "last_at", "acted_at", "ended_at", "share", "times", "confidence", "evidence"]


# --- Hearing ----------------------------------------------------------------------------------------------------------
class Loaded(NamedTuple):
    """An engine as it was after a turn, and the versions of the patterns that it runs."""

    engine: Engine
    turn: int
    versions: Mapping[int, int]


_loaded: dict[int, Loaded] = {}  # by system; what another process has moved on meanwhile is loaded anew


@transaction.atomic
def hear(events: Sequence[Recorded], *, now: datetime) -> int:
    """Let the patterns of each system hear *events*, and what telemetry told since; return how many detections began.

    What they remember and what they detect is written in the caller's transaction, which moves the handler's
    checkpoint: a kill anywhere loses nothing and tells nothing twice. A system hears its own events; those of no system
    belong to the root system.
    """
    patterns = _enabled()
    if not patterns:
        return 0
    root = root_system().pk
    heard: defaultdict[int, list[Happening]] = defaultdict(list)
    for event in events:
        heard[event.system_id or root].append(happening_of(event))
    for each in _inputs(list(patterns)):
        heard[each.system_id].append(Happening(each.at, each.type, json.loads(each.data), -each.pk))
    until = max((event.at.timestamp() for event in events), default=None)
    return sum(_hear(system_id, mine, heard[system_id], until, now) for system_id, mine in patterns.items())


@transaction.atomic
def tick(*, now: datetime) -> int:
    """Let time go on where nothing happens; return how many detections began.

    Only when the log's handler has heard everything: else what it still has to hear would come too late.
    """
    position = HandlerPosition.objects.select_for_update().filter(pk=HANDLER).first()
    if position is None or position.position < event_log.head_position() or PendingEvent.objects.exists():
        return 0
    patterns = _enabled()
    heard: defaultdict[int, list[Happening]] = defaultdict(list)
    for each in _inputs(list(patterns)):
        heard[each.system_id].append(Happening(each.at, each.type, json.loads(each.data), -each.pk))
    until = now.timestamp()
    return sum(_hear(system_id, mine, heard[system_id], until, now) for system_id, mine in patterns.items())


@transaction.atomic
def seed() -> int:
    """Put the ready-made patterns to work in each system that never had them (requirements 004-4); return how many.

    Once for each system: what somebody drops or changes afterwards stays as it is.
    """
    made = 0
    for system in queries.unseeded().order_by("pk"):
        PatternEngine.objects.get_or_create(system=system)
        row = PatternEngine.objects.select_for_update().get(system=system)
        if not row.seeded:  # another worker may have been quicker
            made += len(install(system, None, by=None))
            PatternEngine.objects.filter(pk=row.pk).update(seeded=True)
    return made


def forget(*, now: datetime) -> int:
    """Delete detections that ended more than 90 days ago and what telemetry told more than a day ago."""
    PatternInput.objects.filter(at__lt=now.timestamp() - KEEP_INPUTS_SECONDS).delete()
    return PatternDetection.objects.filter(last_at__lt=now - KEEP, ended_at__isnull=False).delete()[0]


def unload() -> None:
    """Forget what this process has loaded."""
    _loaded.clear()


def _enabled() -> dict[int, dict[int, int]]:
    """Return the versions of the patterns at work, by system and id."""
    found: defaultdict[int, dict[int, int]] = defaultdict(dict)
    rows = Pattern.objects.filter(enabled=True).order_by("pk").values_list("system_id", "pk", "version")
    for system_id, pk, version in rows:
        found[system_id][pk] = version
    return found


def _inputs(system_ids: Sequence[int]) -> list[PatternInput]:
    """Take what waits. Whoever comes at the same time waits for the transaction, which holds the engines' rows."""
    rows = list(PatternInput.objects.filter(taken=False, system_id__in=system_ids).order_by("pk")[:MAX_INPUTS])
    if rows:
        PatternInput.objects.filter(pk__in=[row.pk for row in rows]).update(taken=True)
    return rows


def _hear(
    system_id: int, versions: Mapping[int, int], happened: Sequence[Happening], until: float | None, now: datetime
) -> int:
    row, loaded = _engine_of(system_id, versions)
    engine = loaded.engine
    # In the order of time: else what telemetry told would come too late behind a batch of the log that spans more.
    findings = engine.feed(sorted(happened, key=_at), now=now.timestamp(), until=until)
    began = _tell(system_id, versions, findings, now) if findings else 0
    if findings or engine.moved() or any(engine.wants(each.type) for each in happened):
        _write(row, engine, versions, now)  # else only time went on: whoever loads the engine anew finds that itself
    turn = row.turn
    transaction.on_commit(partial(_loaded.__setitem__, system_id, Loaded(engine, turn, dict(versions))))
    return began


def _at(happening: Happening) -> float:
    return happening.at


def _engine_of(system_id: int, versions: Mapping[int, int]) -> tuple[PatternEngine, Loaded]:
    """Return the locked row of an engine, and the engine: what this process has, or what is stored.

    It is taken out of what is loaded until the commit: a transaction that is rolled back leaves no engine ahead of it.
    """
    PatternEngine.objects.get_or_create(system_id=system_id)
    row = PatternEngine.objects.select_for_update().get(system_id=system_id)
    loaded = _loaded.pop(system_id, None)
    if loaded is not None and loaded.turn == row.turn and loaded.versions == versions:
        return row, loaded
    return row, Loaded(_load(row, versions), row.turn, versions)


def _load(row: PatternEngine, versions: Mapping[int, int]) -> Engine:
    """Bring back an engine. What a pattern remembers in another version is nothing to it."""
    engine = Engine(lateness=LATENESS)
    patterns = {pattern.pk: pattern for pattern in Pattern.objects.filter(pk__in=list(versions))}
    for pk, pattern in patterns.items():
        try:
            engine.add(plan_of(read(pattern.text), name=str(pk), sensitivity=settings.PATTERN_DETECTION_SENSITIVITY))
        except Mistaken as error:  # written by an earlier release that took it
            logger.warning("The pattern %s is not at work: %s", pattern.name, error.detail)
    engine.load(json.loads(row.body))
    cells = PatternCell.objects.filter(pattern__in=list(versions)).order_by("touched_at", "pk")
    for cell in cells.iterator():
        running = engine.running.get(str(cell.pattern_id))
        if running is not None and cell.version == versions[cell.pattern_id]:
            running.load(cell.key, json.loads(cell.body))
    return engine


def _write(row: PatternEngine, engine: Engine, versions: Mapping[int, int], now: datetime) -> None:
    """Write what has changed: the head of the engine, and the cells that were touched."""
    kept, gone = [], defaultdict(list)
    for name, running in engine.running.items():
        for key in running.dirty:
            cell = running.cells.get(key)
            if cell is None:
                gone[int(name)].append(key)
            else:
                kept.append(
                    PatternCell(
                        pattern_id=int(name), version=versions[int(name)], key=key, touched_at=cell.touched_at,
                        body=json.dumps(cell.dump(), separators=(",", ":")),
                    )
                )  # fmt: skip
        running.dirty.clear()
    for pk, keys in gone.items():
        PatternCell.objects.filter(pattern_id=pk, key__in=keys).delete()
    PatternCell.objects.bulk_create(
        kept, batch_size=500, update_conflicts=True, unique_fields=["pattern", "key"],
        update_fields=["version", "touched_at", "body"],
    )  # fmt: skip
    row.turn += 1
    row.body, row.updated_at = json.dumps(engine.dump(), separators=(",", ":"), default=str), now
    row.save()


# --- Telling ----------------------------------------------------------------------------------------------------------
def _tell(system_id: int, versions: Mapping[int, int], findings: Sequence[Finding], now: datetime) -> int:
    """Write what was found, and let follow what each pattern asks for; return how many detections began."""
    patterns = Pattern.objects.in_bulk(sorted({int(each.pattern) for each in findings}))
    acted = _rows(patterns, versions, findings, now)
    of_pattern: defaultdict[int, list[PatternDetection]] = defaultdict(list)
    for row in acted:
        of_pattern[row.pattern_id].append(row)
    for pk, rows in of_pattern.items():
        acting.act(patterns[pk], read(patterns[pk].text).actions, rows[:MAX_CONSEQUENCES], now=now)
    PatternDetection.objects.bulk_update(acted, ["consequences"], batch_size=200)
    append_many(_event(patterns[row.pattern_id], row, now) for row in acted)
    for row in acted:
        about = {"pattern": patterns[row.pattern_id].name, "source": row.key}
        told = partial(emit, "vsm.s4.pattern.detected", {"count": 1, "confidence": row.confidence}, about)
        transaction.on_commit(told, robust=True)
    transaction.on_commit(partial(_show, system_id, [row.pk for row in acted]), robust=True)
    return len(acted)


def _rows(
    patterns: Mapping[int, Pattern], versions: Mapping[int, int], findings: Sequence[Finding], now: datetime
) -> list[PatternDetection]:
    """Bring the rows up to what was found, in three statements; return those that came to hold in full."""
    said = _said(ref for finding in findings for _, ref in finding.evidence)
    begun = {_moment(each.began_at) for each in findings}
    known = {
        (row.pattern_id, row.version, row.key, row.began_at): row
        for row in PatternDetection.objects.filter(pattern__in=list(patterns), began_at__in=begun)
    }
    old, acted = list(known.values()), {}
    for finding in findings:
        pk = int(finding.pattern)
        name = (pk, versions[pk], finding.key, _moment(finding.began_at))
        row = known.get(name)
        if row is None:
            row = known[name] = PatternDetection(
                system_id=patterns[pk].system_id, pattern_id=pk, version=name[1], key=name[2], began_at=name[3]
            )
        row.last_at, row.share, row.times = _moment(finding.at), finding.share, finding.times
        if finding.what == "ended":
            row.ended_at = now
            continue
        row.level, row.confidence, row.ended_at = int(finding.level), finding.confidence, None
        row.evidence = [_piece(moment, ref, said) for moment, ref in finding.evidence]
        if finding.level is Level.ACT:
            row.acted_at = row.last_at
            acted[name] = row
    PatternDetection.objects.bulk_create([row for row in known.values() if row.pk is None], batch_size=200)
    PatternDetection.objects.bulk_update(old, FOUND, batch_size=200)
    return list(acted.values())


def _said(refs: Iterable[int]) -> dict[int, dict[str, Any]]:
    """Return what the events of these numbers said, by number; two queries."""
    wanted = sorted(set(refs))
    positions, inputs = [ref for ref in wanted if ref > 0], [-ref for ref in wanted if ref < 0]
    found = {
        event.position: {"type": event.type, "data": _trimmed(event.data)}
        for event in Event.objects.filter(position__in=positions)
    }
    told = PatternInput.objects.filter(pk__in=inputs)
    return found | {-row.pk: {"type": row.type, "data": _trimmed(row.data)} for row in told}


def _piece(at: float, ref: int, said: Mapping[int, Mapping[str, Any]]) -> dict[str, Any]:
    known = said.get(ref, {"type": "", "data": {}})
    return {"at": at, "position": ref if ref > 0 else None, **known}


def _trimmed(text: str) -> Any:
    return json.loads(text) if len(text) <= MAX_DATA else {"cut": text[:MAX_DATA]}


def _event(pattern: Pattern, row: PatternDetection, now: datetime) -> PendingEvent:
    """Return what tells of a detection; it happens now: other patterns would find what is told of earlier too late."""
    data = {
        "pattern": pattern.name, "key": row.key, "detection": row.pk, "confidence": round(row.confidence, 4),
        "version": row.version, "detected_at": moment_text(row.acted_at),
    }  # fmt: skip
    return pending(Stream.INTELLIGENCE, DETECTED, data, system_id=pattern.system_id, at=now)


def _show(system_id: int, pks: Sequence[int]) -> None:
    for row in PatternDetection.objects.filter(pk__in=list(pks)[:50]).select_related("pattern", "system"):
        push(system_id, "pattern", str(row.pk), queries.detection_body(row, evidence=False))


def _moment(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)


# --- What people decide -----------------------------------------------------------------------------------------------
def create(system: System, text: str, *, by: User | None, enabled: bool = True, origin: str = "") -> Pattern:
    """Add a pattern. Raises Mistaken (with fields and lines) and Invalid."""
    definition = read(text)
    if Pattern.objects.filter(system=system).count() >= MAX_PATTERNS:
        raise Invalid(f"A system has at most {MAX_PATTERNS} patterns.", field="text")
    row = Pattern(system=system, text=text, changed_by=by, enabled=enabled, origin=origin)
    _named(row, definition)
    _keep(row, by, "pattern.created")
    return row


def update(pattern: Pattern, text: str, *, by: User | None, now: datetime) -> Pattern:
    """Change what a pattern says; it begins with an empty memory. Raises Mistaken and Invalid."""
    definition = read(text)
    pattern.text = text
    pattern.version += 1
    pattern.changed_at, pattern.changed_by = now, by
    _named(pattern, definition)
    _keep(pattern, by, "pattern.changed")
    return pattern


def switch(pattern: Pattern, *, enabled: bool, by: User | None, now: datetime) -> Pattern:
    """Put a pattern to work, or to rest: then it forgets what it had seen so far."""
    if pattern.enabled != enabled:
        pattern.enabled, pattern.changed_at, pattern.changed_by = enabled, now, by
        pattern.version += 1
        _keep(pattern, by, "pattern.enabled" if enabled else "pattern.disabled")
    return pattern


@transaction.atomic
def delete(pattern: Pattern, *, by: User | None) -> None:
    """Drop a pattern with all that was detected of it."""
    _record("pattern.deleted", pattern, by)
    pattern.delete()


def install(system: System, names: Sequence[str] | None, *, by: User | None) -> list[Pattern]:
    """Add ready-made patterns, all or some by name; those whose names are taken stay as they are. Raises NotListed."""
    wanted = list(BUILT_IN) if names is None else list(names)
    for name in wanted:
        if name not in BUILT_IN:
            raise NotListed(f"There is no ready-made pattern {name!r:.80}.", field="names")
    taken = set(Pattern.objects.filter(system=system).values_list("name", flat=True))
    return [create(system, BUILT_IN[name].text, by=by, origin=name) for name in wanted if name not in taken]


@transaction.atomic
def judge(detection: PatternDetection, verdict: str, *, by: User | None, comment: str, now: datetime) -> None:
    """Say whether a detection was so or a false alarm; the last word counts. Raises Invalid."""
    if verdict not in PatternDetection.Verdict.values:
        raise Invalid("A verdict is true or false.", field="verdict")
    if len(comment) > 500:
        raise Invalid("A comment has at most 500 letters.", field="comment")
    detection.verdict, detection.comment = verdict, comment
    detection.verdict_at, detection.verdict_by = now, by
    detection.save(update_fields=["verdict", "comment", "verdict_at", "verdict_by"])
    data = {"pattern": detection.pattern.name, "detection": detection.pk, "verdict": verdict, "comment": comment}
    append(
        Stream.INTELLIGENCE, "pattern.judged", data, system_id=detection.system_id,
        actor=by.get_username() if by else "", at=now,
    )  # fmt: skip


def validated(text: str) -> dict[str, Any]:
    """Return whether *text* is a pattern, what it asks for, and all that is wrong with it."""
    try:
        definition = read(text)
    except Mistaken as error:
        told = [mistake.to_wire() for mistake in error.mistakes]
        return {"valid": False, "name": None, "events": [], "mistakes": told}
    return {"valid": True, "name": definition.pattern, "events": sorted(names_in(definition)), "mistakes": []}


def _named(row: Pattern, definition: Definition) -> None:
    row.name, row.description = definition.pattern, definition.description
    row.names = sorted(names_in(definition))


def _keep(row: Pattern, by: User | None, type_: str) -> None:
    try:
        with transaction.atomic():
            row.save()
            if row.version > 1:
                _end_open(row)
            _record(type_, row, by)
    except IntegrityError:
        told = Mistake("pattern", 1, f"there is a pattern {row.name} already")
        raise Mistaken([told]) from None


def _end_open(row: Pattern) -> None:
    """What an earlier version had begun is over: nobody looks at it any more."""
    begun = PatternDetection.objects.filter(pattern=row, ended_at=None).exclude(version=row.version)
    begun.update(ended_at=row.changed_at)
    PatternCell.objects.filter(pattern=row).delete()


def _record(type_: str, row: Pattern, by: User | None) -> None:
    data = {"pattern": row.name, "version": row.version, "enabled": row.enabled}
    append(Stream.INTELLIGENCE, type_, data, system_id=row.system_id, actor=by.get_username() if by else "")
