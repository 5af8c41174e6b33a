"""The environment scanner: what people decide about sources, and the round that asks those that are due."""

from __future__ import annotations

import asyncio
import logging
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from time import perf_counter
from typing import Any
from uuid import uuid4

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.conf import settings
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.db.models import F
from pydantic import ValidationError as BadUrl

from subsystems.event_log.services import append, append_many, pending
from subsystems.event_log.streams import Stream
from subsystems.kernel.errors import Invalid, TransientError
from subsystems.kernel.telemetry_events import emit
from subsystems.messaging.channels import Party
from subsystems.messaging.live import layer_errors, push
from subsystems.messaging.slots import claim_slot
from subsystems.recursion.queries import ROOT_SLUG
from subsystems.s1_operations.adapters.http import (
    HttpConfig,
    certificate_days_left,
    guarded_resolver,
    is_allowed,
    is_up,
    literal_address,
    question_of,
    tls_verification,
)
from subsystems.s1_operations.adapters.http_exchange import AddressRefused, BadAnswer, Resolver, ask
from subsystems.s1_operations.models import Fleet
from subsystems.s4_intelligence.models import Source
from subsystems.s4_intelligence.sources import (
    DEPENDENCIES,
    MAX_SOURCES,
    Seen,
    of_age,
    of_broker,
    pointed_number,
    sentiment_of,
    turn_of,
)
from subsystems.telemetry.queries import latest
from subsystems.telemetry.samples import Sample
from subsystems.telemetry.services import record

logger = logging.getLogger(__name__)
SCAN_JOB, SCAN_SECONDS = "s4_intelligence.scan", 10
AT_ONCE = 200  # what is left is due still, and comes in the next slot
LAYER_SECONDS = 2.0
FIELDS = ("name", "kind", "address", "metric", "metric_source", "pointer", "expect_status", "better", "every_seconds",
          "timeout_seconds", "enabled")  # fmt: skip
NOT_YET: dict[str, Any] = {
    "last_scanned_at": None, "last_ok": None, "last_value": None, "last_error": "", "failures": 0,
    "certificate_days_left": None, "turn": None, "claim": None,
}  # fmt: skip
URL = re.compile(r"[a-z+]+://\S+", re.IGNORECASE)


# --- What people decide -----------------------------------------------------------------------------------------------
@transaction.atomic
def save_source(source: Source, by: User, *, now: datetime, **fields: Any) -> Source:
    """Set *fields* of a new or an old source; what was known of it is forgotten. Raises Invalid naming the field."""
    if source.pk is None and Source.objects.filter(system=source.system).count() >= MAX_SOURCES:
        raise Invalid(f"A system has at most {MAX_SOURCES} sources.", field="name")
    for name, value in fields.items():
        if name not in FIELDS:
            raise Invalid(f"A source has no field {name!r} that can be set.", field=name)
        setattr(source, name, value)
    _check(source)
    for name, value in NOT_YET.items():
        setattr(source, name, value)
    source.next_due_at = int(now.timestamp())
    try:
        with transaction.atomic():
            source.save()
    except IntegrityError:
        raise Invalid("Another source has this name.", field="name") from None
    _audit("environment_source.saved", source, by)
    return source


@transaction.atomic
def delete_source(source: Source, by: User) -> None:
    """Scan *source* no more. Its series stay as long as all series do."""
    _audit("environment_source.deleted", source, by)
    source.delete()


def _audit(type_: str, source: Source, by: User) -> None:
    data = {"source": source.pk, "name": source.name, "kind": source.kind}
    append(Stream.AUDIT, type_, data, system_id=source.system_id, actor=by.get_username())


