"""Messages as they were published, kept to be sent again: the only place that knows a task's true arguments."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any
from uuid import UUID, uuid5

from django.conf import settings
from django.utils import timezone
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from subsystems.fleets import store
from subsystems.fleets.models import Task
from subsystems.fleets.states import OPEN
from subsystems.kernel.errors import Invalid
from subsystems.s1_operations.models import Fleet
from subsystems.s1_operations.sealing import seal, unseal
from subsystems.s3_control.models import CapturedTask

PURPOSE = b"vsm.s3_control.captured_task.v1"
KEEP = timedelta(days=7)
MAX_BODY = 262_144
MAX_ID = 155
KEPT_HEADERS = ("lang", "task", "shadow", "timelimit", "argsrepr", "kwargsrepr", "ignore_result", "stamped_headers",
                "stamps")  # fmt: skip
TRACEPARENT = re.compile(r"[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")  # W3C Trace Context
NOTE_WITHIN = timedelta(hours=1)  # a task that was published and not heard of by then is not waited for
NOTED_AT_ONCE = 2_000
DROPPED = {"chord": None}  # a chord counts its members: one that is sent again must not be counted twice


class Captured(BaseModel):
    """One published message as the hook tells it; *body* is the text that went to the broker."""

    model_config = ConfigDict(extra="forbid")

    id: Annotated[str, Field(min_length=1, max_length=155, pattern=r"^[^\x00]+$")]
    name: Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[^\x00]+$")]
    queue: Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00]+$")]
    body: Annotated[str, Field(max_length=MAX_BODY)]
    headers: dict[str, Any] = {}
    properties: dict[str, Any] = {}
    at: Annotated[float, Field(ge=0, le=32_503_680_000)]


@dataclass(frozen=True)
class Message:
    """A message to send."""

    task_id: str
    queue: str
    body: bytes
    headers: dict[str, Any]
    properties: dict[str, Any]


def keep(fleet: Fleet, tasks: Sequence[Mapping[str, Any]]) -> int:
    """Keep messages that were published; return how many are new. Raises Invalid naming the one at fault."""
    found = {row.id: row for row in (_checked(number, each) for number, each in enumerate(tasks))}
    rows = [
        CapturedTask(
            fleet=fleet, task_id=row.id, name=row.name, queue=row.queue,
            published_at=datetime.fromtimestamp(row.at, tz=timezone.get_current_timezone()), message=_sealed(row),
            family=_family(row),
        )
        for row in found.values()
    ]  # fmt: skip
    before = CapturedTask.objects.filter(fleet=fleet, task_id__in=list(found)).count()
    CapturedTask.objects.bulk_create(rows, batch_size=500, ignore_conflicts=True)
    note_families(fleet.pk)
    return len(rows) - before


def note_families(fleet_id: int | None = None) -> int:
    """Write group, chord and trace of captured tasks into the history; return of how many.

    A message may be told before the events of its task are: what finds no task waits for the next time. Twice is safe.
    """
    due = CapturedTask.objects.filter(family__isnull=False, published_at__gte=timezone.now() - NOTE_WITHIN)
    due = due if fleet_id is None else due.filter(fleet_id=fleet_id)
    by_fleet: dict[int, dict[str, dict[str, str]]] = {}
    for row in due.order_by("-published_at").only("fleet_id", "task_id", "family")[:NOTED_AT_ONCE]:
        by_fleet.setdefault(row.fleet_id, {})[row.task_id] = row.family or {}
    noted = 0
    for fleet, families in by_fleet.items():
        found = store.write_families(fleet, families)
        noted += CapturedTask.objects.filter(fleet_id=fleet, task_id__in=found).update(family=None)
    return noted


def forget_captured(*, now: datetime, at_once: int = 5_000) -> int:
    """Delete messages that are too old to be sent again, some at a time; return how many."""
    old = CapturedTask.objects.filter(published_at__lt=now - KEEP).order_by("published_at")
    return CapturedTask.objects.filter(pk__in=list(old.values_list("pk", flat=True)[:at_once])).delete()[0]


def still_open(fleet_id: int, ids: Sequence[str]) -> set[str]:
    """Return which of *ids* have not ended, as far as the history knows."""
    tasks = Task.objects.filter(fleet_id=fleet_id, uuid__in=ids, state__in=OPEN)
    return set(tasks.values_list("uuid", flat=True))


def new_id(action_id: UUID, task_id: str) -> UUID:
    """Return the id under which an action sends a task again: the same, however often it is asked."""
    return uuid5(action_id, task_id)


def again(captured: CapturedTask, action_id: UUID) -> Message:
    """Return the message of a captured task as a new task with the same arguments. Raises CannotOpen.

    What it was to call afterwards (callbacks, the rest of a chain) it still calls; its place in a chord it has lost.
    """
    told = json.loads(unseal(bytes(captured.message).decode(), settings.SECRET_KEY, PURPOSE))
    task_id = str(new_id(action_id, captured.task_id))
    args, kwargs, embed = json.loads(told["body"])
    headers = {name: value for name, value in told["headers"].items() if name in KEPT_HEADERS}
    headers |= {
        "id": task_id, "root_id": task_id, "parent_id": None, "group": None, "group_index": None, "retries": 0,
        "eta": None, "expires": None, "origin": "vsm", "replaced_task_nesting": 0, "vsm_retry_of": captured.task_id,
    }  # fmt: skip
    properties = {"correlation_id": task_id, "reply_to": told["properties"].get("reply_to", ""), "delivery_mode": 2}
    priority = told["properties"].get("priority")
    if isinstance(priority, int) and 0 <= priority <= 255:
        properties["priority"] = priority
    return Message(task_id, captured.queue, encoded((args, kwargs, {**embed, **DROPPED})), headers, properties)


def encoded(body: object) -> bytes:
    """Return a task's body as plain JSON. kombu's own encoder would read meaning into what looks like its types."""
    return json.dumps(body, allow_nan=False).encode()


def _family(row: Captured) -> dict[str, str] | None:
    """Return what a message tells of the work that its task is a part of, by column of the history; None of none."""
    chord = json.loads(row.body)[2].get("chord")
    options = chord.get("options") if isinstance(chord, dict) else None
    trace = TRACEPARENT.fullmatch(str(row.headers.get("traceparent", "")))
    told = {
        "group_id": row.headers.get("group"),
        "chord_id": options.get("task_id") if isinstance(options, dict) else None,
        "trace_id": trace and trace[1],
    }
    return {name: value for name, value in told.items() if isinstance(value, str) and 0 < len(value) <= MAX_ID} or None


def _sealed(row: Captured) -> bytes:
    text = json.dumps({"body": row.body, "headers": row.headers, "properties": row.properties})
    return seal(text, settings.SECRET_KEY, PURPOSE).encode()


def _checked(number: int, given: Mapping[str, Any]) -> Captured:
    try:
        row = Captured.model_validate(given)
    except ValidationError as error:
        mistake = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(["tasks", str(number), *(str(step) for step in mistake["loc"])])
        raise Invalid(f"{place}: {mistake['msg']}", field=place) from None
    try:
        body = json.loads(row.body)
        valid = isinstance(body, list) and len(body) == 3 and isinstance(body[2], dict)
    except (ValueError, RecursionError):
        valid = False
    if not valid:
        place = f"tasks.{number}.body"
        raise Invalid(f"{place}: it is no body of Celery's protocol 2.", field=place)
    return row
