"""Writing webhooks down, and doing away with them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from subsystems.event_log.services import append
from subsystems.event_log.streams import Stream
from subsystems.kernel.errors import Invalid
from subsystems.kernel.times import moment_text
from subsystems.s1_operations.adapters.http import is_allowed, literal_address
from subsystems.s1_operations.adapters.http_calls import check_url
from subsystems.s1_operations.models import Fleet
from subsystems.s1_operations.sealing import seal, unseal
from subsystems.s3_control.hooks.models import Webhook
from subsystems.s3_control.hooks.requests import shown

PURPOSE = b"vsm.s3_control.webhooks.v1"
FIELDS = ("name", "url", "undo_url", "enabled")
MAX_SECRET = 500


def save(
    fleet: Fleet, fields: Mapping[str, Any], *, by: str, webhook: Webhook | None = None, now: datetime | None = None
) -> Webhook:
    """Make or change a webhook; an empty `secret` leaves it as it is. Raises Invalid naming the field at fault."""
    row = webhook or Webhook(fleet=fleet, system_id=fleet.system_id)
    for name in FIELDS:
        if name in fields:
            setattr(row, name, fields[name])
    name = row.name.strip() if isinstance(row.name, str) else ""
    if not 0 < len(name) <= 60 or not name.isprintable():
        raise Invalid("A name has 1 to 60 printable characters.", field="name")
    row.name = name
    _check_address(row.url, "url")
    if row.undo_url:
        _check_address(row.undo_url, "undo_url")
    if secret := fields.get("secret"):
        if not isinstance(secret, str) or len(secret) > MAX_SECRET:
            raise Invalid(f"A secret has at most {MAX_SECRET} characters.", field="secret")
        row.secret_sealed = seal(secret, settings.SECRET_KEY, PURPOSE)
    row.changed_by, row.changed_at = by[:150], now or timezone.now()
    try:
        with transaction.atomic():
            row.save()
            _tell("WebhookSaved", row, by)
    except IntegrityError:
        raise Invalid(f"{fleet.name} has a webhook of this name already.", field="name") from None
    return row


@transaction.atomic
def drop(row: Webhook, *, by: str) -> None:
    """Delete a webhook; what it did stays on record."""
    _tell("WebhookDropped", row, by)
    row.delete()


def secret_of(row: Webhook) -> str:
    """Return what signs its requests, empty for nothing. Raises CannotOpen."""
    return unseal(row.secret_sealed, settings.SECRET_KEY, PURPOSE) if row.secret_sealed else ""


def webhook_body(row: Webhook) -> dict[str, Any]:
    """Return a webhook without its secret, and its addresses without their queries."""
    return {
        "id": row.pk, "fleet": row.fleet.name, "name": row.name, "url": shown(row.url),
        "undo_url": shown(row.undo_url) if row.undo_url else "", "signed": row.is_signed, "enabled": row.enabled,
        "changed_by": row.changed_by, "changed_at": moment_text(row.changed_at),
    }  # fmt: skip


def _check_address(url: object, field: str) -> None:
    if not isinstance(url, str):
        raise Invalid("An address is like https://host/path.", field=field)
    check_url(url, field)
    host = urlsplit(url).hostname or ""
    address = literal_address(host)
    if address is not None and not is_allowed(host, address, settings.HTTP_ALLOW):
        raise Invalid(f"{host} is an internal address; VSM_HTTP_ALLOW must list it first.", field=field)


def _tell(type_: str, row: Webhook, by: str) -> None:
    append(Stream.CONTROL, type_, webhook_body(row), system_id=row.system_id, actor=by[:150])
