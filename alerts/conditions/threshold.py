"""The newest value, or one made of a window: the average, the maximum, a quantile."""

from __future__ import annotations

from alerts.conditions.kind import Asked, Kind
from alerts.conditions.ragged import AGGREGATIONS, Floats, Rows
from subsystems.kernel.texts import gettext_noop as _


def measure(rows: Rows, asked: Asked, now: float) -> Floats:
    """Return the aggregate of each row."""
    return AGGREGATIONS[asked.aggregation](rows)


KIND = Kind("threshold", _("Threshold"), "the value", measure=measure)
