"""Reading the event log: searching, following a chain of events, and proving that nothing was changed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.db.models import Max, Q, QuerySet, Sum

from subsystems.event_log import verification
from subsystems.event_log.bulk import read_events
from subsystems.event_log.chain import FIELDS, GENESIS
from subsystems.event_log.checkpoints import Checkpoint
from subsystems.event_log.models import ChainHead, Event, EventCheckpoint, EventCount, HandlerPosition
from subsystems.event_log.recorded import Recorded
from subsystems.event_log.verification import Verdict, Walk

CHUNK = 5_000
SEARCHED = 200_000  # events that one search looks through for a text, which no index holds
MAX_CHAIN = 1_000
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Wanted:
    """Which events are looked for; what is not given does not matter."""

    stream: str = ""
    type: str = ""
    system_id: int | None = None
    correlation_id: str = ""
    message_id: str = ""
    actor: str = ""
    text: str = ""
    since: datetime | None = None
    until: datetime | None = None
    before: int | None = None  # a position


def visible(system_ids: Collection[int] | None) -> QuerySet[Event]:
    """Return the events of these systems; None stands for all, with those that are of no system."""
    return Event.objects.all() if system_ids is None else Event.objects.filter(system_id__in=system_ids)


def search(wanted: Wanted, *, within: QuerySet[Event] | None = None) -> QuerySet[Event]:
    """Return the events that are *wanted*, newest first.

    Text is looked for in type, data and actor, and in the newest events alone: `searched` tells in which.
    """
    exact = {
        name: value
        for name in ("stream", "type", "system_id", "correlation_id", "message_id", "actor")
        if (value := getattr(wanted, name)) not in ("", None)
    }
    found = (Event.objects.all() if within is None else within).filter(**exact)
    if wanted.text:
        text, (first, last) = wanted.text, searched(wanted)
        found = found.filter(position__range=(first, last)).filter(
            Q(type__icontains=text) | Q(data__icontains=text) | Q(actor__icontains=text)
        )
    if wanted.since:
        found = found.filter(at__gte=wanted.since)
    if wanted.until:
        found = found.filter(at__lte=wanted.until)
    if wanted.before:
        found = found.filter(position__lt=wanted.before)
    return found.order_by("-position")


def searched(wanted: Wanted) -> tuple[int, int]:
    """Return the first and the last position between which a text is looked for. To go on, ask *before* the first."""
    last = head_position()
    if wanted.until:
        earlier = Event.objects.filter(at__lte=wanted.until).order_by("-position")
        last = earlier.values_list("position", flat=True).first() or 0
    if wanted.before:
        last = min(last, wanted.before - 1)
    return max(1, last - SEARCHED + 1), last


def page(found: QuerySet[Event], *, before: int | None = None, limit: int = 100) -> list[Event]:
    """Return the newest of *found*, or those before a position: each page costs the same however deep it is."""
    return list((found if before is None else found.filter(position__lt=before))[:limit])


def chain_of(correlation_id: str, *, within: QuerySet[Event] | None = None) -> list[Event]:
    """Return the events that belong together, oldest first, at most 1,000."""
    return list(search(Wanted(correlation_id=correlation_id), within=within).order_by("position")[:MAX_CHAIN])


def recorded(event: Event) -> Recorded:
    """Return a row as its readers see it."""
    return Recorded.from_row([getattr(event, name) for name in FIELDS[:-1]])


def head_position() -> int:
    """Return the position of the newest event, 0 when there is none."""
    return ChainHead.objects.values_list("position", flat=True).first() or 0


def counted(
    system_ids: Collection[int], start: datetime, end: datetime, *, stream: str = "", type_: str = ""
) -> dict[datetime, int]:
    """Return how many events were recorded in each five minutes that had any, by the moment these began.

    0 among *system_ids* stands for what is of no system. Read along the index of the counts, never the log.
    """
    exact = {name: value for name, value in (("stream", stream), ("type", type_)) if value}
    rows = EventCount.objects.filter(system_id__in=system_ids, at__gte=start, at__lt=end, **exact)
    return dict(rows.order_by("at").values_list("at").annotate(n=Sum("count")))


def counted_types(system_ids: Collection[int], since: datetime) -> list[tuple[str, str]]:
    """Return the streams, with their types, that got events since then."""
    rows = EventCount.objects.filter(system_id__in=system_ids, at__gte=since)
    return list(rows.order_by("stream", "type").values_list("stream", "type").distinct())


def lags() -> dict[str, int]:
    """Return how many events each handler is behind."""
    head = head_position()
    return {name: max(0, head - at) for name, at in HandlerPosition.objects.values_list("name", "position")}


def signing_keys() -> list[str]:
    """Return the keys that sign checkpoints, today's first."""
    return [settings.SECRET_KEY, *(str(key) for key in settings.SECRET_KEY_FALLBACKS)]


