"""Reading how well a system is coordinated: lags, efficiency, fairness, dampers, channels, boundaries."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Min, Q, QuerySet, Sum

from subsystems.kernel.times import moment_text
from subsystems.messaging import limits
from subsystems.messaging.channels import Channel
from subsystems.messaging.limit_policy import Layer, Rows, limit_of
from subsystems.messaging.models import Message
from subsystems.messaging.outbox import OPEN
from subsystems.messaging.pressure import ChannelState
from subsystems.recursion.models import System
from subsystems.recursion.queries import root_system
from subsystems.s2_coordination import dampers
from subsystems.s2_coordination.dampers import Code
from subsystems.s2_coordination.damping import terms_of
from subsystems.s2_coordination.models import Clearing, Damper, DampingRules
from subsystems.s2_coordination.monitor import gathering, lags
from subsystems.s2_coordination.monitor.boundaries import boundaries
from subsystems.s2_coordination.monitor.fairness import Claim, Fairness, fairness
from subsystems.s2_coordination.monitor.models import CoordinationFinding, CoordinationReading
from subsystems.variety.queries import variety_body

BySystem = Mapping[int, tuple[Claim, Claim]]
WINDOW = timedelta(hours=1)
RATE_WINDOW = timedelta(minutes=5)
FRESH = timedelta(minutes=3)
LIMITED = {
    Channel.COORDINATION: (Layer.PRIORITY, ("high", "normal", "low")),
    Channel.ALGEDONIC: (Layer.SEVERITY, ("high", "medium", "low")),  # critical has no limit
}
SHOWN_DAMPERS = 100
TREND_POINTS = 120


# --- Figures of a minute ----------------------------------------------------------------------------------------------
def no_figures() -> dict[str, Any]:
    """Return the figures of a system in which nothing happened: nothing is known."""
    return {
        "lag_seconds": None, "lag_messages": 0, "unanswered": 0, "asked": 0, "allocations": 0, "conflicts": 0,
        "efficiency": None, "fairness_tasks": None, "fairness_seconds": None,
    }  # fmt: skip


def figures(shared: Iterable[BySystem], *, now: datetime) -> dict[int, dict[str, Any]]:
    """Return the figures of the last hour of every system in which something happened; *shared* are its brokers."""
    found: dict[int, dict[str, Any]] = defaultdict(no_figures)
    for system_id, lines in gathering.lag_lines(now).items():
        found[system_id] |= {"lag_seconds": lags.overall(lags.lags(lines)), "lag_messages": len(lines)}
    for system_id, asked, unanswered in _questions(now):
        found[system_id] |= {"asked": asked, "unanswered": unanswered}
    for system_id, all_, conflicts in _allocations(now):
        found[system_id] |= {
            "allocations": all_, "conflicts": conflicts, "efficiency": round(1 - conflicts / all_, 4) if all_ else None
        }  # fmt: skip
    for by_system in shared:
        tasks, seconds = judged(by_system)
        for system_id in by_system:
            found[system_id] |= {"fairness_tasks": tasks.index, "fairness_seconds": seconds.index}
    return dict(found)


def _questions(now: datetime) -> list[tuple[int, int, int]]:
    """Return by system how many messages of the last hour asked for an answer, and how many got none in time."""
    root = root_system().pk
    late = Q(reply_state="expired") | Q(reply_state="open", reply_by__lt=now)
    rows = Message.objects.filter(created_at__gte=now - WINDOW).exclude(reply_state="").order_by()
    told = rows.values_list("system_id").annotate(asked=Count("pk"), late=Count("pk", filter=late))
    return [(system_id or root, asked, unanswered) for system_id, asked, unanswered in told]


def _allocations(now: datetime) -> list[tuple[int, int, int]]:
    """Return by system how many acts were asked for, and how many of them another writer stood in the way of."""
    rows = Clearing.objects.filter(last_at__gte=now - WINDOW, told=False).order_by()
    taken = Count("pk", filter=Q(code=Code.TAKEN))
    return list(rows.values_list("damper__system_id").annotate(n=Count("pk"), conflicts=taken))


def judged(by_system: BySystem) -> tuple[Fairness, Fairness]:
    """Return how fair a broker is shared: in tasks, and in seconds of workers."""
    return fairness([pair[0] for pair in by_system.values()]), fairness([pair[1] for pair in by_system.values()])


# --- Findings ---------------------------------------------------------------------------------------------------------
def findings() -> QuerySet[CoordinationFinding]:
    """Return every finding, the newest first."""
    return CoordinationFinding.objects.select_related("system").order_by("-found_at", "-pk")


def finding_body(row: CoordinationFinding) -> dict[str, Any]:
    """Return one finding as JSON."""
    return {
        "id": row.pk,
        "system": row.system.slug,
        "kind": row.kind,
        "area": row.area,
        "subject": row.subject,
        "title": row.title,
        "summary": row.summary,
        "suggestion": row.suggestion,
        "measure": row.measure,
        "evidence": row.evidence,
        "signal": str(row.signal_id) if row.signal_id else None,
        "found_at": moment_text(row.found_at),
        "seen_at": moment_text(row.seen_at),
        "ended_at": moment_text(row.ended_at),
        "ended_why": row.ended_why,
    }


# --- Dampers ----------------------------------------------------------------------------------------------------------
def damper_bodies(system: System, *, now: datetime) -> list[dict[str, Any]]:
    """Return the dampers of a system, those in force first; two queries."""
    terms = terms_of(system.pk)
    rows = Damper.objects.filter(system=system).order_by("-asked_at")[:SHOWN_DAMPERS]
    bodies = [damper_body(row, terms, now=now) for row in rows]
    return sorted(bodies, key=lambda body: not body["in_force"])


def damper_body(row: Damper, terms: dampers.DampingTerms, *, now: datetime) -> dict[str, Any]:
    """Return one damper as JSON: what would be refused now, until when and why."""
    verdicts = row.verdicts(terms, now=now)
    ways = {"add": verdicts[1], "take_away": verdicts[-1]}
    refused = {way: verdict for way, verdict in ways.items() if not verdict.allowed}
    leased = row.leased_until is not None and row.leased_until > now
    return {
        "id": row.pk,
        "subject": row.subject,
        "in_force": bool(refused),
        "refused": [
            {"way": way, "code": str(verdict.code), "why": verdict.reason, "until": moment_text(verdict.retry_at)}
            for way, verdict in refused.items()
        ],
        "last_direction": row.direction,
        "acted_at": moment_text(row.acted_at),
        "reversals": dampers.level(row.past, terms, now=now),
        "returns_seconds": round(dampers.returns_after(row.past, terms, now=now), 1) or None,
        "period_seconds": row.period_seconds and round(row.period_seconds, 1),
        "leased_to": row.leased_to if leased else None,
        "leased_until": moment_text(row.leased_until) if leased else None,
        "asked_at": moment_text(row.asked_at),
    }


def rules_body(system: System) -> dict[str, Any]:
    """Return how a system damps."""
    row = DampingRules.objects.filter(system=system).first() or DampingRules(system=system)
    return {"enabled": row.enabled, **{name: getattr(row, name) for name in DampingRules.NUMBERS}}


# --- The whole --------------------------------------------------------------------------------------------------------
def coordination_body(system: System, *, readable: Iterable[int], now: datetime) -> dict[str, Any]:
    """Return all that is known of how a system is coordinated; of systems that are not *readable* no name is told."""
    lines = gathering.lag_lines(now).get(system.pk, [])
    told = lags.lags(lines)
    asked, unanswered = next((row[1:] for row in _questions(now) if row[0] == system.pk), (0, 0))
    all_, conflicts = next((row[1:] for row in _allocations(now) if row[0] == system.pk), (0, 0))
    return {
        "system": system.slug,
        "at": moment_text(now),
        "window_seconds": WINDOW.total_seconds(),
        "lag": {
            "mean_seconds": lags.overall(told), "messages": len(lines), "asked": asked, "unanswered": unanswered,
            "pairs": told,
        },
        "efficiency": {
            "value": round(1 - conflicts / all_, 4) if all_ else None, "allocations": all_, "conflicts": conflicts,
        },
        "fairness": fairness_bodies(system, readable=readable, now=now),
        "damping": rules_body(system),
        "dampers": damper_bodies(system, now=now),
        "channels": channel_bodies(system, now=now),
        "boundaries": boundary_bodies(system),
        "open_findings": _open_counts(system),
    }  # fmt: skip


def _open_counts(system: System) -> dict[str, int]:
    rows = CoordinationFinding.objects.filter(system=system, ended_at=None).order_by()
    return dict(rows.values_list("kind").annotate(Count("pk")))


def fairness_bodies(system: System, *, readable: Iterable[int], now: datetime) -> list[dict[str, Any]]:
    """Return for each broker that *system* shares with others what each got; strangers have no name."""
    seen = set(readable) | {system.pk}
    bodies = []
    for number, by_system in enumerate(gathering.claims(gathering.fleets_told(now)).values(), 1):
        if system.pk in by_system:
            shown = {pk: pair if pk in seen else _nameless(pair) for pk, pair in by_system.items()}
            tasks, seconds = judged(shown)
            told = {"tasks": tasks.to_wire(), "worker_seconds": seconds.to_wire()}
            bodies.append({"broker": f"shared broker {number}", **told})
    return bodies


def _nameless(pair: tuple[Claim, Claim]) -> tuple[Claim, Claim]:
    tasks, seconds = (replace(claim, name="another system") for claim in pair)
    return tasks, seconds


# --- Channels (ChannelMonitor) ----------------------------------------------------------------------------------------
def channel_bodies(system: System, *, now: datetime) -> list[dict[str, Any]]:
    """Return for each channel what this system offered in five minutes, what it may carry, and what of it waits.

    The capacity is what the rate limits let one system say on the channel; the room for what waits is the platform's.
    """
    mine = Message.objects.filter(system=system).order_by()
    said = mine.filter(created_at__gte=now - RATE_WINDOW).values_list("channel").annotate(n=Sum("count"))
    waiting = mine.filter(state__in=OPEN).values_list("channel").annotate(n=Count("pk"), since=Min("created_at"))
    offered, rows = dict(said), limits.policy.rows()
    open_ = {channel: ChannelState(n, max((now - since).total_seconds(), 0.0)) for channel, n, since in waiting}
    return [
        _channel_body(
            channel,
            offered.get(channel, 0) / RATE_WINDOW.total_seconds(),
            open_.get(channel, ChannelState()),
            capacity_of(channel, system.pk, rows),
        )
        for channel in Channel
        if channel != Channel.PLATFORM
    ]


def _channel_body(channel: Channel, rate: float, state: ChannelState, capacity: float | None) -> dict[str, Any]:
    return {
        "channel": str(channel),
        "offered_per_second": round(rate, 4),
        "capacity_per_second": capacity,
        "utilisation": None if capacity is None else round(rate / capacity, 6),
        "backlog": state.backlog,
        "oldest_age_seconds": round(state.oldest_age_seconds, 3) if state.backlog else None,
        "room": state.capacity,
        "room_used": round(state.utilisation, 6),
    }


def capacity_of(channel: Channel, system_id: int, rows: Rows) -> float | None:
    """Return how many messages a second the limits let one system say on a channel; None where nothing limits it."""
    layer, keys = LIMITED.get(channel, (Layer.SUBSYSTEM, ("",)))
    found = [limit_of(layer, key, system_id, rows=rows) for key in keys]
    rates = [limit.limit / limit.period_seconds for limit in found if limit is not None]
    return round(sum(rates), 4) if len(rates) == len(keys) else None


# --- Boundaries (VarietyManager) --------------------------------------------------------------------------------------
def boundary_bodies(system: System) -> list[dict[str, Any]]:
    """Return what each boundary absorbs; nothing while no variety is measured."""
    found = variety_body(system)
    return boundaries(found) if found["status"] == "measured" else []


def latest(system_ids: Iterable[int], *, now: datetime) -> dict[int, CoordinationReading]:
    """Return the newest figures of each system, none older than three minutes."""
    rows = CoordinationReading.objects.filter(system_id__in=list(system_ids), at__gte=now - FRESH).order_by("slot")
    return {row.system_id: row for row in rows}


def trend(system: System) -> Sequence[CoordinationReading]:
    """Return the figures of the last two hours, oldest first."""
    return list(CoordinationReading.objects.filter(system=system).order_by("-slot")[:TREND_POINTS])[::-1]
