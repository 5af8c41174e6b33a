"""Patterns of similar signals: what is remembered of each source and type, and the one signal that stands for many."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import datetime, timedelta

from django.db import connection, transaction
from django.db.models import F
from django.utils import timezone

from subsystems.algedonic import emission, patterns, queries
from subsystems.algedonic.intensity import SignalType
from subsystems.algedonic.models import OPEN_STATES, Signal, SignalPattern, SignalPolicy
from subsystems.algedonic.patterns import Memory, Outcome
from subsystems.algedonic.routes import answer_within
from subsystems.kernel.severity import INTENSITY, Severity
from subsystems.messaging.channels import Party
from subsystems.messaging.limits import RateLimited
from subsystems.messaging.pressure import ChannelFull

logger = logging.getLogger(__name__)
# The lock makes neighbours see each other: without it the fifth and the sixth, recorded at once, each see five.
REMEMBERED = """
    INSERT INTO algedonic_signalpattern (system_id, source, type, recent, noted_at) VALUES (%s, %s, %s, '[]', %s)
    ON CONFLICT (system_id, source, type) DO UPDATE SET noted_at = excluded.noted_at
    RETURNING *
"""


@transaction.atomic(savepoint=False)
def detect(signal: Signal, *, at: datetime) -> Signal | None:
    """Note that *signal* was felt at *at*; return the aggregate that this raised or counted one more in, if any."""
    policy = queries.policy_of(signal.system_id)
    row = _locked_memory(signal)
    memory, outcome = patterns.note(Memory(row.recent, row.fired_at), at.timestamp(), queries.pattern_rules(policy))
    if outcome is Outcome.FIRES:
        row.aggregate = _raise_aggregate(signal, len(memory.recent), policy, at)
        memory = memory if row.aggregate else replace(memory, fired_at=None)  # no room now: the next one tries again
    elif outcome is Outcome.GROWS and row.aggregate_id:
        _grow(row.aggregate_id, signal, policy, at)
    row.recent, row.fired_at, row.noted_at = list(memory.recent), memory.fired_at, timezone.now()
    row.save(update_fields=["recent", "fired_at", "aggregate", "noted_at"])
    return row.aggregate if outcome is not Outcome.NOTHING else None


def _locked_memory(signal: Signal) -> SignalPattern:
    """Return what is remembered of the source and type of *signal*, locked until the end of the transaction."""
    now = connection.ops.adapt_datetimefield_value(timezone.now())
    return SignalPattern.objects.raw(REMEMBERED, [signal.system_id, signal.source, str(signal.type), now])[0]


def _raise_aggregate(signal: Signal, count: int, policy: SignalPolicy, at: datetime) -> Signal | None:
    """Raise the one signal that stands for a pattern: this one, high at least, with the number of them (000-37)."""
    severity = patterns.aggregate_severity(Severity(signal.severity))
    plan = queries.plan_of(policy, SignalType(signal.type), severity)
    window = timedelta(seconds=policy.pattern_window_seconds)
    words = f"{count} signals like this within {window.total_seconds():g} s"
    aggregate = Signal(
        system_id=signal.system_id, type=signal.type, severity=severity, intensity=INTENSITY[severity],
        source=signal.source, origin=signal.origin, data={**signal.data, "pattern_count": count},
        description=f"{words}: {signal.description}"[:2000] if signal.description else f"{words}.",
        raised_at=at, last_seen_at=at, expires_at=at + plan.time_to_live,
        deadline_at=None if plan.answer_within is None else at + plan.answer_within,
        aggregate=True, pattern_count=count, hop_count=signal.hop_count,
    )  # fmt: skip
    aggregate.fingerprint = emission.fingerprint(aggregate)
    try:
        with transaction.atomic():
            return emission.emit(aggregate, plan)
    except (RateLimited, ChannelFull) as error:
        logger.warning("The pattern of %s could not be raised: %s", signal, error.detail)
        return None


def _grow(aggregate_id: str, signal: Signal, policy: SignalPolicy, at: datetime) -> None:
    """Count one more in the aggregate of this window; a worse one makes it worse, a milder one never better (2-36)."""
    found = Signal.objects.filter(pk=aggregate_id)
    found.update(pattern_count=F("pattern_count") + 1, last_seen_at=at)
    if signal.severity == Severity.CRITICAL:
        deadline = answer_within(SignalType(signal.type), Severity.CRITICAL, 0)
        milder = found.exclude(severity=Severity.CRITICAL).filter(state__in=OPEN_STATES)
        if milder.update(
            severity=Severity.CRITICAL, intensity=1.0, deadline_at=None if deadline is None else at + deadline
        ):
            emission.tell_parties(found.get(), [Party.S5], level=0, at=at)
    emission.show(aggregate_id)