def _check(source: Source) -> None:
    source.name = str(source.name).strip()
    try:
        source.clean_fields(exclude=["system"])
    except ValidationError as error:
        name, mistakes = next(iter(error.message_dict.items()))
        raise Invalid(str(mistakes[0]), field=name) from None
    {
        Source.Kind.HTTP: _check_http,
        Source.Kind.METRIC: _check_metric,
        Source.Kind.BROKER: _check_broker,
        Source.Kind.DEPENDENCY: _check_dependency,
    }[Source.Kind(source.kind)](source)


def _check_http(source: Source) -> None:
    try:
        host = _config(source).url.host or ""
    except BadUrl as error:
        raise Invalid(error.errors()[0]["msg"], field="address") from None
    literal = literal_address(host)
    if literal is not None and not is_allowed(host, literal, settings.HTTP_ALLOW):
        raise Invalid(
            f"{host} is an internal address; VSM_HTTP_ALLOW must list it before it can be scanned.", field="address"
        )
    if source.pointer and not source.pointer.startswith("/"):
        raise Invalid("A JSON pointer begins with a slash: /queue/depth.", field="pointer")


def _check_metric(source: Source) -> None:
    if not source.metric:
        raise Invalid("Say which metric.", field="metric")


def _check_broker(source: Source) -> None:
    if not Fleet.objects.filter(system_id=source.system_id, name=source.address).exists():
        raise Invalid("There is no fleet of this name in the system.", field="address")


def _check_dependency(source: Source) -> None:
    if source.system.slug != ROOT_SLUG:
        raise Invalid("What the platform stands on is watched from the root system alone.", field="kind")
    if source.address not in DEPENDENCIES:
        raise Invalid(f"The dependencies are {', '.join(DEPENDENCIES)}.", field="address")
    if source.address == "redis" and not settings.REDIS_URL:
        raise Invalid("This platform runs without Redis.", field="address")


def _config(source: Source) -> HttpConfig:
    return HttpConfig.model_validate({"url": source.address, "expect_status": source.expect_status})


# --- The round --------------------------------------------------------------------------------------------------------
def scan_slot(*, now: datetime) -> int:
    """Scan what is due once in the current slot, whoever comes first; return how many sources were asked."""
    return 0 if claim_slot(SCAN_JOB, SCAN_SECONDS, now=now, scheduled=False) is None else scan(now=now)


def scan(*, now: datetime) -> int:
    """Ask all sources that are due, those over HTTP side by side; return how many."""
    rows = _claimed(now)
    if not rows:
        return 0
    began, by_kind = perf_counter(), defaultdict[str, list[Source]](list)
    for row in rows:
        by_kind[row.kind].append(row)
    at = now.timestamp()
    found = asyncio.run(_ask_all(by_kind[Source.Kind.HTTP])) if by_kind[Source.Kind.HTTP] else {}
    found |= _metrics(by_kind[Source.Kind.METRIC], at) | _brokers(by_kind[Source.Kind.BROKER], at)
    found |= {row.pk: _dependency(row.address) for row in by_kind[Source.Kind.DEPENDENCY]}
    _write(rows, found, now)
    _tell_sentiment(rows, seconds=perf_counter() - began)
    return len(rows)


def _claimed(now: datetime) -> list[Source]:
    """Claim what is due by one UPDATE: of two workers that come at once, each row goes to one."""
    moment, token = int(now.timestamp()), uuid4()
    due = Source.objects.filter(enabled=True, next_due_at__lte=moment)
    first = list(due.order_by("next_due_at", "pk").values_list("pk", flat=True)[:AT_ONCE])
    if not first or not due.filter(pk__in=first).update(next_due_at=moment + F("every_seconds"), claim=token):
        return []
    return list(Source.objects.filter(claim=token).select_related("system"))


async def _ask_all(rows: Sequence[Source]) -> dict[int, Seen]:
    resolver = guarded_resolver(settings.HTTP_ALLOW)
    seen = await asyncio.gather(*(_asked(row, resolver) for row in rows))
    return {row.pk: each for row, each in zip(rows, seen, strict=True)}


