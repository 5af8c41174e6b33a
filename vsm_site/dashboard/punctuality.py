"""A small picture of a schedule's last runs: one bar each, as high as it was late, with its outcome's colour."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from subsystems.s2_coordination.models import ScheduleRun
from vsm_site.dashboard import zones

WIDTH, HEIGHT = 240, 32
BARS = 40
SCALE = (0.1, 3600.0)  # seconds: the lowest bar and the highest, with a logarithm between
KINDS = {"succeeded": "good", "failed": "bad", "lost": "bad", "expired": "bad", "skipped": "skipped"}
WORDS = {"paused": "in a pause", "overlap": "the run before it still went", "outage": "no beat ran"}


@dataclass(frozen=True)
class Bar:
    """One run as a rectangle, with a sentence about it."""

    x: float
    y: float
    width: float
    height: float
    kind: str  # good, bad, skipped or open
    title: str


def bars(runs: Sequence[ScheduleRun]) -> list[Bar]:
    """Return the picture of *runs*, newest first; the newest is the rightmost."""
    step = WIDTH / BARS
    shown = list(reversed(runs[:BARS]))
    offset = BARS - len(shown)
    return [_bar(run, (offset + number) * step, step - 1.5) for number, run in enumerate(shown)]


def _bar(run: ScheduleRun, x: float, width: float) -> Bar:
    delay = None if run.started_at is None else max((run.started_at - run.due_at).total_seconds(), 0.0)
    height = 5.0 if delay is None else _height(delay)
    kind = KINDS.get(run.state, "open")
    return Bar(round(x, 2), round(HEIGHT - height, 2), round(width, 2), round(height, 2), kind, _title(run, delay))


def _height(delay: float) -> float:
    low, high = (math.log(bound) for bound in SCALE)
    place = (math.log(min(max(delay, SCALE[0]), SCALE[1])) - low) / (high - low)
    return 5 + place * (HEIGHT - 5)


def _title(run: ScheduleRun, delay: float | None) -> str:
    begun = "" if delay is None else f", begun {delay:.1f} s later"
    why = f" ({WORDS.get(run.reason, run.reason)})" if run.reason else ""
    return f"{zones.told(run.due_at, 'zone')}: {run.state}{why}{begun}"
