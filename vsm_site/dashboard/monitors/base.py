"""What a monitor is made of, and how its numbers are written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from subsystems.kernel.health import Health, band
from subsystems.recursion.models import System

SHOWN = 5  # of what needs attention, of each kind
HOUR, DAY, WEEK = timedelta(hours=1), timedelta(days=1), timedelta(days=7)
UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a panel; *level* is a state of health where the value has one."""

    name: str
    value: str
    level: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Panel:
    """One monitor: what it sees, and where more of it is to be had (*page* is the name of an address)."""

    title: str
    about: str
    page: str
    rows: Sequence[Row]


@dataclass(frozen=True, slots=True)
class Need:
    """Something that needs attention; *level* is critical, warning or info."""

    level: str
    text: str
    page: str
    argument: Any = None


@dataclass(frozen=True, slots=True)
class Asked:
    """Of whom and of when it is asked; of systems that are not *readable* no name is told."""

    system: System
    now: datetime
    readable: tuple[int, ...]


Monitors = tuple[list[Panel], list[Need]]


# --- Words ------------------------------------------------------------------------------------------------------------
def percent(value: float | None) -> str:
    """Return a share as people read it."""
    return UNKNOWN if value is None else f"{value:.1%}".replace("%", " %")


def seconds(value: float | None) -> str:
    """Return a duration as people read it."""
    if value is None:
        return UNKNOWN
    if value < 1:
        return f"{value * 1000:.0f} ms"
    return f"{value:.1f} s" if value < 60 else f"{value / 60:.1f} min" if value < 3600 else f"{value / 3600:.1f} h"


def number(value: float | None, unit: str = "") -> str:
    """Return a number with its unit."""
    if value is None:
        return UNKNOWN
    text = f"{value:,.0f}" if value == int(value) else f"{value:,.2f}" if abs(value) >= 0.01 else f"{value:.2g}"
    return f"{text} {unit}".rstrip()


def scored(name: str, value: float | None, note: str = "") -> Row:
    return Row(name, percent(value), str(band(value)), note)


def harm(count: int, level: str = "degraded") -> str:
    """Return how well it is that there are *count* of something bad."""
    return str(Health.HEALTHY) if not count else level


def room(used: float) -> str:
    """Return how well it is that *used* of something is used."""
    return "healthy" if used < 0.8 else "degraded" if used < 0.95 else "unhealthy"
