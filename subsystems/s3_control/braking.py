"""The brakes of acting: what must hold before anything is changed by itself, and whether it helped (§3.8)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

ENOUGH = 0.5  # of what was promised: a correction that brought less did not help
AGAIN = timedelta(seconds=15)


class Limits(BaseModel):
    """Within what an act may be done by itself. What is not said has these values."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    targets: Annotated[tuple[Annotated[str, Field(min_length=1, max_length=200)], ...], Field(max_length=100)] = ("*",)
    per_hour: Annotated[int, Field(ge=0, le=3600)] = 6
    cooldown_seconds: Annotated[float, Field(ge=0, le=86_400)] = 300.0
    most: Annotated[int | None, Field(ge=1, le=1000)] = None  # workers or processes at a time
    stop_after: Annotated[int, Field(ge=1, le=100)] = 3  # failed corrections of one subject


@dataclass(frozen=True, slots=True)
class Asked:
    """What an act done by itself would be, and what is known when it is asked for."""

    mode: str
    limits: Limits
    target: str
    size: int | None
    has_effect: bool
    data_age_seconds: float | None
    fresh_seconds: float
    held: bool
    busy: str
    last_at: datetime | None  # of the last act on this subject
    done_last_hour: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether it may be done now; if not, why, and when it is worth asking again (None: not by waiting)."""

    allowed: bool
    why: str = ""
    retry_at: datetime | None = None


ALLOWED = Verdict(True)


def verdict(asked: Asked, *, now: datetime) -> Verdict:
    """Return whether an act may be done by itself: S5's limits first, then the data, then everybody else's acts."""
    if asked.mode != "auto":
        return Verdict(False, "A person decides this." if asked.mode == "manual" else "Policy: nobody does this.")
    if asked.held:
        return Verdict(False, "It is held: corrections failed again and again.")
    if not any(fnmatchcase(asked.target, pattern) for pattern in asked.limits.targets):
        return Verdict(False, "Its target is outside of what policy leaves to the platform.")
    if asked.limits.most is not None and (asked.size or 0) > asked.limits.most:
        return Verdict(False, f"It is about {asked.size} at a time; policy allows {asked.limits.most}.")
    if not asked.has_effect:
        return Verdict(False, "It names no effect by which it could be verified.")
    if why := staleness(asked.data_age_seconds, asked.fresh_seconds):
        return Verdict(False, why, now + AGAIN)
    if asked.busy:
        return Verdict(False, asked.busy, now + AGAIN)
    return _paced(asked, now)


def staleness(age_seconds: float | None, fresh_seconds: float) -> str:
    """Return why data is no ground to act on; empty when it is fresh. Missing is not the same as quiet."""
    if age_seconds is None:
        return "What it rests on is not measured now."
    if age_seconds > fresh_seconds:
        return f"What it rests on was measured {age_seconds:.0f} s ago; at most {fresh_seconds:.0f} s is fresh."
    return ""


def _paced(asked: Asked, now: datetime) -> Verdict:
    cooldown = timedelta(seconds=asked.limits.cooldown_seconds)
    if asked.last_at is not None and now - asked.last_at < cooldown:
        ready = asked.last_at + cooldown
        return Verdict(False, f"It cools down until {ready:%H:%M:%S} UTC.", ready)
    if asked.done_last_hour >= asked.limits.per_hour:
        return Verdict(False, f"{asked.done_last_hour} of these in an hour are what policy allows.", now + 20 * AGAIN)
    return ALLOWED


def size_of(parameters: Mapping[str, Any]) -> int | None:
    """Return how many workers or processes an act is about, where it says so."""
    for name in ("by", "workers", "to"):
        if isinstance(parameters.get(name), int):
            return int(parameters[name])
    return None


@dataclass(frozen=True, slots=True)
class Benefit:
    """What a correction brought beside what was promised (§3.7: optimisation score)."""

    predicted: float
    realised: float
    score: float
    met: bool


def benefit(before: float, after: float, promised_from: float, promised_to: float) -> Benefit:
    """Return the share of the promised change that was measured; below zero where it went the other way."""
    predicted = promised_to - promised_from
    realised = after - before
    score = realised / predicted
    return Benefit(predicted, realised, score, score >= ENOUGH)


def optimisation_score(scores: Sequence[float]) -> float | None:
    """Return the mean share of promised benefits that came, each between nothing and all; None without any."""
    return sum(min(1.0, max(0.0, score)) for score in scores) / len(scores) if scores else None


def failed_in_a_row(met: Sequence[bool | None]) -> int:
    """Return how many of the latest corrections failed; *met*, newest first. An unknown one says nothing."""
    count = 0
    for each in met:
        if each:
            break
        count += each is False
    return count