async def _asked(row: Source, resolver: Resolver) -> Seen:
    """Ask one page within its time; whatever goes wrong is what was seen."""
    try:
        async with asyncio.timeout(row.timeout_seconds):
            return await _page(row, resolver)
    except TimeoutError:
        return Seen(False, error=f"no answer within {row.timeout_seconds:g} s")
    except AddressRefused as error:
        return Seen(False, error=f"refused: {error.host} is an internal address; VSM_HTTP_ALLOW would permit it")
    except (BadAnswer, OSError, ValueError) as error:
        return Seen(False, error=str(error) or type(error).__name__)


async def _page(row: Source, resolver: Resolver) -> Seen:
    config = _config(row)
    question = question_of(config.url, "GET")
    plain = question.request.replace(b"Accept-Encoding: gzip, deflate", b"Accept-Encoding: identity")
    answer = await ask(replace(question, request=plain, keep=bool(row.pointer)), resolver, tls_verification())
    days_left = certificate_days_left(answer.certificate)
    if not is_up(answer.status, config.expect_status):
        return Seen(False, None, f"answered with status {answer.status}", days_left)
    try:
        return Seen(True, pointed_number(answer.body, row.pointer) if row.pointer else None, "", days_left)
    except ValueError as error:
        return Seen(False, None, str(error), days_left)


def _metrics(rows: Sequence[Source], now: float) -> dict[int, Seen]:
    """Look up the newest values, those of a system together."""
    by_system: defaultdict[int, list[Source]] = defaultdict(list)
    for row in rows:
        by_system[row.system_id].append(row)
    found: dict[int, Seen] = {}
    for system_id, asked in by_system.items():
        try:
            heard = latest(system_id, metrics={row.metric for row in asked})
        except TransientError as error:
            found |= {row.pk: Seen(False, error=str(error)) for row in asked}
            continue
        found |= {row.pk: _newest(row, heard, now) for row in asked}
    return found


def _newest(row: Source, heard: dict[str, dict[str, tuple[float, float]]], now: float) -> Seen:
    values = [
        told for source, metrics in heard.items() if row.metric_source in ("", source)
        for name, told in metrics.items() if name.partition("{")[0] == row.metric
    ]  # fmt: skip
    if not values:
        return Seen(False, error="no value of the last hour is known")
    at, value = max(values)
    return of_age(value, now - at, row.every_seconds)


def _brokers(rows: Sequence[Source], now: float) -> dict[int, Seen]:
    """Tell what the collection of fleets measured already; no connection is made."""
    fleets = Fleet.objects.filter(system_id__in={row.system_id for row in rows}) if rows else []
    known = {(fleet.system_id, fleet.name): fleet for fleet in fleets}
    return {row.pk: _broker(known.get((row.system_id, row.address)), now) for row in rows}


def _broker(fleet: Fleet | None, now: float) -> Seen:
    if fleet is None or not fleet.enabled:
        return Seen(False, error="the fleet is gone" if fleet is None else "the fleet is not watched now")
    age = None if fleet.connected_at is None else max(0.0, now - fleet.connected_at.timestamp())
    return of_broker(age, fleet.last_error)


# --- What the platform stands on --------------------------------------------------------------------------------------
def _dependency(name: str) -> Seen:
    error = {"database": _database, "redis": _redis, "channel_layer": _channel_layer}[name]()
    return Seen(not error, error=error)


def _database() -> str:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError as error:
        return _scrubbed(error)
    return ""


def _redis() -> str:
    import redis  # only platforms that have one load its client

    if not settings.REDIS_URL:
        return "this platform runs without Redis"
    try:
        with redis.Redis.from_url(settings.REDIS_URL, socket_timeout=2, socket_connect_timeout=2) as client:
            client.ping()
    except (redis.RedisError, OSError) as error:
        return _scrubbed(error)
    return ""


