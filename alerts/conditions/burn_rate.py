"""How fast an error budget burns, over several pairs of windows (The Site Reliability Workbook, chapter 5).

Burning at 1 spends the budget exactly by the end of its period. A pair of a long and a short window fires while both
burn faster than its factor: the long one says that it matters, the short one that it still goes on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from alerts.conditions.kind import Asked, Feed, Kind, number, text
from alerts.conditions.ragged import Floats
from subsystems.kernel.errors import Invalid
from subsystems.kernel.texts import gettext_noop as _

PAGE = [[3600, 300, 14.4], [21600, 1800, 6.0]]  # 2 % of 30 days in an hour, 5 % in six
MAX_PAIRS = 4


def burn(bad: Floats, total: Floats, objective: float) -> Floats:
    """Return the share of bad ones over the share that the objective allows; unknown without any."""
    share = np.divide(bad, total, out=np.full(len(total), np.nan), where=total > 0)
    spent: Floats = np.clip(share, 0, 1) / (1 - objective)
    return spent


def worst(pairs: Sequence[tuple[Floats, Floats, float]]) -> Floats:
    """Return the largest of each pair's slower burn over its factor: above 1, some pair fires."""
    ratios = np.array([np.minimum(long, short) / factor for long, short, factor in pairs])
    known = ~np.isnan(ratios)
    largest = np.where(known, ratios, -np.inf).max(axis=0)
    return np.where(known.any(axis=0), largest, np.nan)


def windows(asked: Asked) -> list[tuple[float, float, float]]:
    """Return (long, short, factor) of each pair."""
    return [(float(long), float(short), float(factor)) for long, short, factor in asked.param("windows")]


def _check(params: dict[str, Any]) -> None:
    text(params, "total", 120, required=True)
    number(params, "objective", 0.5, 0.999999)
    pairs = params["windows"]
    if not isinstance(pairs, list) or not 1 <= len(pairs) <= MAX_PAIRS:
        raise Invalid(
            f"windows are 1 to {MAX_PAIRS} pairs, each [long seconds, short seconds, factor].", field="params"
        )
    for pair in pairs:
        _check_pair(pair)


def _check_pair(pair: Any) -> None:
    if not isinstance(pair, list) or len(pair) != 3:
        raise Invalid("A pair of windows is [long seconds, short seconds, factor].", field="params")
    long, short, _ = (number({"windows": each}, "windows", 0.01, 30 * 86_400) for each in pair)
    if not 60 <= short < long:
        raise Invalid("The short window is at least 60 s and shorter than the long one.", field="params")


KIND = Kind(
    "burn_rate", _("Burn rate"), "how fast the error budget burns, over the factor of its windows", Feed.PAIRS,
    defaults={"total": "", "objective": 0.999, "windows": PAGE}, check=_check, default_threshold=1.0,
)  # fmt: skip
