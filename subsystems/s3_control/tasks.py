"""Doors of S3: steering by the clock, triggered runs, and the simplest thing to trigger."""

from __future__ import annotations

from typing import Annotated, Any

from celery import current_task, shared_task
from django.utils import timezone
from pydantic import Field

from subsystems.kernel.triggerable import Arguments, triggerable
from subsystems.messaging.slots import claim_slot
from subsystems.s3_control import advising, captures, carrying, handing_over, services, settling, standing
from subsystems.s3_control.audit import services as audits
from subsystems.s3_control.bargaining import rounds as bargaining
from subsystems.s3_control.scaling import services as scaling

STEER_SECONDS, ORDERS_SECONDS, TEND_SECONDS = 1, 2, 5
SCALE_SECONDS, BARGAIN_SECONDS, ADVISE_SECONDS = 10, 10, 30

SCHEDULED = "s3_control.run_scheduled"


@shared_task(name="s3_control.tidy", soft_time_limit=20, time_limit=30)
def tidy() -> None:
    """Give up runs whose worker died and delete old ones. Running twice is safe: the second finds none."""
    now = timezone.now()
    services.give_up_lost(now=now)
    services.forget_runs(now=now)
    audits.forget_runs(now=now)
    captures.forget_captured(now=now)
    captures.note_families()
    bargaining.forget_old(now=now)


@shared_task(name="s3_control.steer", soft_time_limit=50, time_limit=60)
def steer() -> None:
    """Take the next steps of acts and keep standing orders. Running twice is safe: each slot is claimed once."""
    now = timezone.now()
    # Looked at first: most seconds there is nothing to do, and nothing to write then.
    if carrying.is_any_due(now=now) and claim_slot("s3_control.steer", STEER_SECONDS, now=now) is not None:
        carrying.carry_on(now=now)
    if standing.is_any_in_force() and claim_slot("s3_control.orders", ORDERS_SECONDS, now=now) is not None:
        standing.keep_orders(now=now)


@shared_task(name="s3_control.tend", soft_time_limit=50, time_limit=60)
def tend() -> None:
    """Decide, expire and judge what is recommended. Running twice is safe: each slot is claimed once."""
    now = timezone.now()
    if settling.is_tending_due(now=now) and claim_slot("s3_control.tend", TEND_SECONDS, now=now) is not None:
        settling.tend(now=now)


@shared_task(name="s3_control.advise", soft_time_limit=50, time_limit=60)
def advise() -> None:
    """Suggest what helps units in bad health. Running twice is safe: what is suggested already is not again."""
    now = timezone.now()
    if claim_slot("s3_control.advise", ADVISE_SECONDS, now=now) is not None:
        advising.look_around(now=now)
        handing_over.look_around(now=now)


@shared_task(name="s3_control.scale", soft_time_limit=50, time_limit=60)
def scale() -> None:
    """Look at each scaling policy. Running twice is safe: each slot is claimed once."""
    now = timezone.now()
    if scaling.is_scaling_due(now=now) and claim_slot("s3_control.scale", SCALE_SECONDS, now=now) is not None:
        scaling.scale(now=now)


@shared_task(name="s3_control.bargain", soft_time_limit=50, time_limit=60)
def bargain() -> None:
    """Look at each pool that units share. Running twice is safe: each slot is claimed once."""
    now = timezone.now()
    if bargaining.is_bargaining_due(now=now) and claim_slot("s3_control.bargain", BARGAIN_SECONDS, now=now) is not None:
        bargaining.bargain(now=now)


@shared_task(name=SCHEDULED, soft_time_limit=300, time_limit=330)
def run_scheduled(name: str, arguments: dict[str, Any]) -> None:
    """Carry out a triggerable task on schedule. Running twice is safe: a schedule's run is claimed before this."""
    services.run_scheduled(name, arguments, worker=current_task.request.hostname or "")


@shared_task(name="s3_control.audit", soft_time_limit=100, time_limit=120)
def audit() -> None:
    """Audit the fleets whose time has come. Running twice is safe: each audit is claimed once."""
    audits.audit_due(now=timezone.now())


class EchoArguments(Arguments):
    """What to say back."""

    text: Annotated[str, Field(max_length=1000, description="What to say back")] = ""


@triggerable("diagnostics.echo", EchoArguments, harmless=True)
def echo(arguments: EchoArguments) -> dict[str, str]:
    """Say a text back, with the name of the worker that did: shows that the road to the workers is open."""
    return {"text": arguments.text, "worker": current_task.request.hostname if current_task else ""}
