"""How each part of the platform does by itself: core, telemetry, rate limiter, event processing (004-43)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.conf import settings

from subsystems.event_log.models import HandlerPosition
from subsystems.event_log.queries import lags
from subsystems.kernel.errors import TransientError
from subsystems.kernel.health import Health
from subsystems.kernel.times import moment_text
from subsystems.messaging import limits
from subsystems.telemetry.store import hot_tier
from vsm_site import probes

MOST_BEHIND = 10_000  # events that a handler may lag and still keep up
WORST_FIRST = (Health.UNHEALTHY, Health.DEGRADED, Health.UNKNOWN, Health.HEALTHY)
Found = tuple[Health, str]


def health_check(*, now: datetime) -> dict[str, Any]:
    """Return how each component does and, as the worst of them, how the whole does."""
    off = {name for name, switch in SWITCHES.items() if not getattr(settings, switch)}
    found = {name: check() for name, check in CHECKS.items() if name not in off}
    states = [state for state, _ in found.values()]
    told = {name: {"status": str(state), "reason": reason} for name, (state, reason) in found.items()}
    told |= {name: {"status": "off", "reason": f"Switched off: VSM_{SWITCHES[name]}."} for name in off}
    return {
        "overall": str(next(state for state in WORST_FIRST if state in states)),
        "components": {name: told[name] for name in CHECKS},
        "timestamp": moment_text(now),
    }


def _core() -> Found:
    failed = [name for name, reason in probes.readiness().items() if reason]
    if failed:
        return Health.UNHEALTHY, f"Not ready: {', '.join(failed)}."
    return Health.HEALTHY, "Database, broker, channel layer and collection answer."


def _telemetry() -> Found:
    try:
        size = hot_tier().size()
    except TransientError:
        return Health.UNHEALTHY, "The store of recent samples does not answer."
    return Health.HEALTHY, f"{size} samples of the last hour."


def _rate_limiter() -> Found:
    try:
        limits.limiter().counters()
    except TransientError:
        return Health.DEGRADED, "The shared limiter does not answer: each process holds to its part of the limits."
    return Health.HEALTHY, "The limiter answers."


def _event_processing() -> Found:
    failing = list(HandlerPosition.objects.filter(failures__gt=0).values_list("name", flat=True))
    if failing:
        return Health.DEGRADED, f"Handlers of events fail: {', '.join(failing[:5])}."
    behind = max(lags().values(), default=0)
    if behind > MOST_BEHIND:
        return Health.DEGRADED, f"A handler is {behind} events behind."
    return Health.HEALTHY, f"The furthest handler is {behind} events behind."


SWITCHES = {"telemetry": "TELEMETRY", "rate_limiter": "RATE_LIMITING", "event_processing": "EVENT_PROCESSING"}
CHECKS: dict[str, Callable[[], Found]] = {
    "core": _core, "telemetry": _telemetry, "rate_limiter": _rate_limiter, "event_processing": _event_processing,
}  # fmt: skip