def verify(
    from_position: int = 1,
    to_position: int | None = None,
    progress: Progress | None = None,
    *,
    outside: Iterable[Checkpoint] = (),
) -> Verdict:
    """Walk along the chain and tell where it is not as it was sealed.

    *outside* are checkpoints from a copy that lives outside the database: against them even a chain that was cut or
    written anew from end to end, checkpoints and head included, is found out.
    """
    outside = list(outside)
    signed = _checkpoints()  # before the head, which never lies behind them
    head = _head()
    newest = Event.objects.aggregate(newest=Max("position"))["newest"] or 0
    head = _head() if newest > head[0] else head  # the sealer may have been at work just now
    start = max(1, from_position)
    end = head[0] if to_position is None else min(to_position, head[0])
    walk = Walk(start, _hash_before(start), _trusted([*signed, *outside]))
    _walk(walk, end, progress)
    findings = [*walk.findings, *_around(signed, outside, start, end)]
    promised = max((each.position for each in _genuine([*signed, *outside])), default=0)
    findings += verification.end_findings(walk, end, head, newest, promised)
    findings.sort(key=lambda finding: finding.position)
    return Verdict(start, end, head[0], walk.checked, findings[: verification.MAX_FINDINGS])


def _walk(walk: Walk, end: int, progress: Progress | None) -> None:
    total = max(0, end - walk.start + 1)
    while not walk.full and (rows := read_events(walk.expected - 1, end, CHUNK)):
        walk.feed(rows)
        if progress:
            progress(walk.expected - walk.start, total)


def _around(signed: list[Checkpoint], outside: list[Checkpoint], start: int, end: int) -> list[verification.Finding]:
    keys = signing_keys()
    inside = [each for each in signed if start <= each.position <= end]
    beyond = [each for each in outside if start <= each.position]
    return [
        *verification.checkpoint_findings(inside, keys, start, end, complete=True),
        *verification.checkpoint_findings(beyond, keys, start, end, complete=False),
    ]


def _checkpoints() -> list[Checkpoint]:
    rows = EventCheckpoint.objects.order_by("position").values_list("position", "hash", "signature")
    return [Checkpoint(position, bytes(hash_), signature) for position, hash_, signature in rows]


def _genuine(found: list[Checkpoint]) -> list[Checkpoint]:
    keys = signing_keys()
    return [each for each in found if each.genuine(keys)]


def _trusted(found: list[Checkpoint]) -> dict[int, bytes]:
    return {each.position: each.hash for each in _genuine(found)}


def _head() -> tuple[int, bytes]:
    head = ChainHead.objects.first()
    return (head.position, bytes(head.hash)) if head else (0, GENESIS)


def _hash_before(start: int) -> bytes | None:
    """Return the hash that the first row must follow, None when the row before it is gone: the walk learns it then."""
    if start == 1:
        return GENESIS
    found = Event.objects.filter(position=start - 1).values_list("hash", flat=True).first()
    return None if found is None else bytes(found)
