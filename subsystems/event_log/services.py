"""Recording what happened, giving it its place in the chain, and letting handlers make something of it."""

from __future__ import annotations

import json
import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, TypedDict, Unpack

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from subsystems.event_log import bulk, checkpoints, queries, registry
from subsystems.event_log.chain import GENESIS, HASH, link
from subsystems.event_log.event_types import TypedEvent
from subsystems.event_log.models import ChainHead, EventCheckpoint, HandlerPosition, PendingEvent
from subsystems.event_log.queries import Progress
from subsystems.event_log.recorded import Recorded
from subsystems.event_log.registry import EventHandler
from subsystems.event_log.streams import Stream
from subsystems.kernel.errors import Invalid, Refused

logger = logging.getLogger(__name__)
copies = logging.getLogger("subsystems.event_log.checkpoints")
BATCH = 5_000
MAX_CHARACTERS = 32_000_000  # of data in one transaction of the sealer: a few large events must not fill the memory
SEALS_A_TURN = 4
MAX_BACKOFF = timedelta(minutes=5)
REPLAY_SILENT = timedelta(minutes=2)  # a replay that has said nothing for so long is dead; live projection goes on
_LENGTHS = {"stream": 40, "type": 80, "message_id": 64, "correlation_id": 64, "actor": 150}


class About(TypedDict, total=False):
    """What an event may say beside its data; *version* is its schema's, *at* is now unless given."""

    system_id: int | None
    message_id: str
    correlation_id: str
    actor: str
    version: int
    at: datetime


def append(stream: Stream, type_: str, data: Mapping[str, Any], **about: Unpack[About]) -> PendingEvent:
    """Record an event in the caller's transaction; it takes its place in the chain shortly after the commit."""
    row = pending(stream, type_, data, **about)
    row.save(force_insert=True)
    return row


def pending(stream: Stream, type_: str, data: Mapping[str, Any], **about: Unpack[About]) -> PendingEvent:
    """Return an unsaved event, for a caller that writes many at once with `bulk_create`."""
    row = PendingEvent(stream=stream, type=type_, data=canonical(data), **about)
    _refuse_unstorable(row)
    return row


def append_many(events: Iterable[PendingEvent]) -> None:
    """Record what `pending` returned, however many, past the ORM; all of them or none."""
    with transaction.atomic():
        bulk.write_pending(events)


def record(event: TypedEvent, **about: Any) -> PendingEvent:
    """Record an event of a documented type; *about* as for `append`, without version."""
    data = event.model_dump(mode="json")
    return append(type(event).stream, event.name(), data, version=type(event).version, **about)


def canonical(data: Mapping[str, Any]) -> str:
    """Return *data* as the one JSON text that is stored and hashed."""
    text = _json(data, ascii_only=False)
    try:
        text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair, which no database takes as it is
        return _json(data, ascii_only=True)
    return text


def seal(limit: int = BATCH) -> int:
    """Give the oldest waiting events their place in the chain; return how many, 0 also when another one is sealing.

    The lock on the head lasts as long as the transaction, and so does whatever a sealer does: one that is killed leaves
    nothing half done, and one that was paused for long has lost its transaction with its lock.
    """
    with transaction.atomic():
        head = _locked_head()
        rows = [] if head is None else bulk.take_pending(limit, MAX_CHARACTERS)
        if head is None or not rows:
            return 0
        sealed = _chained(head, rows)
        bulk.write_events(sealed)
        marked = [row for row in sealed if row[0] % checkpoints.EVERY_EVENTS == 0]
        _mark(head, [(row[0], row[HASH]) for row in marked])
        head.save()
    return len(rows)


def checkpoint(*, now: datetime) -> bool:
    """Sign the end of the chain; return False when it was signed before or somebody else is sealing."""
    with transaction.atomic():
        head = _locked_head()
        if head is None or head.position == head.checkpoint_position:
            return False
        _mark(head, [(head.position, bytes(head.hash))], now=now)
        head.save()
    return True


def project(*, now: datetime | None = None) -> int:
    """Let each handler hear all that it has not heard; return how many events were dealt with.

    A handler that fails keeps its position, and is tried again later and later; the others go on.
    """
    now = now or timezone.now()
    done = 0
    while step := _project_once(_enrolled(), queries.head_position(), now):
        done += step
    return done


