"""A rule run over the past: how often it would have fired, when, for how long, and how many would have been told.

The state machine is the one that runs live; only the time is passed in.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

from alerts import machine
from alerts.conditions.ragged import Floats, Rows
from alerts.limits import Told, suppression
from alerts.machine import Memory, State, Terms, Verdict

HOUR_SECONDS = 3600.0


@dataclass
class Episode:
    """One alert as it would have been; *series* is its place, -1 where one alert is over all."""

    series: int
    pending_at: float
    fired_at: float | None = None
    ended_at: float | None = None
    level: int = 0


Overall = Callable[[int, int], Verdict]  # of how many hold, and how many were heard


def sliding(measure: Callable[[Rows, float], Floats], seconds: float, rows: Rows, moments: Floats) -> Floats:
    """Return what *measure* makes of each row at each moment, from the *seconds* before it: series by moments."""
    answer = np.full((len(rows), len(moments)), np.nan)
    order = np.argsort(rows.at, kind="stable")
    at, values, row_of = rows.at[order], rows.values[order], rows.row_of[order]
    low = np.searchsorted(at, moments - seconds, "right")
    high = np.searchsorted(at, moments, "right")
    for place, (start, end) in enumerate(zip(low.tolist(), high.tolist(), strict=True)):
        inside = np.argsort(row_of[start:end], kind="stable") + start
        starts = np.searchsorted(row_of[inside], np.arange(len(rows) + 1))
        window = Rows(at[inside], values[inside], starts.astype(np.int64))
        answer[:, place] = measure(window, float(moments[place]))
    return answer


def on_steps(rows: Rows, moments: Floats, step: float) -> Floats:
    """Return the value of each row in the step that ends at each moment, NaN where it has none."""
    answer = np.full((len(rows), len(moments)), np.nan)
    place = np.searchsorted(moments, rows.at, "left")
    known = (place < len(moments)) & (moments[np.minimum(place, len(moments) - 1)] - rows.at < step)
    answer[rows.row_of[known], place[known]] = rows.values[known]
    return answer


def rehearsed(values: Floats, moments: Floats, terms: Terms, overall: Overall | None = None) -> list[Episode]:
    """Return the alerts that *values* (series by moments) would have raised; *terms* are those of each series.

    With *overall* one alert is over all of them.
    """
    alone = overall is None
    memory = machine.fresh(len(values) if alone else 1)
    one = terms if alone else terms.of(np.arange(min(1, len(values))))
    last_heard, calm = _last_heard(values, moments), _calm(values, terms) if alone else np.zeros(len(moments), np.bool_)
    open_: dict[int, Episode] = {}
    done: list[Episode] = []
    for place, now in enumerate(moments.tolist()):
        if calm[place] and not open_:
            continue  # what is normal stays as it is, which is most of the time
        column, heard = values[:, place], last_heard[:, place]
        seen = memory if alone else _spread(memory, len(values))
        verdict = machine.judged(column, np.where(np.isnan(column), np.nan, now), terms, seen, now=now)
        levels = machine.levels(column, terms)
        latest = heard
        if overall is not None:
            holding, known = int((verdict == Verdict.HOLDS).sum()), int((verdict != Verdict.NO_DATA).sum())
            verdict = np.array([overall(holding, known)], np.int8)
            levels, latest = levels.max(initial=0, keepdims=True), np.fmax.reduce(heard, initial=np.nan, keepdims=True)
        at = np.full(len(verdict), now)
        step = machine.advance(verdict, at, np.full(len(at), np.nan), one, memory, now=now, heard=latest)
        _follow(step, memory, levels, now, open_, done, alone)
        memory = Memory(step.state, step.since, step.recovering_since, memory.held)
    return sorted([*done, *open_.values()], key=lambda each: (each.fired_at or each.pending_at, each.series))


def _last_heard(values: Floats, moments: Floats) -> Floats:
    """Return when each series was last heard, at each moment: series by moments, NaN before the first."""
    found: Floats = np.fmax.accumulate(np.where(np.isnan(values), np.nan, moments), axis=1)
    return found


def _calm(values: Floats, terms: Terms) -> machine.Flags:
    """Return at which moments nothing begins: no series meets its threshold, and silence alarms nobody."""
    if (terms.no_data == 1).any():
        return np.zeros(values.shape[1], np.bool_)
    met = machine.meets(values, terms.comparison[:, None], terms.threshold[:, None])
    return np.logical_not(met.any(axis=0)).reshape(values.shape[1])


def _spread(memory: Memory, n: int) -> Memory:
    return Memory(*(np.repeat(getattr(memory, name), n) for name in Memory.__slots__))


def _follow(
    step: machine.Step, before: Memory, levels: machine.Codes, now: float, open_: dict[int, Episode],
    done: list[Episode], alone: bool,
) -> None:  # fmt: skip
    for pair in np.flatnonzero((step.state != State.NORMAL) | (before.state != State.NORMAL)).tolist():
        state = step.state[pair]
        if state == State.NORMAL:
            episode = open_.pop(pair)
            episode.ended_at = now
            if episode.fired_at is not None:
                done.append(episode)
            continue
        episode = open_.setdefault(pair, Episode(pair if alone else -1, now))
        if state != State.PENDING and episode.fired_at is None:
            episode.fired_at = now
        episode.level = max(episode.level, int(levels[pair]))


@dataclass(frozen=True, slots=True)
class Tally:
    """What people would have been told of, and how much not, by reason."""

    told: list[Episode]
    withheld: dict[str, int]


def tally(
    episodes: Sequence[Episode], severities: Sequence[str], *, cooldown_seconds: float, max_per_hour: int
) -> Tally:
    """Return what the cooldown and the cap of the hour would have let through; *severities* are by level."""
    before: dict[int, Told] = {}
    heard: list[Episode] = []
    told: list[float] = []
    withheld: Counter[str] = Counter()
    for episode in episodes:
        if episode.fired_at is None:
            continue
        now, severity = datetime.fromtimestamp(episode.fired_at, UTC), severities[episode.level]
        recent = sum(1 for at in reversed(told) if at > episode.fired_at - HOUR_SECONDS)
        why = suppression(
            severity, now=now, cooldown=timedelta(seconds=cooldown_seconds), before=before.get(episode.series),
            told_last_hour=recent, max_per_hour=max_per_hour,
        )  # fmt: skip
        if why:
            withheld[why] += 1
            continue
        heard.append(episode)
        before[episode.series] = Told(now, severity)
        told += [episode.fired_at] * (severity != "critical")
    return Tally(heard, dict(withheld))
