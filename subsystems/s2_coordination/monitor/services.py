"""Looking once a minute: what swings, who clashes, how fair and how quick it is; telling it, and damping."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from django.contrib.auth.models import User
from django.db import transaction

from subsystems.algedonic.queries import CAUSE
from subsystems.algedonic.services import end_by_itself, try_to_raise
from subsystems.event_log.services import append
from subsystems.event_log.streams import Stream
from subsystems.kernel.errors import Invalid
from subsystems.kernel.severity import PRIORITY, Severity
from subsystems.messaging.channels import Channel, Party
from subsystems.messaging.envelope import Envelope
from subsystems.messaging.limits import RateLimited
from subsystems.messaging.pressure import ChannelFull
from subsystems.messaging.services import publish
from subsystems.messaging.slots import slot_once
from subsystems.recursion.models import System
from subsystems.recursion.queries import root_system
from subsystems.s1_operations.models import Fleet
from subsystems.s2_coordination import damping
from subsystems.s2_coordination.models import Damper
from subsystems.s2_coordination.monitor import conflicts, findings, gathering, queries
from subsystems.s2_coordination.monitor.findings import Found
from subsystems.s2_coordination.monitor.gathering import Controlled
from subsystems.s2_coordination.monitor.models import CoordinationFinding, CoordinationReading, TenantShare
from subsystems.s2_coordination.monitor.oscillation import RAPID_SECONDS, Movement, Swing, most_within, swing_of

logger = logging.getLogger(__name__)
JOB, PERIOD_SECONDS = "s2_coordination.look", 60
CLASH_SECONDS = 3600.0
RECOVERY = timedelta(minutes=15)  # so long S1 has to see to it by itself before it hurts (3.4)
UNSEEN = timedelta(hours=2)  # of which nothing is measured any more
ANSWER_WITHIN = timedelta(seconds=60)
KEEP_READINGS, KEEP_FINDINGS = timedelta(days=2), timedelta(days=30)
FOUND, ENDED = "coordination.found", "coordination.ended"
COORDINATION = "coordination"
MOST_DAMPERS = 500


@dataclass
class Seen:
    """What one look saw in one system; *unknown* are the subjects of which nothing could be said.

    *periods* are those of the demand for what is scaled, in seconds.
    """

    found: dict[str, Found] = field(default_factory=dict)
    unknown: set[str] = field(default_factory=set)
    movements: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    periods: dict[str, float] = field(default_factory=dict)

    def take(self, found: Found) -> None:
        self.found[found.key] = found


def look_slot(*, now: datetime) -> bool:
    """Look once in this minute, whoever asks; return whether this call did."""
    with slot_once(JOB, PERIOD_SECONDS, now=now) as slot:
        if slot is not None:
            look(slot, now=now)
    return slot is not None


def look(slot: int, *, now: datetime) -> None:
    """Look at every system, tell what is new and what is over, and write down the figures of this minute."""
    shared = list(gathering.claims(gathering.fleets_told(now)).values())
    seen = _see(shared, now)
    figures = queries.figures(shared, now=now)
    before, standing = _suspects(slot - PERIOD_SECONDS), _standing()
    readings = []
    for system in System.objects.all():
        each = seen.get(system.pk, Seen())
        settle(system, each, before.get(system.pk, set()), standing.get(system.pk, {}), now=now)
        _expect(system, each.periods, now)
        body = {
            **figures.get(system.pk, queries.no_figures()),
            "movements": dict(each.movements),
            "suspects": sorted(each.found),
        }
        readings.append(CoordinationReading(system=system, slot=slot, at=now, body=body))
    CoordinationReading.objects.bulk_create(readings, ignore_conflicts=True)


def _standing() -> dict[int, dict[str, CoordinationFinding]]:
    """Return what is open, by system and key."""
    found: dict[int, dict[str, CoordinationFinding]] = defaultdict(dict)
    for row in CoordinationFinding.objects.filter(ended_at=None).select_related("signal"):
        found[row.system_id][f"{row.kind}/{row.area}/{row.subject}"] = row
    return found


def _suspects(slot: int) -> dict[int, set[str]]:
    rows = CoordinationReading.objects.filter(slot=slot).values_list("system_id", "body__suspects")
    return {system_id: set(keys or ()) for system_id, keys in rows}


# --- Seeing -----------------------------------------------------------------------------------------------------------
def _see(shared: Iterable[queries.BySystem], now: datetime) -> dict[int, Seen]:
    seen: dict[int, Seen] = defaultdict(Seen)
    for by_system in shared:
        tasks, _ = queries.judged(by_system)
        for system_id, (claim, _) in by_system.items():
            unfair = findings.of_unfair(tasks, claim.name)
            if unfair is not None:
                seen[system_id].take(unfair)
    for each in gathering.controlled(now):
        _judge(each, seen[each.system_id])
    for system_id, acts in gathering.by_system(gathering.acts(now, CLASH_SECONDS)).items():
        for clash in conflicts.clashes(acts):
            seen[system_id].take(findings.of_clash(clash))
    for _, queue, fleets in gathering.shared_queues(now):
        for fleet in fleets:
            others = [_named(other, fleet) for other in fleets if other.pk != fleet.pk]
            seen[fleet.system_id].take(findings.of_shared_queue(queue, fleet.name, others))
    for collision in conflicts.collisions(gathering.dues(now)):
        seen[root_system().pk].take(findings.of_collision(collision))
    return seen


def _named(other: Fleet, mine: Fleet) -> str:
    return other.name if other.system_id == mine.system_id else "a fleet of another system"


def _judge(each: Controlled, seen: Seen) -> None:
    swing = swing_of(each.at, each.values, step_seconds=each.step_seconds, least_amplitude=each.least_amplitude)
    if each.moments is not None:
        swing = _exact(swing, each.moments)
    if each.area == gathering.DEMAND:
        if swing.movement is Movement.OSCILLATING and swing.period_seconds:
            seen.periods[each.subject] = swing.period_seconds
        return
    seen.movements[str(swing.movement)] += 1
    start = float(each.at[0]) if len(each.at) else 0.0
    found = findings.of_swing(swing, each.area, each.subject, each.title, start=start, points=each.values.tolist())
    if found is not None:
        seen.take(found)
    if swing.movement is Movement.INSUFFICIENT:
        seen.unknown.add(f"oscillation/{each.area}/{each.subject[:300]}")


def _exact(swing: Swing, moments: Sequence[float]) -> Swing:
    """Count adjustments where each of them is known, not only what a grid shows of them."""
    count = most_within(moments, RAPID_SECONDS)
    often = findings.rapid(count)
    counted = replace(swing, adjustments=count)
    if often and swing.movement is not Movement.OSCILLATING:
        return replace(counted, movement=Movement.RAPID, reason=often)
    return counted


# --- Telling ----------------------------------------------------------------------------------------------------------
def settle(
    system: System, seen: Seen, before: set[str], standing: dict[str, CoordinationFinding], *, now: datetime
) -> None:
    """Open what was found twice in a row, renew what is *standing* and still so, end what is no more. Twice is safe."""
    standing = dict(standing)
    for key, found in seen.found.items():
        row = standing.pop(key, None)
        if row is not None:
            _renew(row, found, now)
        elif key in before:
            _open(system, found, now)
    for key, row in standing.items():
        if key not in seen.unknown:
            end(row, now=now, why="It is so no more.")
        elif now - row.seen_at > UNSEEN:
            end(row, now=now, why="Nothing is measured of it any more.")


@transaction.atomic
def _open(system: System, found: Found, now: datetime) -> None:
    row, made = CoordinationFinding.objects.get_or_create(
        system=system, kind=found.kind, area=found.area, subject=found.subject, ended_at=None,
        defaults={
            "title": found.title, "summary": found.summary, "suggestion": found.suggestion,
            "evidence": dict(found.evidence), "found_at": now, "seen_at": now,
        },
    )  # fmt: skip
    if made:
        _tell(FOUND, row)
        _see_to(row, found, now)


@transaction.atomic
def _renew(row: CoordinationFinding, found: Found, now: datetime) -> None:
    row.title, row.summary, row.suggestion = found.title, found.summary, found.suggestion
    row.evidence, row.seen_at = dict(found.evidence), now
    row.save(update_fields=["title", "summary", "suggestion", "evidence", "seen_at"])
    _see_to(row, found, now)


def _see_to(row: CoordinationFinding, found: Found, now: datetime) -> None:
    """Damp what can be damped, and let it hurt once it grows or nobody has put an end to it."""
    if found.hold_seconds:
        _damp(row, found, now)
    lasting = now - row.found_at >= RECOVERY and row.kind in ("oscillation", "clash")
    if row.signal_id is None and (found.grave or lasting):
        row.signal = try_to_raise(
            type="pain",
            source=f"s2:{row.area}:{row.subject}"[:200],
            severity=Severity.HIGH if found.grave else Severity.MEDIUM,
            data={CAUSE: COORDINATION, "finding": row.pk, "kind": row.kind, "subject": row.subject},
            system_id=row.system_id,
            description=f"{row.title}. {row.summary} {row.suggestion}"[:2000],
            origin=Party.S2,
            at=now,
        )
        row.save(update_fields=["signal"])


def _damp(row: CoordinationFinding, found: Found, now: datetime) -> None:
    """Put down the dampers of what swings: of the subject itself, or of those that a queue's workers go by."""
    known = Damper.objects.filter(system_id=row.system_id).order_by("-asked_at")[:MOST_DAMPERS]
    held = [
        damper
        for damper in known
        if findings.is_about(damper.subject, found.subject) and not damper.let_go_since(row.found_at)
    ]
    until = now + timedelta(seconds=found.hold_seconds)
    for damper in held:
        if damper.held_until is None or damper.held_until < now + timedelta(seconds=found.hold_seconds / 2):
            damping.hold(row.system_id, damper.subject, until, row.title, now=now)
    said = f"Nothing may be taken away from {held[0].subject} for now." if held else ""
    if said != row.measure:
        row.measure = said[:300]
        row.save(update_fields=["measure"])