def tend(now: datetime) -> int:
    """Seal, project and sign once, within bounds; return how much was done. Cheap when there is nothing to do."""
    handlers = _enrolled()  # first, so that a handler that is new to the platform hears the very first event
    done = _seal_some()
    head = ChainHead.objects.first()
    if head is None:
        return done
    if settings.EVENT_PROCESSING:  # else each handler stays where it is, and goes on from there
        done += _project_once(handlers, head.position, now)
    if _checkpoint_due(head, now):
        checkpoint(now=now)
    return done


def replay(name: str, progress: Progress | None = None) -> int:
    """Build again what the handler *name* makes, from the first event; return how many events it went through.

    Live projection leaves the handler alone meanwhile. Each step is a transaction that starts from the stored position:
    a replay that dies half-way is finished by live projection. Raises NotListed and Refused.
    """
    handler = registry.find(name)
    _begin_replay(handler)
    try:
        while True:
            head = queries.head_position()
            position = _step(handler, head)
            if progress:
                progress(position, head)
            if position >= head:
                return position
    finally:
        HandlerPosition.objects.filter(pk=name).update(replay_seen_at=None)


def _json(data: Mapping[str, Any], *, ascii_only: bool) -> str:
    return json.dumps(
        data, ensure_ascii=ascii_only, allow_nan=False, separators=(",", ":"), sort_keys=True, default=str
    )


def _refuse_unstorable(row: PendingEvent) -> None:
    """One database would cut such a text or fail at it, another one keep it."""
    for field, length in _LENGTHS.items():
        text = getattr(row, field)
        if len(text) > length or "\0" in text or not _is_text(text):
            raise Invalid(
                f"{field} of an event is a text of at most {length} characters, none of them NUL.", field=field
            )


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        return False
    return True


# --- Sealing --------------------------------------------------------------------------------------------------------
def _locked_head() -> ChainHead | None:
    """Return the head, locked until the end of the transaction; None when somebody else has it."""
    head = ChainHead.objects.select_for_update(skip_locked=True).first()
    if head is not None:
        return head
    head, created = ChainHead.objects.get_or_create(pk=1, defaults={"hash": GENESIS})
    return head if created else None


def _seal_some() -> int:
    done = 0
    for _ in range(SEALS_A_TURN):
        sealed = seal() if PendingEvent.objects.exists() else 0
        done += sealed
        if sealed < BATCH:
            break
    return done


