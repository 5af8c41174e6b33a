"""The kinds of conditions, one file each."""

from __future__ import annotations

from alerts.conditions import (
    absence,
    anomaly,
    burn_rate,
    change,
    counts,
    expression,
    forecast,
    health,
    rate,
    threshold,
    viability,
)
from alerts.conditions.kind import Kind

KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        threshold.KIND, change.KIND, rate.KIND, absence.KIND, anomaly.KIND, forecast.KIND, burn_rate.KIND, health.KIND,
        viability.KIND, counts.SIGNALS, counts.EVENTS, expression.KIND,
    )
}  # fmt: skip
