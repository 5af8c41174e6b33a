"""What a fleet's result backend tells of tasks whose end nobody heard: Redis, and results that are JSON.

Results are read as plain JSON, never through a serializer that could run code, and folded like the event of the same
end: one road to the row, whoever told.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from celery import Celery
from kombu.exceptions import KombuError

from subsystems.fleets.events import Event
from subsystems.fleets.folding import Batch, Facts, Folder
from subsystems.fleets.masking import Masking
from subsystems.kernel.errors import VsmError
from subsystems.kernel.moments import moment_of
from subsystems.s1_operations import broker_urls
from subsystems.s1_operations.adapters.conversation import CONNECT_TIMEOUT_SECONDS

SCHEMES = ("redis", "rediss")
PURPOSE = b"vsm.fleets.result_backend.v1"
READ_TIMEOUT_SECONDS = 3
AT_ONCE = 500  # results in one question
MAX_RESULT = 256_000  # bytes; what is larger is read no further than that it is there
EVENTS = {"SUCCESS": "task-succeeded", "FAILURE": "task-failed", "REVOKED": "task-revoked"}


class Unended(NamedTuple):
    """A task of which no end is known."""

    uuid: str
    name: str
    worker: str
    changed_at: float


class NotAnswered(VsmError):
    """The result backend could not be asked; the message says why, without its address."""

    code = "result_backend_not_answered"


def check(url: str) -> str:
    """Return *url* when it names a result backend that can be read. Raises Invalid naming `result_backend`."""
    return broker_urls.check(url, schemes=SCHEMES, what="result backend", field="result_backend")


def ends_told(url: str, tasks: Sequence[Unended], rules: Masking, *, now: float) -> Batch:
    """Return what the result backend at *url* tells of the ends of *tasks*. Raises NotAnswered."""
    folder = Folder(rules)
    found = _results(url, [task.uuid for task in tasks])
    for task in tasks:
        event = _event(task, found.get(task.uuid), now)
        if event is not None:
            # Known by its name before, for the rules that hide what tasks of some names return.
            folder.batch.tasks[task.uuid] = Facts(task.uuid, event.timestamp, name=task.name)
            folder.fold(event)
    return folder.take()


def _results(url: str, uuids: Sequence[str]) -> dict[str, bytes]:
    from redis.exceptions import RedisError  # several megabytes that a process without such a fleet does without

    app = Celery("results", backend=url, set_as_current=False, fixups=[])
    app.conf.update(
        redis_socket_timeout=READ_TIMEOUT_SECONDS, redis_socket_connect_timeout=CONNECT_TIMEOUT_SECONDS,
        redis_retry_on_timeout=False,
    )  # fmt: skip
    try:
        backend: Any = app.backend
        client = backend.client
        try:
            return dict(_asked(client, backend, uuids))
        finally:
            client.close()
    except (RedisError, KombuError, OSError, ValueError) as error:
        raise NotAnswered(broker_urls.scrub(str(error), url)) from None


def _asked(client: Any, backend: Any, uuids: Sequence[str]) -> Iterable[tuple[str, bytes]]:
    for start in range(0, len(uuids), AT_ONCE):
        some = uuids[start : start + AT_ONCE]
        answers = client.mget([backend.get_key_for_task(uuid) for uuid in some])
        yield from ((uuid, answer) for uuid, answer in zip(some, answers, strict=True) if answer is not None)


def _event(task: Unended, stored: bytes | None, now: float) -> Event | None:
    """Return the end of *task* as its worker's event would have told it; None where nothing says that it ended."""
    meta = _meta(stored)
    kind = EVENTS.get(str(meta.get("status")))
    if kind is None:
        return None
    event = Event(
        type=kind,
        uuid=task.uuid,
        hostname=_text(meta.get("worker")) or task.worker,
        timestamp=_ended_at(meta.get("date_done"), task, now),
        traceback=_text(meta.get("traceback")) or None,
    )
    if kind == "task-succeeded":
        event.result = repr(meta.get("result"))
    elif kind == "task-failed":
        event.exception = _exception(meta.get("result"))
    return event


def _meta(stored: bytes | None) -> Mapping[str, Any]:
    """Return what a worker stored of an end; nothing where it is no JSON of Celery's."""
    if stored is None or len(stored) > MAX_RESULT:
        return {}
    try:
        found = msgspec.json.decode(stored)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}
    return found if isinstance(found, dict) else {}


def _ended_at(told: Any, task: Unended, now: float) -> float:
    """Return when it ended: as told (UTC where it names no zone), not before it was last heard of and not after now."""
    text = _text(told)[:40]
    at = moment_of(text)
    if at is None and text:
        at = moment_of(f"{text}+00:00")
    return min(now, max(task.changed_at, now if at is None else at))


def _exception(told: Any) -> str:
    """Return an exception as `repr` gives it, from its type and arguments."""
    if not isinstance(told, dict):
        return repr(told)
    arguments = told.get("exc_message")
    listed = arguments if isinstance(arguments, list) else [arguments]
    return f"{_text(told.get('exc_type')) or 'Exception'}({', '.join(map(repr, listed))})"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
