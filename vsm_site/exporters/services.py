"""Exporting once per slot to every target that is due, and setting targets up."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Q

from subsystems.kernel.errors import Invalid, Refused
from subsystems.messaging.slots import claim_slot
from subsystems.recursion.models import System
from subsystems.s1_operations.adapters.http import guarded_resolver, is_allowed, literal_address
from subsystems.s1_operations.sealing import CannotOpen, seal, unseal
from subsystems.telemetry.exporters import otlp, remote_write, statsd
from subsystems.telemetry.exporters.payloads import Payload, bounded, chosen
from subsystems.telemetry.families import Family
from subsystems.telemetry.models import ExportTarget
from vsm_site.exporters.addresses import UDP, address_of, headers_of, names_shown
from vsm_site.exporters.delivery import Delivered, Parcel, deliver
from vsm_site.exposition.collecting import families

JOB, PERIOD_SECONDS = "telemetry.export", 10
PURPOSE = b"vsm.exporters.headers.v1"
MAX_TARGETS = 20
TRIES_BEFORE_REST = 3  # failures in a row
FIRST_REST, LONGEST_REST = timedelta(seconds=30), timedelta(minutes=10)


def check_target(target: ExportTarget, headers: str | None) -> None:
    """Check a target before it is saved, and seal its *headers* (None: they stay). Raises Invalid naming the field."""
    address = address_of(target.kind, target.address)
    literal = literal_address(address.host)
    if literal is not None and not is_allowed(address.host, literal, settings.HTTP_ALLOW):
        raise Invalid(f"{address.host} is an internal address; VSM_HTTP_ALLOW must list it first.", field="address")
    if target.pk is None and ExportTarget.objects.count() >= MAX_TARGETS:
        raise Invalid(f"There may be {MAX_TARGETS} targets.", field="name")
    if headers is not None:
        given = headers_of(headers)
        target.headers_sealed = seal(json.dumps(given), settings.SECRET_KEY, PURPOSE) if given else ""
        target.header_names = names_shown(given)
    target.failures, target.retry_at, target.last_error = 0, None, ""  # what was changed is tried at once


def export_due(*, now: datetime) -> int:
    """Send to every target whose turn it is; return how many that were. A slot is done once, whoever comes first."""
    enabled = ExportTarget.objects.filter(enabled=True)
    if not enabled.exists():
        return 0
    slot = claim_slot(JOB, PERIOD_SECONDS, now=now, scheduled=False)
    if slot is None:
        return 0
    rested = enabled.filter(Q(retry_at=None) | Q(retry_at__lte=now)).select_related("system")
    due = [target for target in rested if slot % target.period_seconds == 0]
    if due:
        export(due, now=now)
    return len(due)


def export(targets: Sequence[ExportTarget], *, now: datetime) -> None:
    """Send what there is now to *targets*, and note how it went."""
    shown = _families_of({target.system_id: target.system for target in targets}, now)
    parcels, left_out = [], []
    for target in targets:
        try:
            parcel, too_many = _parcel(target, shown[target.system_id], now)
        except (Refused, CannotOpen) as error:
            parcel, too_many = None, 0
            _note(target, Delivered(error=str(error)), now)
        parcels.append(parcel)
        left_out.append(too_many)
    sent = iter(asyncio.run(deliver([each for each in parcels if each], guarded_resolver(settings.HTTP_ALLOW))))
    for target, parcel, too_many in zip(targets, parcels, left_out, strict=True):
        if parcel is not None:
            done = next(sent)
            done.dropped += too_many
            _note(target, done, now)
    _add_up(targets)


def _families_of(systems: Mapping[int | None, System | None], now: datetime) -> dict[int | None, list[Family]]:
    """Return what each system shows (None: all of them), read once for all targets."""
    return {
        key: families([system] if system else System.objects.order_by("slug"), now=now.timestamp())
        for key, system in systems.items()
    }


def _parcel(target: ExportTarget, shown: Iterable[Family], now: datetime) -> tuple[Parcel, int]:
    prefixes = [each.strip() for each in target.prefixes.split(",") if each.strip()]
    kept, left_out = bounded(chosen(shown, prefixes))
    headers = json.loads(unseal(target.headers_sealed, settings.SECRET_KEY, PURPOSE)) if target.headers_sealed else {}
    address = address_of(target.kind, target.address)
    return Parcel(address, _payloads(target.kind, kept, now.timestamp()), headers, udp=target.kind in UDP), left_out


def _payloads(kind: str, kept: Sequence[Family], now: float) -> Iterator[Payload]:
    if kind == ExportTarget.Kind.OTLP:
        return otlp.payloads(kept, now=now)
    if kind == ExportTarget.Kind.REMOTE_WRITE:
        return remote_write.payloads(kept, now=now)
    return statsd.payloads(kept, tags=kind == ExportTarget.Kind.DOGSTATSD)


def _note(target: ExportTarget, done: Delivered, now: datetime) -> None:
    """Write on *target* how it went; after some failures in a row it rests, longer each time."""
    target.sent_samples += done.sent
    target.dropped_samples += done.dropped
    target.last_error = done.error
    if done.sent and not done.error:
        target.sent_at, target.failures, target.retry_at = now, 0, None
        return
    if not done.error:
        return  # there was nothing to send
    target.failures += 1
    if target.failures >= TRIES_BEFORE_REST:
        target.retry_at = now + min(LONGEST_REST, FIRST_REST * 2 ** min(target.failures - TRIES_BEFORE_REST, 10))


def _add_up(targets: Sequence[ExportTarget]) -> None:
    """Save the outcome; only a slot's claimer counts, so nobody else adds to these rows meanwhile."""
    fields = ["sent_samples", "dropped_samples", "last_error", "sent_at", "failures", "retry_at"]
    ExportTarget.objects.bulk_update(targets, fields)
