"""How much a value has changed over a window, as it is or as a share of where it began."""

from __future__ import annotations

from typing import Any

import numpy as np

from alerts.conditions.kind import Asked, Kind, flag
from alerts.conditions.ragged import Floats, Rows, first, last
from subsystems.kernel.texts import gettext_noop as _


def measure(rows: Rows, asked: Asked, now: float) -> Floats:
    """Return the newest value less the oldest of the window; unknown with fewer than two, or as a share of zero."""
    began = first(rows)
    change: Floats = np.where(rows.counts > 1, last(rows) - began, np.nan)
    if not asked.param("relative"):
        return change
    share: Floats = np.divide(change, np.abs(began), out=np.full(len(rows), np.nan), where=began != 0)
    return share


def _check(params: dict[str, Any]) -> None:
    flag(params, "relative")


KIND = Kind(
    "change", _("Change"), "how much the value changed over the window", measure=measure, defaults={"relative": False},
    check=_check, needs_window=True, default_window=300,
)  # fmt: skip
