"""Doors of S3: triggered runs, and the simplest thing to trigger."""

from __future__ import annotations

from typing import Annotated

from celery import current_task, shared_task
from django.utils import timezone
from pydantic import Field

from subsystems.kernel.triggerable import Arguments, triggerable
from subsystems.s3_control import services


@shared_task(name="s3_control.tidy", soft_time_limit=20, time_limit=30)
def tidy() -> None:
    """Give up runs whose worker died and delete old ones. Running twice is safe: the second finds none."""
    now = timezone.now()
    services.give_up_lost(now=now)
    services.forget_runs(now=now)


class EchoArguments(Arguments):
    """What to say back."""

    text: Annotated[str, Field(max_length=1000, description="What to say back")] = ""


@triggerable("diagnostics.echo", EchoArguments, harmless=True)
def echo(arguments: EchoArguments) -> dict[str, str]:
    """Say a text back, with the name of the worker that did: shows that the road to the workers is open."""
    return {"text": arguments.text, "worker": current_task.request.hostname if current_task else ""}
