"""What S5 is asked to decide, and its answers. Those above write here, so that nothing below needs to know them."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta

from subsystems.s5_policy.models import Decision

KEEP = timedelta(days=30)


def ask(system_id: int, fingerprint: str, *, asked_at: datetime, within: timedelta) -> None:
    """Record that an answer to *fingerprint* is due. Asking the same thing twice at one moment is asking once."""
    Decision.objects.bulk_create(
        [Decision(system_id=system_id, fingerprint=fingerprint, asked_at=asked_at, due_at=asked_at + within)],
        ignore_conflicts=True,
    )


def ask_all(system_id: int, fingerprints: Iterable[str], *, asked_at: datetime, within: timedelta) -> None:
    """Record that answers to *fingerprints* are due, in one statement."""
    rows = [
        Decision(system_id=system_id, fingerprint=each, asked_at=asked_at, due_at=asked_at + within)
        for each in fingerprints
    ]
    Decision.objects.bulk_create(rows, ignore_conflicts=True, batch_size=500)


def answer(system_id: int, fingerprint: str, *, at: datetime) -> int:
    """Record an answer to all that is open about *fingerprint*; return how many questions that settled."""
    waiting = Decision.objects.filter(system_id=system_id, fingerprint=fingerprint, answered_at=None)
    return waiting.update(answered_at=at)


def answer_all(system_id: int, fingerprints: Collection[str], *, at: datetime) -> int:
    """Record an answer to all that is open about *fingerprints*; return how many questions that settled."""
    waiting = Decision.objects.filter(system_id=system_id, fingerprint__in=fingerprints, answered_at=None)
    return waiting.update(answered_at=at)


def forget_decisions(*, now: datetime) -> int:
    """Delete alerts' questions that nobody counts any more; return how many. What people put down or judge stays."""
    forgotten = Decision.objects.filter(asked_at__lt=now - KEEP, title="", criterion="")
    return forgotten.delete()[0]
