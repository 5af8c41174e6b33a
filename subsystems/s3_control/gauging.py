"""Looking before acting: how fresh the data is, who else acts on the same, what policy and S2 say."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from django.db.models import Q

from subsystems.kernel.times import moment_text
from subsystems.s3_control import braking, permitting
from subsystems.s3_control.acts import ACTS, Target
from subsystems.s3_control.models import Action, Hold, Recommendation
from subsystems.telemetry.queries import window

WHOLE = (Target.FLEET, Target.LAUNCHER)  # whose acts choose the workers themselves
WINDOW_SECONDS = 30.0  # of which the median counts: one odd sample is no effect


@dataclass(frozen=True, slots=True)
class Gauge:
    """What the promised metric shows now; all None where nothing was measured within the hour."""

    value: float | None = None
    at: float | None = None
    age_seconds: float | None = None


def gauge(row: Recommendation, now: datetime) -> Gauge:
    """Return the median of the last half minute of the metric that *row* promises to change, and its age.

    Without an effect it is the age of the data that the advice came with.
    """
    if not row.effect:
        return Gauge(age_seconds=None if row.measured_at is None else (now - row.measured_at).total_seconds())
    seconds = min(WINDOW_SECONDS, row.settle_seconds / 2)  # or it would hold what was before
    return measured(row.system_id, row.effect["source"], row.effect["metric"], now, seconds)


def measured(system_id: int, source: str, metric: str, now: datetime, seconds: float = WINDOW_SECONDS) -> Gauge:
    """Return what *metric* of *source* shows now: the median of its last *seconds*."""
    moment = now.timestamp()
    found = window(system_id, metric, sources=[source], start=moment - 3600.0, end=moment)
    at, values = found.get((source, ""), (None, None))
    if at is None or values is None or not len(at):
        return Gauge()
    newest = float(at[-1])
    recent = values[at > newest - seconds]
    return Gauge(float(np.median(recent)), newest, max(0.0, moment - newest))


def before(row: Recommendation, now: datetime) -> dict[str, Any]:
    """Return the outcome as far as it is known when an act begins: what the metric showed."""
    if not row.effect:
        return {}
    found = gauge(row, now)
    return {"before": found.value, "before_at": None if found.at is None else moment_text(now)}


def judged(row: Recommendation, *, now: datetime) -> braking.Verdict:
    """Return whether the platform may apply *row* by itself now."""
    found = permitting.permission(row.system_id, row.act_kind)
    mine = Recommendation.objects.filter(system_id=row.system_id, automatic=True, decided_at__isnull=False)
    last = mine.filter(subject=row.subject).order_by("-decided_at").values_list("decided_at", flat=True).first()
    hour = mine.filter(act_kind=row.act_kind, decided_at__gt=now - timedelta(hours=1)).count()
    asked = braking.Asked(
        mode=found.mode if row.by_itself else "manual",
        limits=found.limits,
        target=row.act_target or (row.fleet.name if row.fleet else ""),
        size=braking.size_of(row.act_parameters),
        has_effect=bool(row.effect),
        data_age_seconds=gauge(row, now).age_seconds,
        fresh_seconds=row.fresh_seconds,
        held=is_held(row.system_id, row.subject),
        busy=busy(row),
        last_at=last,
        done_last_hour=hour,
    )
    return braking.verdict(asked, now=now)


def is_held(system_id: int, subject: str) -> bool:
    return Hold.objects.filter(system_id=system_id, subject=subject, released_at=None).exists()


def busy(row: Recommendation) -> str:
    """Return who else is acting on the same just now; empty when nobody is."""
    others = Recommendation.objects.filter(
        system_id=row.system_id, subject=row.subject, state__in=Recommendation.UNDER_WAY, settled_at=None
    ).exclude(pk=row.pk)
    if others.exists():
        return "Another correction of the same is under way: one at a time."
    if row.fleet_id is None:
        return ""
    open_acts = Action.objects.filter(_touching(row), fleet=row.fleet_id, state__in=Action.OPEN, dry_run=False)
    other = open_acts.values_list("kind", "target", "actor").first()
    return f"{other[2]} is doing {other[0]} on {other[1]}: one writer at a time." if other else ""


def _touching(row: Recommendation) -> Q:
    """Return which open actions act on the same as *row* would: the same target, or the fleet's workers as a whole."""
    act = ACTS.get(row.act_kind)
    whole = [kind for kind, each in ACTS.items() if each.target in WHOLE]
    if act is not None and act.target in WHOLE:
        sizes = [kind for kind, each in ACTS.items() if each.target is Target.WORKER]
        return Q(kind__in=[*whole, *sizes])
    if act is not None and act.target is Target.WORKER:
        return Q(target=row.act_target) | Q(kind__in=whole)
    return Q(target=row.act_target)
