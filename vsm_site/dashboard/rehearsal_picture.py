"""The picture of a rehearsal: a bar for each time that a pattern would have been detected, on one scale. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

WIDTH, LEAST = 1000.0, 3.0
CLASSES = {"act": "bad", "warn": "open", "watch": "skipped"}


@dataclass(frozen=True)
class Bar:
    """One time, from its beginning to its end."""

    x: float
    width: float
    kind: str
    words: str


@dataclass(frozen=True)
class Picture:
    bars: tuple[Bar, ...]
    marks: tuple[tuple[float, str], ...]  # where a part of the time begins, and which


def picture(told: Mapping[str, Any]) -> Picture:
    """Place what a rehearsal found between its beginning and its end."""
    start, end = (datetime.fromisoformat(told[name]) for name in ("from", "to"))
    whole = max((end - start).total_seconds(), 1.0)

    def place(text: str) -> float:
        return round((datetime.fromisoformat(text) - start).total_seconds() / whole * WIDTH, 2)

    bars = []
    for each in told["detections"]:
        x = min(max(place(each["began_at"]), 0.0), WIDTH - LEAST)
        until = place(each["ended_at"]) if each["ended_at"] else WIDTH
        words = f"{each['began_at'][:19].replace('T', ' ')} {each['key'] or 'the system'}: {each['level']}"
        bars.append(Bar(x, round(max(LEAST, until - x), 2), CLASSES[each["level"]], words))
    quarters = [start + timedelta(seconds=whole * part / 4) for part in range(4)]
    return Picture(tuple(bars), tuple((WIDTH / 4 * at, f"{each:%Y-%m-%d %H:%M}") for at, each in enumerate(quarters)))
