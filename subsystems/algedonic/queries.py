"""Reading signals, the policy in force, and the state of the lane."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.db.models import Count, Max, Q, QuerySet

from subsystems.algedonic import lane, routes
from subsystems.algedonic.intensity import SignalType, Thresholds, felt, parsed_type
from subsystems.algedonic.models import OPEN_STATES, CanaryRun, Lane, Signal, SignalPolicy, SignalRoute, SignalTally
from subsystems.algedonic.patterns import Rules
from subsystems.algedonic.routes import HighGoesTo, Plan
from subsystems.kernel.severity import Severity
from subsystems.kernel.times import moment_text
from subsystems.messaging import limit_policy, limits
from subsystems.messaging.channels import Channel, Party
from subsystems.messaging.topology import queue_of
from subsystems.recursion.models import System

HANDY = 1_000  # requirements 000-35
CANARIES = 360  # an hour of them
LANE_ROW = 1
CAUSE = "cause"  # where a room's own pains say in their data what they are about


def policy_of(system_id: int) -> SignalPolicy:
    """Return what holds for a system: its row, or the documented values."""
    return SignalPolicy.objects.filter(system_id=system_id).first() or SignalPolicy(system_id=system_id)


def thresholds(policy: SignalPolicy) -> Thresholds:
    """Return from which intensity *policy* lets a measure be felt."""
    return Thresholds(policy.pain_threshold, policy.pleasure_threshold)


def pattern_rules(policy: SignalPolicy) -> Rules:
    """Return what *policy* calls a pattern."""
    return Rules(policy.pattern_window_seconds, policy.pattern_more_than)


def plan_of(policy: SignalPolicy, type_: SignalType, severity: Severity) -> Plan:
    """Return where a signal goes under *policy*."""
    return routes.plan(type_, severity, HighGoesTo(policy.high_goes_to))


def escalations_due(now: datetime) -> QuerySet[Signal]:
    """Return the signals whose deadline has passed unanswered."""
    return Signal.objects.filter(state=Signal.State.RECEIVED, deadline_at__lte=now)


def is_escalation_due(*, now: datetime) -> bool:
    """Return whether there is any."""
    return escalations_due(now).exists()


def signals() -> QuerySet[Signal]:
    """Return every signal with what its body needs, newest first, in a constant number of queries."""
    return Signal.objects.select_related("system", "acknowledged_by").prefetch_related("routes")


def last_signals(system_ids: Iterable[int], limit: int = HANDY) -> list[Signal]:
    """Return the newest signals of these systems, newest first; the last thousand are one index away."""
    return list(signals().filter(system_id__in=list(system_ids)).order_by("-raised_at", "-id")[: min(limit, HANDY)])


def open_pains(*, cause: str) -> list[Signal]:
    """Return the open pains that name this cause in their data, over all systems."""
    pains = Signal.objects.filter(state__in=OPEN_STATES, type=Signal.Type.PAIN, aggregate=False)
    return list(pains.filter(**{f"data__{CAUSE}": cause})[:HANDY])


def open_counts(system_ids: Iterable[int]) -> list[tuple[int, str, str, int]]:
    """Return how many signals nobody has finished with: system, type, severity, count."""
    rows = Signal.objects.filter(system_id__in=list(system_ids), state__in=OPEN_STATES).order_by()
    return list(rows.values_list("system_id", "type", "severity").annotate(Count("pk")))


def tallies(system_ids: Iterable[int]) -> list[tuple[int, str, str, int]]:
    """Return how many signals were ever raised: system, type, severity, count.

    Counting follows the recording; what it has not reached yet is added in the same question, so that none shows twice.
    """
    shown, kind = list(system_ids), ("system_id", "type", "severity")
    counted = SignalTally.objects.filter(system_id__in=shown).order_by().values_list(*kind, "count")
    fresh = Signal.objects.filter(system_id__in=shown, counted=False).order_by().values_list(*kind)
    totals: Counter[tuple[int, str, str]] = Counter()
    for *place, n in counted.union(fresh.annotate(Count("pk")), all=True):
        totals[tuple(place)] += n
    return [(*place, n) for place, n in sorted(totals.items())]


def pain_count(system_id: int, *, since: datetime) -> int:
    """Return how many pains were accepted since, each of a group or a pattern counting once (requirements 2-48)."""
    pains = Signal.objects.filter(system_id=system_id, type=Signal.Type.PAIN, aggregate=False, raised_at__gte=since)
    return pains.count()


def signal_body(signal: Signal, told: Iterable[SignalRoute] | None = None) -> dict[str, Any]:
    """Return one signal as JSON, with its own routes unless it is *told* others."""
    data = dict(signal.data)
    if signal.pattern_count is not None:
        data["pattern_count"] = signal.pattern_count
    return {
        "id": signal.pk,
        "system": signal.system.slug,
        "type": str(signal.type),
        "severity": str(signal.severity),
        "intensity": signal.intensity,
        "source": signal.source,
        "origin": signal.origin,
        "description": signal.description,
        "data": data,
        "state": str(signal.state),
        "raised_at": moment_text(signal.raised_at),
        "expires_at": moment_text(signal.expires_at),
        "received_at": moment_text(signal.received_at),
        "last_seen_at": moment_text(signal.last_seen_at),
        "times_seen": signal.times_seen,
        "suppressed_count": signal.suppressed_count,
        "acknowledged_by": signal.acknowledged_by.get_username() if signal.acknowledged_by else None,
        "acknowledged_at": moment_text(signal.acknowledged_at),
        "ended_at": moment_text(signal.ended_at),
        "deadline_at": moment_text(signal.deadline_at),
        "escalation_level": signal.escalation_level,
        "aggregate": signal.aggregate,
        "pattern_count": signal.pattern_count,
        "child_signal": signal.child_signal_id,
        "route": [
            {
                "party": route.party,
                "level": route.level,
                "told_at": moment_text(route.told_at),
                "heard_at": moment_text(route.heard_at),
            }
            for route in (signal.routes.all() if told is None else told)
        ],
    }


def note_bodies(signal: Signal) -> list[dict[str, Any]]:
    """Return what happened to *signal*, oldest first."""
    return [
        {
            "at": moment_text(note.at),
            "by": note.by.get_username() if note.by else None,
            "from": str(note.from_state),
            "to": str(note.to_state),
            "comment": note.comment,
        }
        for note in signal.notes.select_related("by")
    ]


def dry_run(
    system: System, *, type_: str, severity: str | None, intensity: float | None, origin: Party
) -> dict[str, Any]:
    """Return where such a signal would go, without raising it. Raises Invalid for one that cannot be."""
    policy = policy_of(system.pk)
    known = parsed_type(type_)
    found = felt(known, severity, intensity, thresholds(policy))
    if found is None:
        least = thresholds(policy).of(known)
        return {"raised": False, "reason": f"Its intensity is below {least:g}, from which {known} is felt."}
    plan = plan_of(policy, known, found.severity)
    within = plan.answer_within
    return {
        "raised": True,
        "reason": "" if plan.recipients else "It is written down on S3's list; no message is sent.",
        "severity": str(found.severity),
        "intensity": found.intensity,
        "recipients": [str(party) for party in plan.recipients],
        "queue": queue_of(Channel.ALGEDONIC) if plan.recipients else None,
        "priority": plan.priority,
        "time_to_live_seconds": plan.time_to_live.total_seconds(),
        "answer_within_seconds": None if within is None else within.total_seconds(),
        "escalation_path": [str(party) for party in plan.escalation_path],
        "limits": _limits(system.pk, origin, found.severity),
        "passed_on_to": system.parent.slug if system.parent and plan.severity in routes.BYPASS else None,
    }


def _limits(system_id: int, origin: Party, severity: Severity) -> list[dict[str, Any]]:
    """Return the limits that a signal must find room in, the most specific first; critical ones meet none."""
    found = limit_policy.buckets(Channel.ALGEDONIC, origin, severity, system_id, rows=limits.policy.rows())
    return [
        {"layer": str(bucket.layer), "limit": bucket.limit.limit, "period_seconds": bucket.limit.period_seconds}
        for bucket in found
    ]


def lane_state(*, now: datetime) -> lane.LaneState:
    """Return how the lane does: the latencies of its last hour, its last answer, what it ever lost."""
    answered = CanaryRun.objects.filter(received_at__isnull=False).order_by("-sent_at")
    latencies = [each for each in answered.values_list("latency_seconds", flat=True)[:CANARIES] if each is not None]
    last = CanaryRun.objects.aggregate(at=Max("received_at"))["at"]
    row = Lane.objects.filter(pk=LANE_ROW).first() or Lane()
    return lane.LaneState(
        p50_seconds=lane.quantile(latencies, 0.5),
        p99_seconds=lane.quantile(latencies, 0.99),
        answered_at=last,
        age_seconds=None if last is None else (now - last).total_seconds(),
        lost=row.lost_total,
        failing_since=row.failing_since,
    )


def lane_body(*, now: datetime) -> dict[str, Any]:
    """Return the state of the lane as JSON."""
    state = lane_state(now=now)
    waiting = CanaryRun.objects.filter(Q(received_at=None), sent_at__gte=now - lane.FAILED_AFTER).count()
    return {
        "failing": state.failing,
        "failing_since": moment_text(state.failing_since),
        "latency_seconds": {"p50": state.p50_seconds, "p99": state.p99_seconds},
        "answered_at": moment_text(state.answered_at),
        "age_seconds": state.age_seconds,
        "lost_total": state.lost,
        "waiting": waiting,
        "period_seconds": lane.PERIOD_SECONDS,
        "failed_after_seconds": lane.FAILED_AFTER.total_seconds(),
    }