def _channel_layer() -> str:
    try:
        async_to_sync(_send_nowhere)()
    except layer_errors() as error:  # a timeout is an OSError
        return _scrubbed(error)
    return ""


async def _send_nowhere() -> None:
    await asyncio.wait_for(get_channel_layer().group_send("scan", {"type": "scan"}), LAYER_SECONDS)


def _scrubbed(error: BaseException) -> str:
    return URL.sub("(address)", str(error) or type(error).__name__)


# --- What came of it --------------------------------------------------------------------------------------------------
def _write(rows: Sequence[Source], found: dict[int, Seen], now: datetime) -> None:
    """Write what was seen, tell what is otherwise than before, and keep it as samples."""
    at, changed = int(now.timestamp()), []
    # What was edited or deleted meanwhile is another source, and what was seen is not of it.
    still = set(Source.objects.filter(pk__in=list(found), claim=rows[0].claim).values_list("pk", flat=True))
    rows = [row for row in rows if row.pk in still]
    for row in rows:
        seen = found[row.pk]
        before = None if row.last_ok is None else Seen(row.last_ok, row.last_value)
        row.turn = turn_of(before, seen, row.better)
        if seen.ok != (row.last_ok is not False):  # good news of a new source is no change
            changed.append(row)
        row.last_scanned_at, row.last_ok, row.last_value = at, seen.ok, seen.value
        row.last_error, row.failures = seen.error[:300], 0 if seen.ok else row.failures + 1
        row.certificate_days_left = seen.certificate_days_left
    with transaction.atomic():
        Source.objects.bulk_update(
            rows,
            ["last_scanned_at", "last_ok", "last_value", "last_error", "failures", "certificate_days_left", "turn"],
        )
        append_many([_event(row) for row in changed])
    for row in changed:
        push(row.system_id, "environment", row.name, {"ok": row.last_ok})
    _keep_samples(rows, float(at))


def _tell_sentiment(scanned: Sequence[Source], *, seconds: float) -> None:
    """Tell of the scan, and for each system how its outside does: all its enabled sources, as last scanned."""
    turns: defaultdict[int, list[int | None]] = defaultdict(list)
    systems = {row.system_id for row in scanned}
    for system_id, turn in Source.objects.filter(system_id__in=systems, enabled=True).values_list("system_id", "turn"):
        turns[system_id].append(turn)
    for system_id in sorted(systems):
        mine = [row for row in scanned if row.system_id == system_id]
        numbers = {"duration": 1000 * seconds, "findings": sum(row.last_ok is False for row in mine)}
        about: dict[str, Any] = {"scan": "environment", "system_id": system_id, "sources": len(mine)}
        if (found := sentiment_of(turns[system_id])) is not None:
            about |= {"market_sentiment": found.word, "balance": found.balance, **found._asdict()}
        emit("vsm.s4.scan.complete", numbers, about)


def _event(row: Source) -> Any:
    data = {"source": row.name, "kind": row.kind, "ok": row.last_ok, "value": row.last_value, "error": row.last_error}
    type_ = "EnvironmentSourceAnswers" if row.last_ok else "EnvironmentSourceFailed"
    return pending(Stream.INTELLIGENCE, type_, data, system_id=row.system_id, actor=str(Party.S4))


def _keep_samples(rows: Sequence[Source], at: float) -> None:
    batches: defaultdict[tuple[int, str], list[Sample]] = defaultdict(list)
    for row in rows:
        batch, labels = batches[row.system_id, row.system.slug], {"source": row.name}
        batch.append(Sample("environment_ok", at, float(bool(row.last_ok)), labels))
        if row.last_value is not None:
            batch.append(Sample("environment_value", at, row.last_value, labels))
    for (system_id, slug), samples in batches.items():
        try:
            record({slug: samples}, system_id=system_id, now=at)
        except TransientError as error:  # the rows tell it already
            logger.warning("What was scanned is not kept as samples: %s", error)
