"""Triggering what may be triggered, and carrying it out once."""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone
from pydantic import ValidationError

from subsystems.kernel.errors import Invalid
from subsystems.kernel.telemetry_events import emit, span
from subsystems.kernel.triggerable import Arguments, Triggerable, find
from subsystems.messaging.channels import Channel, Party
from subsystems.messaging.envelope import Envelope
from subsystems.messaging.services import publish
from subsystems.s3_control.models import TaskRun

TRIGGERED = "task.triggered"
LOST_AFTER = timedelta(minutes=10)  # twice the soft time limit of a run
KEEP = timedelta(days=30)
NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")  # the escape itself, not a text about it


@transaction.atomic
def trigger(name: str, arguments: dict[str, Any], *, by: User | None) -> TaskRun:
    """Ask a worker to run what is listed as *name*; return the run to follow.

    The message carries only the run's id: what callers write never travels as a Celery argument, where a crafted value
    can make a worker drop the message unread. Raises NotListed, or Invalid naming the argument at fault.
    """
    listed = find(name)
    checked = _checked(listed, arguments)
    run = TaskRun.objects.create(name=name, arguments=checked.model_dump(mode="json"), requested_by=by)
    publish(
        Envelope(
            channel=Channel.COMMAND,
            sender=Party.S3,
            recipient=Party.S1,
            type=TRIGGERED,
            payload={"run_id": str(run.pk)},
        )
    )
    decision = {"decision": TRIGGERED, "subject": name}
    transaction.on_commit(lambda: emit("vsm.s3.control.decision", {"count": 1}, decision))
    return run


def run(run_id: str, *, worker: str) -> bool:
    """Carry out a run and record its result; return False when another worker has it already."""
    claimed = TaskRun.objects.filter(pk=UUID(run_id), state=TaskRun.State.PENDING)
    if not claimed.update(state=TaskRun.State.RUNNING, worker=worker[:200], started_at=timezone.now()):
        return False

    row = TaskRun.objects.get(pk=UUID(run_id))
    try:
        with span("vsm.s1.operation", {"unit_id": row.worker, "operation": row.name}):
            result = _run(row)
    except Exception as error:  # noqa: BLE001  (the documented door: whatever a triggered function does is told to its caller)
        _finish(row, TaskRun.State.FAILED, error=f"{type(error).__name__}: {error}")
    else:
        _finish(row, TaskRun.State.SUCCEEDED, result=result)
    return True


def give_up_lost(*, now: datetime) -> int:
    """Mark as failed each run whose worker must have died; return how many."""
    lost = TaskRun.objects.filter(state=TaskRun.State.RUNNING, started_at__lt=now - LOST_AFTER)
    error = f"No result within {LOST_AFTER.total_seconds() / 60:.0f} minutes: the worker was lost."
    return lost.update(state=TaskRun.State.FAILED, finished_at=now, error=error)


def forget_runs(*, now: datetime) -> int:
    """Delete runs older than 30 days; return how many."""
    return TaskRun.objects.filter(requested_at__lt=now - KEEP).delete()[0]


def _checked(listed: Triggerable, arguments: object) -> Arguments:
    if not isinstance(arguments, dict):
        raise Invalid("The arguments must be an object of names and values.", field="arguments")
    try:
        # As JSON, because that is what callers write: in it a list may stand for a tuple and a text for a date.
        return listed.arguments.model_validate_json(_storable(arguments))
    except ValidationError as error:
        mistake = error.errors()[0]
        place = ".".join(["arguments", *(str(step) for step in mistake["loc"])])
        raise Invalid(f"{place}: {mistake['msg']}", field=place) from None
    except (TypeError, ValueError, RecursionError):
        raise Invalid("The arguments must be plain JSON.", field="arguments") from None


def _run(row: TaskRun) -> Any:
    listed = find(row.name)
    result = listed.run(listed.arguments.model_validate_json(json.dumps(row.arguments)))
    return json.loads(_storable(result))  # a result that is no JSON fails here, not in the database


def _storable(value: Any) -> str:
    """Return *value* as JSON that every database takes. Raises TypeError or ValueError when there is none."""
    text = json.dumps(value, allow_nan=False, ensure_ascii=False)
    text.encode()  # a lone surrogate is no text
    if NUL.search(text):
        raise ValueError("PostgreSQL stores no NUL character")
    return text


def _finish(row: TaskRun, state: TaskRun.State, *, result: Any = None, error: str = "") -> None:
    TaskRun.objects.filter(pk=row.pk, state=TaskRun.State.RUNNING).update(
        state=state, result=result, error=error[:2000].replace("\0", ""), finished_at=timezone.now()
    )
