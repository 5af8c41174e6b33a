"""What becomes of the times at which a schedule was due: run, wait, or be skipped, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

ON_TIME = timedelta(seconds=10)  # as long as a standby may need to take over: later than that is after an outage
MAX_WAITING = 100  # runs that queue up behind one that does not end


class CatchUp(StrEnum):
    """What is done after an outage about the times that were missed."""

    NONE = "none"
    LATEST = "latest"
    ALL = "all"


class Overlap(StrEnum):
    """What is done when a run is due and the one before it still goes."""

    SKIP = "skip"
    QUEUE = "queue"
    ALLOW = "allow"


class Verdict(StrEnum):
    RUN = "run"
    WAIT = "wait"
    SKIP = "skip"


@dataclass(frozen=True)
class Terms:
    """What a schedule's owner decided about it."""

    catch_up: CatchUp = CatchUp.LATEST
    catch_up_limit: int = 10
    paused_from: datetime | None = None
    paused_until: datetime | None = None
    expires_at: datetime | None = None

    def paused(self, moment: datetime) -> bool:
        """Return whether *moment* lies in the pause."""
        return (
            self.paused_from is not None
            and self.paused_until is not None
            and self.paused_from <= moment < self.paused_until
        )


@dataclass(frozen=True)
class Decision:
    """What becomes of one due time; *late* when it is only done now because of an outage."""

    due_at: datetime
    verdict: Verdict
    reason: str = ""
    late: bool = False


@dataclass(frozen=True)
class Candidate:
    """A run that could be sent."""

    id: str
    late: bool
    waiting: bool


def decide(times: Sequence[datetime], terms: Terms, *, now: datetime) -> list[Decision]:
    """Decide about *times*, which came due since the last look, oldest first."""
    open_times = [at for at in times if not terms.paused(at) and not _expired(at, terms)]
    late = [at for at in open_times if now - at > ON_TIME]
    caught_up = set(_caught_up(late, terms, fresh=len(late) < len(open_times)))
    return [_decision(at, terms, late=at in late, caught_up=at in caught_up) for at in times]


def admit(candidates: Sequence[Candidate], overlap: Overlap, *, busy: bool) -> list[tuple[Candidate, Verdict, str]]:
    """Decide which *candidates* of one schedule, oldest first, are sent now; *busy* when a run of it still goes.

    What is caught up on never falls to the overlap of its own neighbours: it waits for its turn.
    """
    decided = []
    waiting = 0
    for candidate in candidates:
        verdict, reason = Verdict.RUN, ""
        if busy and overlap is not Overlap.ALLOW:
            verdict, reason = _behind(candidate, overlap, waiting)
        busy = busy or verdict is Verdict.RUN
        waiting += verdict is Verdict.WAIT
        decided.append((candidate, verdict, reason))
    return decided


def _caught_up(late: Sequence[datetime], terms: Terms, *, fresh: bool) -> Sequence[datetime]:
    if terms.catch_up is CatchUp.ALL:
        return late[-terms.catch_up_limit :] if terms.catch_up_limit > 0 else []
    if terms.catch_up is CatchUp.LATEST and not fresh:  # a run that is due now does what the latest would
        return late[-1:]
    return []


def _decision(at: datetime, terms: Terms, *, late: bool, caught_up: bool) -> Decision:
    if _expired(at, terms):
        return Decision(at, Verdict.SKIP, "expired")
    if terms.paused(at):
        return Decision(at, Verdict.SKIP, "paused")
    if late and not caught_up:
        return Decision(at, Verdict.SKIP, "outage")
    return Decision(at, Verdict.RUN, late=late)


def _expired(at: datetime, terms: Terms) -> bool:
    return terms.expires_at is not None and at >= terms.expires_at


def _behind(candidate: Candidate, overlap: Overlap, waiting: int) -> tuple[Verdict, str]:
    if candidate.waiting or candidate.late:
        return Verdict.WAIT, ""
    if overlap is Overlap.QUEUE and waiting < MAX_WAITING:
        return Verdict.WAIT, ""
    return Verdict.SKIP, "overlap"
