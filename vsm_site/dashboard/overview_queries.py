"""What the overview shows beside the live numbers: scores with their reasons, what changed, how work flowed."""

from __future__ import annotations

import math
import re
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django.db.models import Count, Q

from alerts.models import AlertRule, RuleVersion
from subsystems.algedonic.models import Signal
from subsystems.event_log.models import Event
from subsystems.event_log.streams import Stream
from subsystems.fleets.models import TaskRollUp
from subsystems.fleets.queries import latencies
from subsystems.fleets.roll_ups import STEP_SECONDS, Tally, opened, slot_of
from subsystems.health.queries import scores_body
from subsystems.kernel.errors import TransientError
from subsystems.kernel.times import moment_text
from subsystems.recursion.models import System
from subsystems.s1_operations.models import Fleet, Unit
from subsystems.telemetry import aggregates
from subsystems.telemetry import queries as telemetry
from vsm_site.dashboard.journeys import data_of

CHANGES_WINDOW = timedelta(hours=1)
COUNTED_EVENTS, SHOWN_EVENTS = 5_000, 5
MESSAGES = ("algedonic.signal", "algedonic.canary")  # the events beside them say the same in words
SENTENCES, NAMES = ("title", "summary", "description"), ("name", "kind", "metric", "source", "subject", "fleet", "unit")
GROUPS = {
    Stream.ALERTS: "Alerts", Stream.ALGEDONIC: "Pain and pleasure", Stream.CONTROL: "Actions and advice",
    Stream.POLICY: "Policy", Stream.COORDINATION: "Coordination", Stream.INTELLIGENCE: "Outlook",
    Stream.VARIETY: "Variety", Stream.OPERATIONS: "Operations", Stream.AUDIT: "Settings",
}  # fmt: skip
Points = list[tuple[float, float | None]]
STEPS = 60  # points of a small chart
LEAST_SECONDS = 30  # of a step that has only begun: in less, two tasks more or fewer would look like a fall or a peak
SIGNALS_WINDOW, MOST_SIGNALS = timedelta(hours=24), 1_000
# Each line of a small chart that the store of samples tells: metric, how the sources are put together.
SAMPLED = {
    "active": ("active", "avg"), "pool_size": ("pool_size", "avg"), "ready": ("ready", "max"),
    "cpu": ("cpu_ratio", "avg"), "cpu_most": ("cpu_ratio", "max"), "memory": ("memory_ratio", "avg"),
    "memory_most": ("memory_ratio", "max"),
}  # fmt: skip


def overview_body(system: System, *, now: datetime) -> dict[str, Any]:
    """Return what the overview shows beside the live numbers."""
    return {
        "scores": scores_body(system)["scores"],
        "tasks": tasks_of_an_hour(system, now=now),
        "changes": changes(system, now=now),
    }


# --- What changed -----------------------------------------------------------------------------------------------------
def changes(system: System, *, now: datetime) -> dict[str, Any]:
    """Return what changed in the last hour, counted by kind and linked, and the newest of it; five queries."""
    since = now - CHANGES_WINDOW
    rows = Event.objects.filter(system_id=system.pk).exclude(type__in=MESSAGES).order_by("-position")
    told = [row for row in rows.values_list("stream", "at")[:COUNTED_EVENTS] if row[1] >= since]
    counts = Counter(stream for stream, _ in told)
    groups = [_group(title, counts[stream], _events(stream, since)) for stream, title in GROUPS.items()]
    versions = RuleVersion.objects.filter(rule__system=system, at__gte=since).count()
    units = Unit.objects.filter(system=system).aggregate(
        joined=Count("pk", filter=Q(created_at__gte=since)), left=Count("pk", filter=Q(said_goodbye_at__gte=since))
    )
    groups += [
        _group("Rules edited", versions, "/dashboard/alerts/rules/?"),
        _group("Units joined", units["joined"], "/dashboard/workers/?"),
        _group("Units left", units["left"], "/dashboard/workers/?"),
    ]
    newest = [_change(event) for event in rows.filter(at__gte=since)[:SHOWN_EVENTS]]
    return {"groups": [each for each in groups if each["count"]], "newest": newest}


def _group(title: str, count: int, href: str) -> dict[str, Any]:
    return {"title": title, "count": count, "href": href}


def _events(stream: Stream, since: datetime) -> str:
    query = urlencode({"stream": str(stream), "from": int(since.timestamp())})
    return f"/dashboard/events/?{query}"


def _change(event: Event) -> dict[str, Any]:
    data = data_of(event)
    sentence = next((str(data[name]) for name in SENTENCES if data.get(name)), "")
    about = sentence or " ".join(str(data[name]) for name in NAMES if isinstance(data.get(name), str))
    return {
        "position": event.position, "at": moment_text(event.at), "what": type_words(event.type), "about": about[:160],
        "by": event.actor,
    }  # fmt: skip


def type_words(type_: str) -> str:
    """Return the type of an event as people read it: `AnomalyFound` and `alert.firing` alike."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type_).replace(".", " ").replace("_", " ").lower()
    return words[:1].upper() + words[1:]


# --- How work flowed --------------------------------------------------------------------------------------------------
def told_fleets(system: System) -> list[int]:
    """Return the fleets whose tasks are shown: those of others, the platform's own only where there is no other."""
    rows = list(Fleet.objects.filter(system=system).values_list("pk", "own"))
    return [pk for pk, own in rows if not own] or [pk for pk, _ in rows]


