"""Triggering what may be triggered, and carrying it out once."""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta
from time import monotonic
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models.functions import Coalesce, Greatest
from django.utils import timezone
from pydantic import ValidationError

from subsystems.kernel.errors import Invalid, Refused, VsmError
from subsystems.kernel.telemetry_events import emit, span
from subsystems.kernel.triggerable import Arguments, Progress, Triggerable, find, hearing_progress
from subsystems.messaging.channels import Channel, Party
from subsystems.messaging.envelope import Envelope
from subsystems.messaging.services import publish
from subsystems.s1_operations.services import OWN_FLEET
from subsystems.s3_control.models import TaskRun
from subsystems.variety.gathering import decided

TRIGGERED = "task.triggered"
LOST_AFTER = timedelta(minutes=10)  # twice the soft time limit of a run
PROGRESS_SECONDS = 1.0
KEEP = timedelta(days=30)
NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")  # the escape itself, not a text about it


class Cancelled(VsmError):
    """Somebody cancelled the run that tells its progress: it ends where it stands."""

    code = "cancelled"


class RunFailed(VsmError):
    """What a schedule triggered did not succeed; the text is its error."""

    code = "run_failed"


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
    transaction.on_commit(lambda: decided("", f"trigger {name}"))
    return run


def run_scheduled(name: str, arguments: dict[str, Any], *, worker: str) -> TaskRun:
    """Carry out what is listed as *name* here and now, because a schedule says so; return its run.

    Raises NotListed or Invalid before anything is done, and RunFailed when it did not succeed.
    """
    checked = check_arguments(name, arguments)
    made = TaskRun.objects.create(name=name, arguments=checked)
    run(str(made.pk), worker=worker)
    made.refresh_from_db()
    if made.state != TaskRun.State.SUCCEEDED:
        raise RunFailed(made.error)
    return made


def check_arguments(name: str, arguments: object) -> dict[str, Any]:
    """Return *arguments* as JSON that *name* takes. Raises NotListed, or Invalid naming the argument at fault."""
    found: dict[str, Any] = _checked(find(name), arguments).model_dump(mode="json")
    return found


def run(run_id: str, *, worker: str) -> bool:
    """Carry out a run and record its result; return False when another worker has it already."""
    claimed = TaskRun.objects.filter(pk=UUID(run_id), state=TaskRun.State.PENDING)
    if not claimed.update(state=TaskRun.State.RUNNING, worker=worker[:200], started_at=timezone.now()):
        return False

    row = TaskRun.objects.get(pk=UUID(run_id))
    try:
        told = {"unit_id": row.worker, "operation": row.name, "unit": f"{OWN_FLEET}/{row.worker}"}
        with hearing_progress(_keeper(row)), span("vsm.s1.operation", told):
            result = _run(row)
    except Cancelled:
        return True
    except Exception as error:  # noqa: BLE001  (the documented door: whatever a triggered function does is told to its caller)
        _finish(row, TaskRun.State.FAILED, error=f"{type(error).__name__}: {error}")
    else:
        _finish(row, TaskRun.State.SUCCEEDED, result=result)
    return True


def cancel(row: TaskRun, *, now: datetime) -> None:
    """Let a run end: before it began, or when it next tells its progress. Raises Refused when it has ended."""
    unfinished = TaskRun.objects.filter(pk=row.pk, state__in=[TaskRun.State.PENDING, TaskRun.State.RUNNING])
    if not unfinished.update(state=TaskRun.State.CANCELLED, finished_at=now):
        raise Refused("The run has ended already.", code="ended")
    row.refresh_from_db()


def give_up_lost(*, now: datetime) -> int:
    """Mark as failed each run whose worker must have died; return how many. Who tells its progress is alive."""
    heard = TaskRun.objects.annotate(alive_at=Greatest("started_at", Coalesce("heard_at", "started_at")))
    lost = heard.filter(state=TaskRun.State.RUNNING, alive_at__lt=now - LOST_AFTER)
    error = f"Neither result nor progress within {LOST_AFTER.total_seconds() / 60:.0f} minutes: the worker was lost."
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


def _keeper(row: TaskRun) -> Progress:
    """Return what keeps a run's progress, once a second at most; it raises Cancelled where that is so."""
    kept_at = 0.0

    def keep(done: int, total: int) -> None:
        nonlocal kept_at
        if done < total and monotonic() - kept_at < PROGRESS_SECONDS:
            return
        kept_at = monotonic()
        running = TaskRun.objects.filter(pk=row.pk, state=TaskRun.State.RUNNING)
        if not running.update(done=done, total=total, heard_at=timezone.now()):
            raise Cancelled(f"{row.name} was cancelled.")

    return keep


def _finish(row: TaskRun, state: TaskRun.State, *, result: Any = None, error: str = "") -> None:
    TaskRun.objects.filter(pk=row.pk, state=TaskRun.State.RUNNING).update(
        state=state, result=result, error=error[:2000].replace("\0", ""), finished_at=timezone.now()
    )