def _chained(head: ChainHead, rows: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Return *rows* with position, sequence and hash, and move *head* behind them."""
    position, previous, sequences = head.position, bytes(head.hash), head.sequences
    sealed = []
    for row in rows:
        position += 1
        sequence = sequences[row[0]] = sequences.get(row[0], 0) + 1
        placed = (position, sequence, *row)
        previous = link(previous, placed)
        sealed.append((*placed, previous))
    head.position, head.hash = position, previous
    return sealed


def _mark(head: ChainHead, ends: Sequence[tuple[int, bytes]], *, now: datetime | None = None) -> None:
    """Write signed checkpoints in the caller's transaction; after the commit the last one goes to the log."""
    if not ends:
        return
    now = now or timezone.now()
    key = queries.signing_keys()[0]
    made = [checkpoints.signed(key, position, hash_) for position, hash_ in ends]
    EventCheckpoint.objects.bulk_create(
        [EventCheckpoint(position=each.position, hash=each.hash, signature=each.signature, at=now) for each in made]
    )
    head.checkpoint_position, head.checkpoint_at = made[-1].position, now
    transaction.on_commit(lambda: copies.info(made[-1].line()))


def _checkpoint_due(head: ChainHead, now: datetime) -> bool:
    if head.position == head.checkpoint_position:
        return False
    return head.checkpoint_at is None or now - head.checkpoint_at >= timedelta(seconds=checkpoints.EVERY_SECONDS)


# --- Projecting -----------------------------------------------------------------------------------------------------
def _enrolled() -> list[HandlerPosition]:
    """Return where each handler is. One that is new starts at the head of now or at the beginning, as it declared."""
    handlers = registry.handlers()
    rows = list(HandlerPosition.objects.filter(name__in=handlers))
    missing = sorted(set(handlers) - {row.name for row in rows})
    if not missing:
        return rows
    head = queries.head_position()
    starts = {name: head if handlers[name].start == "current" else 0 for name in missing}
    new = [HandlerPosition(name=name, position=position) for name, position in starts.items()]
    HandlerPosition.objects.bulk_create(new, ignore_conflicts=True)
    return list(HandlerPosition.objects.filter(name__in=handlers))


def _project_once(rows: Iterable[HandlerPosition], head: int, now: datetime) -> int:
    """Take every handler that lags one batch further; return how many events were dealt with.

    Handlers that stand at the same place read together, which is all of them unless one has failed.
    """
    groups = defaultdict(list)
    for row in rows:
        if row.position < head and _may_go_on(row, now):
            groups[row.position].append(registry.find(row.name))
    return sum(_take_along(handlers, position, head, now) for position, handlers in groups.items())


def _may_go_on(row: HandlerPosition, now: datetime) -> bool:
    waits = row.retry_at is not None and row.retry_at > now
    return not waits and not _is_replayed(row, now)


def _is_replayed(row: HandlerPosition, now: datetime) -> bool:
    return row.replay_seen_at is not None and row.replay_seen_at > now - REPLAY_SILENT


def _take_along(handlers: Sequence[EventHandler], position: int, head: int, now: datetime) -> int:
    until = min(head, position + BATCH)
    events = _read(position, until)
    idle, furthest = [], position
    for handler in handlers:
        if heard := _heard_by(handler, events):
            furthest = max(furthest, _apply(handler, heard, position, until, now))
        else:
            idle.append(handler.name)
    waiting = HandlerPosition.objects.filter(name__in=idle, position=position)
    if idle and waiting.update(position=until, updated_at=now):
        furthest = until
    return furthest - position


def _apply(handler: EventHandler, events: Sequence[Recorded], position: int, until: int, now: datetime) -> int:
    """Let *handler* hear *events*; return how far it came. Around one that fails, the others are heard all the same."""
    try:
        return until if _deal(handler, events, position, until) else position
    except Exception as error:  # noqa: BLE001  (the documented door: whatever a handler does stays with it)
        if len(events) == 1:
            _postpone(handler, events[0], error, now)
            return position
    half = len(events) // 2
    middle = events[half - 1].position
    if _apply(handler, events[:half], position, middle, now) < middle:
        return position
    return max(middle, _apply(handler, events[half:], middle, until, now))


@transaction.atomic
def _deal(
    handler: EventHandler, events: Sequence[Recorded], position: int, until: int, *, replaying: bool = False
) -> bool:
    """Let *handler* hear *events* and move it to *until*; return False when it has left *position* already."""
    row = HandlerPosition.objects.select_for_update().get(pk=handler.name)
    if row.position != position:
        return False
    if events:
        handler.effect(events)
    now = timezone.now()
    HandlerPosition.objects.filter(pk=handler.name).update(
        position=until, failures=0, last_error="", retry_at=None, updated_at=now,
        replay_seen_at=now if replaying else row.replay_seen_at,
    )  # fmt: skip
    return True


def _postpone(handler: EventHandler, event: Recorded, error: Exception, now: datetime) -> None:
    """Record why *handler* stands still, and when it is tried again."""
    row = HandlerPosition.objects.get(pk=handler.name)
    failures = row.failures + 1
    wait = min(MAX_BACKOFF, timedelta(seconds=2 ** min(failures, 16)))
    told = f"event {event.position} ({event.type}): {type(error).__name__}: {error}"[:2000].replace("\0", "")
    logger.warning("The event handler %s failed at %s", handler.name, told, exc_info=error)
    HandlerPosition.objects.filter(pk=handler.name).update(failures=failures, last_error=told, retry_at=now + wait)


@transaction.atomic
def _begin_replay(handler: EventHandler) -> None:
    if handler.reset is None:
        raise Refused(f"The event handler {handler.name!r} keeps nothing that could be built again.", field="name")
    HandlerPosition.objects.get_or_create(pk=handler.name)
    row = HandlerPosition.objects.select_for_update().get(pk=handler.name)
    now = timezone.now()
    if _is_replayed(row, now):
        raise Refused(f"{handler.name!r} is being replayed already.", field="name")
    handler.reset()
    HandlerPosition.objects.filter(pk=handler.name).update(
        position=0, failures=0, last_error="", retry_at=None, replay_seen_at=now, updated_at=now
    )


def _step(handler: EventHandler, head: int) -> int:
    """Take a replay one batch further from where it is stored to be; return how far it came."""
    position = HandlerPosition.objects.values_list("position", flat=True).get(pk=handler.name)
    until = min(head, position + BATCH)
    if position < until:
        _deal(handler, _heard_by(handler, _read(position, until)), position, until, replaying=True)
    return max(position, until)


def _read(position: int, until: int) -> list[Recorded]:
    return [Recorded.from_row(row) for row in bulk.read_events(position, until, BATCH)]


def _heard_by(handler: EventHandler, events: Sequence[Recorded]) -> list[Recorded]:
    return [event for event in events if event.stream in handler.streams]
