"""A rehearsed scaling policy as a picture: what arrived, the size it would have had, and what would have waited."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from subsystems.s3_control.scaling.replaying import Trial

WIDTH, HEIGHT, MOST_POINTS = 1000.0, 120.0, 400


@dataclass(frozen=True)
class Line:
    """One curve, and its greatest value."""

    name: str
    points: str
    greatest: float
    part: int


def lines(damped: Trial, bare: Trial) -> list[Line]:
    """Return the curves of two trials on one load."""
    largest = max((*damped.sizes, *bare.sizes), default=1)
    return [
        _line("Slots with S2", damped.sizes, largest, 1),
        _line("Slots without S2", bare.sizes, largest, 2),
        _line("Messages that arrive in a second", damped.arrivals, max(damped.arrivals, default=0.0), 3),
        _line("Messages that wait, with S2", damped.backlog, max(damped.backlog, default=0.0), 4),
    ]


def _line(name: str, values: Sequence[float], scale: float, part: int) -> Line:
    every = max(1, len(values) // MOST_POINTS)
    shown = [max(values[place : place + every]) for place in range(0, len(values), every)]
    across = WIDTH / max(1, len(shown) - 1)
    top = scale or 1.0
    points = " ".join(
        f"{place * across:.1f},{HEIGHT - 2 - (HEIGHT - 4) * value / top:.1f}" for place, value in enumerate(shown)
    )
    return Line(name, points, max(values, default=0.0), part)
