"""Doors of S4."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone
from pydantic import Field

from subsystems.kernel.errors import NotListed
from subsystems.kernel.triggerable import Arguments, tell_progress, triggerable
from subsystems.messaging.slots import claim_slot
from subsystems.recursion.models import System
from subsystems.s4_intelligence import services as foresight

TICK_SECONDS, GATHER_SECONDS = 5, 30


@shared_task(name="s4_intelligence.patterns", soft_time_limit=25, time_limit=30)
def patterns() -> None:
    """Gather facts for the event patterns and let time go on. Running twice is safe: a slot is claimed once."""
    from subsystems.s4_intelligence.patterns import gathering, services  # the engine is loaded where there is a pattern

    now = timezone.now()
    if claim_slot("s4_intelligence.gather", GATHER_SECONDS, now=now, scheduled=False) is not None:
        gathering.gather(now=now)
    if claim_slot("s4_intelligence.patterns", TICK_SECONDS, now=now, scheduled=False) is not None:
        services.seed()
        services.tick(now=now)


class RehearsedPattern(Arguments):
    """Which pattern is rehearsed, in which system, and how far back."""

    system: str
    text: str = Field(max_length=20_000)
    hours: float = Field(default=24.0, gt=0, le=24.0 * 90)


@triggerable("s4_intelligence.rehearse_pattern", RehearsedPattern)
def rehearse_pattern(arguments: RehearsedPattern) -> dict[str, object]:
    """Tell when an event pattern would have been detected lately; nothing follows from it."""
    from subsystems.s4_intelligence.patterns import rehearsing  # the engine is loaded where there is a pattern

    system = System.objects.filter(slug=arguments.system).first()
    if system is None:
        raise NotListed("There is no such system.", field="system")
    return rehearsing.rehearse(
        system, arguments.text, hours=arguments.hours, now=timezone.now(), progress=tell_progress
    )


@shared_task(name="s4_intelligence.forget_detections", soft_time_limit=100, time_limit=120)
def forget_detections() -> None:
    """Delete what was detected long ago. Running twice is safe: the second finds nothing."""
    from subsystems.s4_intelligence.patterns import services

    services.forget(now=timezone.now())


@shared_task(name="s4_intelligence.look", soft_time_limit=50, time_limit=55)
def look() -> None:
    """Look for anomalies and trends. Running twice is safe: a slot is claimed once."""
    foresight.look_slot(now=timezone.now())


@shared_task(name="s4_intelligence.scan", soft_time_limit=50, time_limit=55)
def scan() -> None:
    """Scan the sources outside that are due. Running twice is safe: a slot and each source are claimed once."""
    from subsystems.s4_intelligence import scanning  # loaded where there is a source

    scanning.scan_slot(now=timezone.now())


@shared_task(name="s4_intelligence.foresee", soft_time_limit=240, time_limit=270)
def foresee() -> None:
    """Foretell what series will do. Running twice is safe: a slot is claimed once, and a row belongs to its series."""
    foresight.foresee_slot(now=timezone.now())


@shared_task(name="s4_intelligence.forget", soft_time_limit=100, time_limit=120)
def forget() -> None:
    """Forget what is over. Running twice is safe: the second finds nothing."""
    foresight.forget(now=timezone.now())
