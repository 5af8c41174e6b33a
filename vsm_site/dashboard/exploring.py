"""What Explore shows beside series: what there is to choose from, scores over a range, and what happened meanwhile."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import F, Q
from django.db.models.functions import Mod
from django.urls import reverse
from django.utils.translation import gettext

from alerts.models import Alert
from subsystems.event_log import queries as event_log
from subsystems.event_log.projections import SLOT_MINUTES
from subsystems.health.models import Assessment
from subsystems.kernel.errors import Invalid
from subsystems.kernel.slots import slot_time
from subsystems.kernel.words import Subsystem
from subsystems.recursion.models import System
from subsystems.s3_control.models import Action
from subsystems.s5_policy.models import PolicyVersion
from subsystems.telemetry.models import Series
from vsm_site.dashboard.reach import Reach

FUNCTIONS = ("avg", "min", "max", "last", "sum", "count", "rate", "increase", "p50", "p95", "p99")
SHOWN_SOURCES = 50
MOST_MARKS = 60  # of each sort; more lines would hide what they stand on
ASSESSED_SECONDS = 30
COUNTED_SECONDS = 60 * SLOT_MINUTES
SUGGESTED_DAYS = 31
EVENTS = "@events"  # a metric: how many of them were recorded
MOST_POINTS = 720


def sources(system: System, metric: str, text: str) -> list[str]:
    """Return the sources of *metric* whose name holds *text*, the first by name: read along the index of metrics."""
    rows = Series.objects.filter(system=system, metric=metric, merged_into=None)
    if text:
        rows = rows.filter(source__icontains=text)
    return list(rows.order_by("source").values_list("source", flat=True).distinct()[:SHOWN_SOURCES])


def scores(system: System, part: str, start: float, end: float) -> list[list[float | None]]:
    """Return the scores of a subsystem (of the whole for an empty one) as [at, score], at most MOST_POINTS.

    Raises Invalid naming `part`.
    """
    if part and part not in set(Subsystem):
        raise Invalid(gettext("A part is one of {Subsystem}.").format(Subsystem=", ".join(Subsystem)), field="part")
    step = max(ASSESSED_SECONDS, int((end - start) / MOST_POINTS) // ASSESSED_SECONDS * ASSESSED_SECONDS)
    rows = Assessment.objects.filter(system=system, slot__gte=start, slot__lte=end).annotate(rest=Mod(F("slot"), step))
    field = f"subsystems__{part}__score" if part else "score"
    pairs = rows.filter(rest=0).order_by("slot").values_list("slot", field)
    return [[slot_time(slot).timestamp(), score] for slot, score in pairs]


def events(reach: Reach, what: str, start: float, end: float) -> dict[str, Any]:
    """Return how many events were recorded, as [at, count] for each step, of a stream, a `stream/type`, or all of them.

    A step without events counts none. Counts are kept by five minutes; longer steps hold several.
    """
    stream, _, type_ = what.partition("/")
    step = max(COUNTED_SECONDS, -(-int(end - start) // MOST_POINTS // COUNTED_SECONDS) * COUNTED_SECONDS)
    first, last = int(start // step * step), min(end, time.time())
    moments = (datetime.fromtimestamp(first, UTC), datetime.fromtimestamp(end, UTC))
    counts = dict.fromkeys(range(first, max(first, int(last) + 1), step), 0)
    for at, count in event_log.counted(_log_ids(reach), *moments, stream=stream, type_=type_).items():
        slot = int(at.timestamp()) // step * step
        counts[slot] = counts.get(slot, 0) + count
    return {"points": sorted(counts.items()), "step": step}


def event_sorts(reach: Reach, text: str) -> list[str]:
    """Return the streams and `stream/type`s with *text* in them that had events in the last month."""
    found = event_log.counted_types(_log_ids(reach), datetime.now(UTC) - timedelta(days=SUGGESTED_DAYS))
    sorts = sorted({stream for stream, _ in found} | {f"{stream}/{type_}" for stream, type_ in found})
    return [each for each in sorts if text.lower() in each.lower()][:SHOWN_SOURCES]


def _log_ids(reach: Reach) -> list[int]:
    return [*reach.system_ids, *([0] if reach.nowhere else [])]


def marks(system: System, start: float, end: float, query: str = "") -> dict[str, Any]:
    """Return what happened in *system*: alerts, actions, changes of policy, each as [at, words, address]; and `cut`."""
    within = (datetime.fromtimestamp(start, UTC), datetime.fromtimestamp(end, UTC))
    found: dict[str, Any] = {
        "alerts": _alerts(system, within, query),
        "actions": [
            [action.started_at.timestamp(), f"{action.kind} {action.target}", _page("action", action.pk, query)]
            for action in Action.objects.filter(system=system, requested_at__range=within)[:MOST_MARKS]
            if action.started_at
        ],
        "policies": [
            [
                each.effective_at.timestamp(),
                f"{each.policy} v{each.version}",
                _page("policy-named", each.policy_id, query),
            ]
            for each in PolicyVersion.objects.filter(policy__system=system, effective_at__range=within)
            .select_related("policy")
            .order_by("-effective_at")[:MOST_MARKS]
        ],
    }
    return {**found, "cut": any(len(rows) >= MOST_MARKS for rows in found.values())}


def _alerts(system: System, within: tuple[datetime, datetime], query: str) -> list[list[Any]]:
    begun, over = Q(fired_at__range=within), Q(fired_at__isnull=False, resolved_at__range=within)
    rows = Alert.objects.filter(begun | over, system=system).order_by("-pk")[:MOST_MARKS]
    told = []
    for alert in rows:
        for moment, verb in ((alert.fired_at, "fires"), (alert.resolved_at, "is over")):
            if moment and within[0] <= moment <= within[1]:
                told.append([moment.timestamp(), f"{alert.title} {verb}", _page("alert", alert.pk, query)])
    return told


def _page(name: str, key: object, query: str) -> str:
    return f"{reverse(f'dashboard:{name}', args=[key])}{query}"
