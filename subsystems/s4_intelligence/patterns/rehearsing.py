"""Rehearsing a pattern on the history of the event log: when it would have been detected, and how often.

Nothing is written but the run's result, and nothing follows. The whole of the range is heard, oldest first; a run whose
time ends before says how far it came.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from subsystems.event_log import bulk
from subsystems.event_log.models import Event
from subsystems.event_log.queries import head_position
from subsystems.event_log.recorded import Recorded
from subsystems.kernel.errors import Invalid, Refused
from subsystems.kernel.times import moment_text
from subsystems.recursion.models import System
from subsystems.recursion.queries import ROOT_SLUG
from subsystems.s3_control.models import TaskRun
from subsystems.s3_control.services import cancel, trigger
from subsystems.s4_intelligence.patterns.compiling import plan_of
from subsystems.s4_intelligence.patterns.engine import Engine, Finding, Level
from subsystems.s4_intelligence.patterns.happening import Happening, happening_of
from subsystems.s4_intelligence.patterns.language import read
from subsystems.s4_intelligence.patterns.models import PatternInput

LONGEST_HOURS = 24.0 * 90
MAX_INPUTS = 50_000
MAX_SECONDS = 240.0  # of the five minutes that a triggered task has
TASK = "s4_intelligence.rehearse_pattern"
CHUNK = 5_000
MOST_DETECTIONS = 500
Progress = Callable[[int, int], None]


@transaction.atomic
def begin(system: System, text: str, *, hours: float, by: User | None) -> TaskRun:
    """Let a worker rehearse *text*; return the run to follow. Raises Mistaken and Invalid before anything is asked.

    A person's earlier rehearsal that has not ended is cancelled: nobody waits for it any more.
    """
    read(text)
    _check(hours)
    earlier = TaskRun.objects.filter(name=TASK, requested_by=by, state__in=["pending", "running"])
    for row in earlier if by is not None else ():
        with suppress(Refused):  # it ended a moment ago
            cancel(row, now=timezone.now())
    return trigger(TASK, {"system": system.slug, "text": text, "hours": float(hours)}, by=by)


def _check(hours: float) -> None:
    if not 0 < hours <= LONGEST_HOURS:
        raise Invalid(f"Between 0 and {LONGEST_HOURS:g} hours.", field="hours")


def rehearse(
    system: System, text: str, *, hours: float, now: datetime, progress: Progress | None = None,
    seconds: float = MAX_SECONDS,
) -> dict[str, Any]:  # fmt: skip
    """Return when the pattern of *text* would have been detected in the last *hours*. Raises Mistaken and Invalid."""
    definition = read(text)
    _check(hours)
    since, head = now - timedelta(hours=hours), head_position()
    start = reached = _position_at(since, head)
    deadline, until = monotonic() + seconds, since.timestamp()
    engine = Engine([plan_of(definition, sensitivity=settings.PATTERN_DETECTION_SENSITIVITY)])
    inputs = deque(_inputs(system, since, engine))
    heard, findings = 0, []
    for events in _chunks(start, head, progress):
        reached = events[-1].position + 1
        happened = [happening_of(event) for event in events if _is_of(event, system) and event.at >= since]
        until = events[-1].at.timestamp()
        while inputs and inputs[0].at <= until:
            happened.append(inputs.popleft())
        wanted = [each for each in happened if engine.wants(each.type)]
        heard += len(wanted)
        findings += engine.feed(sorted(wanted, key=_at), until=until)
        if monotonic() > deadline:
            break
    complete = reached > head
    if complete:
        heard, until = heard + len(inputs), now.timestamp()
        findings += engine.feed(inputs)
    findings += [*engine.finish(), *engine.feed([], until=until)]
    found = _episodes(findings)
    fired = [each for each in found if each["level"] == "act"]
    heard_hours = max(until - since.timestamp(), 1.0) / 3600
    return {
        "from": moment_text(since), "to": _moment(until), "events": heard, "searched": max(0, reached - start),
        "complete": complete, "fired": len(fired), "early": len(found) - len(fired),
        "per_hour": round(len(fired) / heard_hours, 4), "keys": len({each["key"] for each in fired}),
        "detections": found[-MOST_DETECTIONS:],
    }  # fmt: skip


def _at(happening: Happening) -> float:
    return happening.at


def _is_of(event: Recorded, system: System) -> bool:
    return event.system_id == system.pk or (event.system_id is None and system.slug == ROOT_SLUG)


def _position_at(since: datetime, head: int) -> int:
    """Return about where the events since a moment begin: they lie nearly in the order of their time."""
    low, high = 1, head + 1
    while low < high:
        middle = (low + high) // 2
        at = Event.objects.filter(position__gte=middle).order_by("position").values_list("at", flat=True).first()
        if at is None or at >= since:
            high = middle
        else:
            low = middle + 1
    return low


def _chunks(start: int, head: int, progress: Progress | None) -> Iterator[list[Recorded]]:
    after = start - 1
    while after < head and (rows := bulk.read_events(after, head, CHUNK)):
        events = [Recorded.from_row(row) for row in rows]
        yield events
        after = events[-1].position
        if progress:
            progress(after - start + 1, head - start + 1)


def _inputs(system: System, since: datetime, engine: Engine) -> list[Happening]:
    """Return what telemetry told; it is kept for a day."""
    rows = PatternInput.objects.filter(system=system, at__gte=since.timestamp()).order_by("at")[:MAX_INPUTS]
    return [Happening(row.at, row.type, json.loads(row.data), -row.pk) for row in rows if engine.wants(row.type)]


def _episodes(findings: list[Finding]) -> list[dict[str, Any]]:
    """Return one line for each time that it began, with how far it came and when it was over."""
    found: dict[tuple[str, float], dict[str, Any]] = {}
    for each in findings:
        line = found.setdefault((each.key, each.began_at), {"key": each.key, "began_at": _moment(each.began_at)})
        if each.what == "ended":
            line |= {"ended_at": _moment(each.at), "times": each.times}
            continue
        line |= {"level": each.level.name.lower(), "confidence": round(each.confidence, 4), "share": each.share}
        line |= {"detected_at": _moment(each.at) if each.level is Level.ACT else None, "ended_at": None, "times": 1}
    return sorted(found.values(), key=lambda line: str(line["began_at"]))


def _moment(at: float) -> str:
    return moment_text(datetime.fromtimestamp(at, UTC))
