"""The documented state machine of one health cycle (requirements 002-13 to 002-15, 2-53).

The band of the whole system's health drives it; viability has a watch of its own (`viability_watch`).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from subsystems.kernel.health import Health, band


class State(StrEnum):
    """Every state of the diagram."""

    MONITORING = "monitoring"
    COLLECTING_METRICS = "collecting_metrics"
    PROCESSING_DATA = "processing_data"
    CALCULATING_HEALTH = "calculating_health"
    HEALTHY = "healthy"
    DEGRADED = "degraded"
    UNHEALTHY = "unhealthy"
    GENERATING_ALERTS = "generating_alerts"
    ESCALATING_CRITICAL = "escalating_critical"
    NOTIFYING_DASHBOARD = "notifying_dashboard"
    NOTIFYING_S3 = "notifying_s3"
    NOTIFYING_S5 = "notifying_s5"
    EMERGENCY_RESPONSE = "emergency_response"


S = State
BEGINNING = (S.MONITORING, S.COLLECTING_METRICS, S.PROCESSING_DATA, S.CALCULATING_HEALTH)
# What each band leads to, until it is monitoring again. Unknown is no band of the diagram: nothing follows from it.
BRANCHES: Mapping[Health, tuple[State, ...]] = {
    Health.HEALTHY: (S.HEALTHY, S.NOTIFYING_DASHBOARD),
    Health.DEGRADED: (S.DEGRADED, S.GENERATING_ALERTS, S.NOTIFYING_DASHBOARD, S.NOTIFYING_S3),
    Health.UNHEALTHY: (S.UNHEALTHY, S.ESCALATING_CRITICAL, S.NOTIFYING_S5, S.EMERGENCY_RESPONSE),
    Health.UNKNOWN: (),
}


def walk(overall_health: float | None) -> tuple[State, ...]:
    """Return the states that one cycle goes through, from monitoring to monitoring."""
    return (*BEGINNING, *BRANCHES[band(overall_health)], S.MONITORING)