def tasks_of_an_hour(system: System, *, now: datetime) -> dict[str, Any] | None:
    """Return counts, runtimes and waits of the tasks that ended in the last hour; None where none did."""
    until = now.timestamp()
    found = latencies(told_fleets(system), since=until - 3600, until=until, by=())
    return found[0] if found else None


def performance(system: System, seconds: float, *, now: float | None = None) -> dict[str, Any]:
    """Return the lines of the small charts over the last *seconds*: of tasks from roll-ups, the rest from samples."""
    now = time.time() if now is None else now
    return {"tasks": _task_lines(system, seconds, now), "samples": _sampled(system, seconds, now)}


def _task_lines(system: System, seconds: float, now: float) -> dict[str, list[float | None]]:
    step = max(STEP_SECONDS, int(seconds) // STEPS // STEP_SECONDS * STEP_SECONDS)
    start = (
        math.ceil((now - seconds) / STEP_SECONDS) * STEP_SECONDS
    )  # the first five minutes that lie wholly in the range
    reached = min(slot_of(now) + STEP_SECONDS, time.time())
    rows = TaskRollUp.objects.filter(fleet_id__in=told_fleets(system), at__gte=start, at__lte=now)
    tallies: defaultdict[int, Tally] = defaultdict(Tally)
    fields = ("at", "succeeded", "failed", "others", "retried", "runtimes", "waits")
    for at, *numbers in rows.values_list(*fields).iterator(chunk_size=1_000):
        tallies[at // step * step].merge(Tally.from_row(*numbers))
    lines: dict[str, list[float | None]] = defaultdict(list)
    for at, tally in sorted(tallies.items()):
        ended = tally.succeeded + tally.failed + tally.others
        judged = tally.succeeded + tally.failed
        known = min(at + step, reached) - max(at, start)
        told: Mapping[str, float | None] = {
            "at": at, "rate": ended / known if known >= LEAST_SECONDS else None,
            "failing": tally.failed / judged if judged else None,
            **_shares("runtime", tally.runtimes), **_shares("wait", tally.waits),
        }  # fmt: skip
        for name, value in told.items():
            lines[name].append(value)
    return dict(lines)


def _shares(name: str, sketch: Any) -> dict[str, float | None]:
    shares: Sequence[float | None] = [None, None] if sketch is None else opened(sketch).quantiles([0.5, 0.95])
    return {f"{name}_p50": shares[0], f"{name}_p95": shares[1]}


def _sampled(system: System, seconds: float, now: float) -> dict[str, Points]:
    """Return name -> points; nothing while the store of samples does not answer, the rest is still worth showing."""
    step = max(15.0, seconds / STEPS)
    asked = [
        telemetry.Request(
            (system.pk,), metric, now - seconds, now, step, agg=aggregates.parse(aggregation), group_by=()
        )
        for metric, aggregation in SAMPLED.values()
    ]
    try:
        found = telemetry.answer(asked, now=now)
    except TransientError:
        return {}
    points = {name: _points(one) for name, one in zip(SAMPLED, found, strict=True)}
    return {**points, "busy": _ratio(points.pop("active"), points.pop("pool_size"))}


def _points(result: telemetry.QueryResult) -> list[tuple[float, float | None]]:
    """Return the points of the one line that everything was put into."""
    found = [pair for line in result.series for pair in zip(line.at.tolist(), line.values.tolist(), strict=True)]
    return [(at, None if math.isnan(value) else value) for at, value in found]


def _ratio(parts: Points, wholes: Points) -> Points:
    whole = dict(wholes)
    return [(at, part / size if part is not None and (size := whole.get(at)) else None) for at, part in parts]


# --- Pain and pleasure ------------------------------------------------------------------------------------------------
def felt(system: System, *, now: datetime) -> list[dict[str, Any]]:
    """Return the pains and pleasures of the last 24 hours, the newest first, at most a thousand."""
    rows = Signal.objects.filter(system=system, raised_at__gte=now - SIGNALS_WINDOW).order_by("-raised_at")
    told = rows.values_list("pk", "raised_at", "type", "severity", "source", "ended_at")[:MOST_SIGNALS]
    return [
        {
            "id": str(pk), "at": at.timestamp(), "type": type_, "severity": severity, "source": source,
            "ended_at": ended.timestamp() if ended else None,
        }
        for pk, at, type_, severity, source, ended in told
    ]  # fmt: skip


# --- The first steps --------------------------------------------------------------------------------------------------
def first_steps(system: System) -> dict[str, Any]:
    """Return how far a newcomer has come: a fleet connected, its workers heard, a rule made; three queries."""
    fleet = Fleet.objects.filter(system=system, own=False).order_by("-pk").first()
    heard = Unit.objects.filter(system=system, fleet__own=False, kind="celery_worker").exclude(state=Unit.State.NEW)
    workers = heard.count() if fleet else 0
    rule = AlertRule.objects.filter(system=system).order_by("-pk").first()
    return {
        "fleet": fleet, "workers": workers, "rule": rule,
        "step": 1 if fleet is None else 2 if not workers else 3 if rule is None else 4,
    }  # fmt: skip