def _expect(system: System, periods: Mapping[str, float], now: datetime) -> None:
    """Tell the dampers of what is scaled with which period the demand for it swings."""
    known = Damper.objects.filter(system=system).order_by("-asked_at")[:MOST_DAMPERS] if periods else ()
    for damper in known:
        told = [period for subject, period in periods.items() if findings.is_about(damper.subject, subject)]
        if told:
            damping.expect([damper.pk], max(told), now=now)


@transaction.atomic
def end(row: CoordinationFinding, *, now: datetime, why: str) -> bool:
    """End a finding and its pain; return False when it was over already."""
    if not CoordinationFinding.objects.filter(pk=row.pk, ended_at=None).update(ended_at=now, ended_why=why):
        return False
    row.ended_at, row.ended_why = now, why
    if row.signal is not None:
        end_by_itself(row.signal, now=now, why=why)
    _tell(ENDED, row)
    return True


def _tell(type_: str, row: CoordinationFinding) -> None:
    """Tell S1 on the coordination channel, and ask it to say that it heard; a channel that is full is only logged."""
    payload = {
        "finding": row.pk, "kind": row.kind, "area": row.area, "subject": row.subject, "title": row.title,
        "suggestion": row.suggestion, "open": row.ended_at is None, "why": row.ended_why,
    }  # fmt: skip
    told = Envelope(
        channel=Channel.COORDINATION, sender=Party.S2, recipient=Party.S1, type=type_, payload=payload,
        priority=PRIORITY[Severity.MEDIUM],
    )  # fmt: skip
    try:
        publish(told, system_id=row.system_id, reply_within=ANSWER_WITHIN)
    except (RateLimited, ChannelFull) as error:
        logger.warning("S1 was not told of %s: %s", row.title, error.detail)


# --- What people decide -----------------------------------------------------------------------------------------------
@transaction.atomic
def set_weight(system: System, weight: float, *, by: User | None, now: datetime) -> TenantShare:
    """Change how much of what it shares a system may claim. Raises Invalid naming `weight`."""
    if not 0.01 <= weight <= 1000:
        raise Invalid("A weight is from 0.01 to 1000.", field="weight")
    row, _ = TenantShare.objects.update_or_create(system=system, defaults={"weight": weight})
    actor = by.get_username() if by else ""
    append(Stream.COORDINATION, "share.changed", {"weight": weight}, system_id=system.pk, actor=actor, at=now)
    return row


# --- Forgetting -------------------------------------------------------------------------------------------------------
def forget(*, now: datetime) -> None:
    """Delete old readings, findings that ended long ago, and what was asked of dampers."""
    CoordinationReading.objects.filter(at__lt=now - KEEP_READINGS).delete()
    CoordinationFinding.objects.filter(ended_at__lt=now - KEEP_FINDINGS).delete()
    damping.forget_clearings(now=now)
