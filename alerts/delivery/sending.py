"""Sending what was written down: claimed, sent side by side within a time, and noted, at least once.

A worker that dies in mid-send leaves a claim that ends; then another sends again. Only who died between the service's
answer and the note makes people hear twice.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address
from itertools import islice
from queue import SimpleQueue
from typing import Any, cast

from django.conf import settings as django_settings
from django.db import connection, transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.utils import timezone

from alerts.delivery.base import Channel, HttpChannel, Message, OwnChannel, Reference, Result
from alerts.delivery.channels import CHANNELS
from alerts.notices import payload
from alerts.notices.models import GroupTold, Notification, Silence, Target
from alerts.notices.queries import Tree, silences_at
from alerts.notices.silencing import first_hiding
from subsystems.s1_operations.adapters.http import guarded_resolver, is_allowed
from subsystems.s1_operations.adapters.http_calls import exchange
from subsystems.s1_operations.adapters.http_exchange import AddressRefused, BadAnswer, Resolver
from subsystems.s1_operations.sealing import CannotOpen, unseal

PURPOSE = b"vsm.alerts.targets.v1"
AT_ONCE, PER_TARGET, CLAIMED_PER_TARGET, LOOKED_AT = 40, 2, 4, 400
SECONDS = 10.0  # for one request and its answer
LEASE = timedelta(seconds=30)  # longer than a target that hangs takes for all that is claimed of it
TRIES_BEFORE_STAND_IN = 3
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=5), timedelta(minutes=15)
FAILURES_BEFORE_REST = 3  # in a row
FIRST_REST, LONGEST_REST = timedelta(seconds=30), timedelta(minutes=10)
GIVE_UP = timedelta(hours=24)
ANEW = ("escalation", "escalation_over")  # a message of its own, beside what the group's target was told
WAITING, SENT = Notification.State.WAITING, Notification.State.SENT
FAILED, WITHHELD = Notification.State.FAILED, Notification.State.WITHHELD


def send_due(*, now: datetime, clock: Callable[[], datetime] = timezone.now) -> int:
    """Send what is due, once over; return how many were tried. *clock* tells when each came back."""
    hand_over(now=now)
    claimed = claim(now=now)
    claimed = [each for each in claimed if not _withheld(each, now)]
    if not claimed:
        return 0
    for parcel, result in sent([_parcel(each, now) for each in claimed]):
        note(parcel.notification, result, now=clock())
    return len(claimed)


def send_test(notification: Notification, *, now: datetime) -> Notification:
    """Send one notification now, whether or not its target rests; try once, and return what became of it."""
    ((_, result),) = sent([_parcel(notification, now)])
    if result.ok:
        note(notification, result, now=now)
    else:
        _end(notification, FAILED, result.error)
    notification.refresh_from_db()
    return notification


@transaction.atomic
def claim(*, now: datetime, limit: int = AT_ONCE) -> list[Notification]:
    """Claim what is due, the critical first; of each group and target only the oldest: people hear things in order."""
    features = connection.features
    of = ("self",) if features.has_select_for_update_of else ()
    due = _due(now).select_for_update(skip_locked=features.has_select_for_update_skip_locked, of=of)
    urgent = list(due.filter(severity="critical").order_by("due_at").values_list("pk", "target_id")[:LOOKED_AT])
    rest = due.exclude(severity="critical").order_by("due_at").values_list("pk", "target_id")[:LOOKED_AT]
    chosen = list(islice(_shared_out([*urgent, *rest]), limit))
    Notification.objects.filter(pk__in=chosen).update(claimed_until=now + LEASE, attempts=F("attempts") + 1)
    found = Notification.objects.select_related("target__fallback", "group", "stands_in_for").in_bulk(chosen)
    return [found[pk] for pk in chosen]


def _shared_out(rows: Iterable[tuple[Any, int | None]]) -> Iterator[Any]:
    """Yield what may be claimed: of one target so few that all of them end within a claim, even if it hangs."""
    taken: Counter[int | None] = Counter()
    for pk, target_id in rows:
        taken[target_id] += 1
        if taken[target_id] <= CLAIMED_PER_TARGET:
            yield pk


def _due(now: datetime) -> QuerySet[Notification]:
    earlier = Notification.objects.filter(
        group=OuterRef("group"), target=OuterRef("target"), state=WAITING, number__lt=OuterRef("number")
    )
    rested = Q(target__rests_until=None) | Q(target__rests_until__lte=now)
    free = Q(claimed_until=None) | Q(claimed_until__lte=now)
    due = Notification.objects.filter(rested, free, state=WAITING, due_at__lte=now, target__isnull=False)
    return due.filter(~Exists(earlier))


# --- Before it is sent ---


def _withheld(notification: Notification, now: datetime) -> bool:
    """Leave out what was silenced since it was written down; return whether nothing is left."""
    since = Silence.objects.filter(created_at__gte=notification.created_at)
    if not since.exists():
        return False
    hidings = silences_at(list(Tree.read().upwards(notification.system_id)), now)
    alerts = notification.body.get("alerts", [])
    left = [each for each in alerts if first_hiding(hidings, each["labels"]) is None]
    if len(left) == len(alerts):
        return False
    if not left and not notification.body.get("truncatedAlerts"):
        _end(notification, WITHHELD, "silenced before it was sent")
        return True
    for word in ("firing", "resolved"):
        notification.body[word] -= sum(each["status"] == word for each in alerts if each not in left)
    notification.body["alerts"] = left
    return False


@dataclass(frozen=True, slots=True)
class _Parcel:
    notification: Notification
    channel: Channel | None
    settings: dict[str, str]
    message: Message
    problem: str = ""


def _parcel(notification: Notification, now: datetime) -> _Parcel:
    target = cast(Target, notification.target)
    channel = CHANNELS.get(target.kind)
    message = message_of(notification, now)
    if channel is None:
        return _Parcel(notification, None, {}, message, f"there is no channel {target.kind!r}")
    try:
        return _Parcel(notification, channel, settings_of(target), message)
    except CannotOpen as error:
        return _Parcel(notification, None, {}, message, str(error))


def settings_of(target: Target) -> dict[str, str]:
    """Return all settings of *target*, its secrets opened. Raises CannotOpen."""
    found = dict(target.config)
    if target.secrets_sealed:
        found |= json.loads(unseal(target.secrets_sealed, django_settings.SECRET_KEY, PURPOSE))
    return found


def message_of(notification: Notification, now: datetime) -> Message:
    """Return *notification* as channels see it."""
    body = notification.body
    first = body["alerts"][0] if body["alerts"] else {}
    reference: Reference = {}
    if notification.group_id and notification.target_id and notification.reason not in ANEW:
        told = GroupTold.objects.filter(group=notification.group_id, target=notification.target_id).first()
        reference = told.reference if told else {}
    return Message(
        id=str(notification.pk), thread=body["groupKey"], title=payload.title_of(body),
        lines=tuple(payload.lines_of(body)), severity=notification.severity, firing=body["firing"] > 0,
        url=first.get("url") or body.get("externalURL", ""), body=body, timestamp=int(now.timestamp()),
        reference=reference,
    )  # fmt: skip


# --- Sending ---


def sent(parcels: Sequence[_Parcel]) -> Iterator[tuple[_Parcel, Result]]:
    """Send *parcels* side by side; yield each with its result as soon as it is there.

    What came back is written down at once, by the caller's thread: until it is, a death would send it a second time.
    """
    back: SimpleQueue[tuple[_Parcel, Result]] = SimpleQueue()
    sending = threading.Thread(target=lambda: asyncio.run(_send_all(parcels, back)), daemon=True)
    sending.start()
    for _ in parcels:
        yield back.get()
    sending.join()


async def _send_all(parcels: Sequence[_Parcel], back: SimpleQueue[tuple[_Parcel, Result]]) -> None:
    resolver = guarded_resolver(django_settings.HTTP_ALLOW)
    lanes: dict[Any, asyncio.Semaphore] = {}

    async def one(parcel: _Parcel) -> None:
        async with lanes.setdefault(parcel.notification.target_id, asyncio.Semaphore(PER_TARGET)):
            back.put((parcel, await _send(parcel, resolver)))

    await asyncio.gather(*(one(parcel) for parcel in parcels))


async def _send(parcel: _Parcel, resolver: Resolver) -> Result:
    if parcel.channel is None:
        return Result(False, parcel.problem)
    try:
        async with asyncio.timeout(SECONDS):
            if hasattr(parcel.channel, "call"):
                channel = cast(HttpChannel, parcel.channel)
                answer = await exchange(channel.call(parcel.message, parcel.settings), resolver)
                return channel.read(answer, parcel.message)
            own = cast(OwnChannel, parcel.channel)
            return await asyncio.to_thread(own.send, parcel.message, parcel.settings, _reachable)
    except AddressRefused as error:
        return Result(False, f"refused: {error.host} is an internal address; VSM_HTTP_ALLOW would permit it")
    except TimeoutError:
        return Result(False, f"no answer within {SECONDS:g} s", again=True)
    except (BadAnswer, OSError) as error:
        return Result(False, (str(error) or type(error).__name__)[:200], again=True)
    except Exception as error:  # noqa: BLE001  (one target that no channel foresaw must not hold up all the others)
        return Result(False, f"{type(error).__name__} while it was written or read", again=False)


def _reachable(host: str, address: str) -> bool:
    return is_allowed(host, ip_address(address), django_settings.HTTP_ALLOW)


# --- After it was sent, or was not ---


@transaction.atomic
def note(notification: Notification, result: Result, *, now: datetime) -> None:
    """Write down how it went: sent, to be tried again, handed to the stand-in, or given up."""
    target = cast(Target, notification.target)
    if result.ok:
        _end(notification, SENT, result.error, sent_at=now)
        Target.objects.filter(pk=target.pk).update(failures=0, rests_until=None, last_error="", last_sent_at=now)
        if result.reference and notification.group_id and notification.reason not in ANEW:
            told = GroupTold.objects.filter(group=notification.group_id, target=target)
            told.update(reference=dict(result.reference))
        return
    if result.gone:
        GroupTold.objects.filter(group=notification.group_id, target=target).update(reference={})
        _later(notification, now, timedelta(0), result.error)
        return
    _count_failure(target, result.error, now)
    tried_enough = not result.again or notification.attempts >= TRIES_BEFORE_STAND_IN
    if tried_enough and notification.stands_in_for_id is None and target.fallback and target.fallback.enabled:
        _stand_in(notification, target, result.error, now)
    elif not result.again or now - notification.created_at > GIVE_UP:
        _give_up(notification, result.error)
    else:
        _later(notification, now, _pause(notification.attempts), result.error)


def hand_over(*, now: datetime) -> int:
    """Give what waits for a target that rests to its stand-in; return how many that were."""
    resting = Notification.objects.filter(
        state=WAITING, stands_in_for=None, target__rests_until__gt=now, target__fallback__enabled=True
    )
    waiting = list(resting.select_related("target__fallback")[:AT_ONCE])
    for notification in waiting:
        with transaction.atomic():
            _stand_in(notification, cast(Target, notification.target), "the target rests after failures", now)
    return len(waiting)


def _stand_in(notification: Notification, target: Target, error: str, now: datetime) -> None:
    """End *notification* and write the same one to the target that stands in; once, whoever comes first."""
    mine = Notification.objects.filter(pk=notification.pk, state=WAITING)
    words = f"{error}; told by {target.fallback.name if target.fallback else ''} instead"[:300]
    if not mine.update(state=FAILED, last_error=words, claimed_until=None):
        return
    other = cast(Target, target.fallback)
    Notification.objects.create(
        system_id=notification.system_id, target=other, target_name=other.name, kind=other.kind, body=notification.body,
        receiver=notification.receiver, reason=notification.reason, severity=notification.severity,
        title=notification.title, firing_count=notification.firing_count, resolved_count=notification.resolved_count,
        created_at=now, due_at=now, stands_in_for=notification,
    )  # fmt: skip


def _give_up(notification: Notification, error: str) -> None:
    """End it, and forget that the target was told: the group's next flush tells it anew."""
    _end(notification, FAILED, error)
    first = notification.stands_in_for or notification
    if first.group_id and notification.reason not in ANEW:
        GroupTold.objects.filter(group=first.group_id, target=first.target_id).delete()


def _end(notification: Notification, state: str, error: str, **fields: Any) -> None:
    mine = Notification.objects.filter(pk=notification.pk, state=WAITING)
    mine.update(state=state, last_error=error[:300], claimed_until=None, **fields)


def _later(notification: Notification, now: datetime, pause: timedelta, error: str) -> None:
    mine = Notification.objects.filter(pk=notification.pk, state=WAITING)
    mine.update(due_at=now + pause, claimed_until=None, last_error=error[:300])


def _pause(attempts: int) -> timedelta:
    doubled: int = 2 ** min(max(attempts - 1, 0), 10)
    return min(LONGEST_PAUSE, FIRST_PAUSE * doubled)


def _count_failure(target: Target, error: str, now: datetime) -> None:
    """Count a failure; after some in a row the target rests, longer each time."""
    Target.objects.filter(pk=target.pk).update(failures=F("failures") + 1, last_error=error[:300])
    target.refresh_from_db(fields=["failures"])
    if target.failures >= FAILURES_BEFORE_REST:
        rest = min(LONGEST_REST, FIRST_REST * 2 ** min(target.failures - FAILURES_BEFORE_REST, 10))
        Target.objects.filter(pk=target.pk).update(rests_until=now + rest)
