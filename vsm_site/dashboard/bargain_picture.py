"""A pool as bars on one scale: what each unit is guaranteed, holds, uses and may have at most. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from subsystems.s3_control.bargaining.queries import PoolNow, UnitNow

WIDTH = 240.0


@dataclass(frozen=True)
class Bar:
    """One unit: lengths from the left in the picture's own units, None for what there is not, and the same in words."""

    now: UnitNow
    held: float
    used: float | None
    offered: float | None
    guarantee: float | None
    ceiling: float | None
    words: str


@dataclass(frozen=True)
class PoolShown:
    """A pool with its bars, all on the scale of *most*."""

    now: PoolNow
    bars: Sequence[Bar]
    most: float


def shown(now: PoolNow) -> PoolShown:
    """Return the picture of a pool; the scale reaches to whatever is greatest in it."""
    told = [now.pool.capacity or 0.0, now.pool.limit or 0.0]
    for each in now.units:
        told += [each.held, each.offered or 0.0, each.unit.used or 0.0, each.unit.guarantee]
    most = max(told) or 1.0
    return PoolShown(now, [_bar(each, now, most) for each in now.units], most)


def _bar(each: UnitNow, now: PoolNow, most: float) -> Bar:
    def at(value: float) -> float:
        return round(min(1.0, value / most) * WIDTH, 1)

    unit = each.unit
    used = "not measured" if unit.used is None else f"{unit.used:.4g} used"
    parts = [f"{each.held:g} {now.pool.unit} held", used, f"{unit.guarantee:g} guaranteed"]
    parts += [f"{each.offered:g} offered"] if each.offered is not None else []
    parts += [f"{unit.ceiling:g} at most"] if unit.ceiling is not None else []
    return Bar(
        each, at(each.held), None if unit.used is None else at(unit.used),
        None if each.offered is None else at(each.offered), at(unit.guarantee) if unit.guarantee else None,
        None if unit.ceiling is None else at(unit.ceiling), f"{unit.name}: {', '.join(parts)}",
    )  # fmt: skip
