"""What calling a webhook would send, said before it is sent."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from subsystems.kernel.errors import Invalid, Refused
from subsystems.s1_operations.models import Fleet
from subsystems.s3_control.hooks.models import Webhook
from subsystems.s3_control.hooks.requests import Asked, shown


@dataclass(frozen=True)
class Told:
    """What would be sent; *refusal* says why it cannot be."""

    words: str
    before: dict[str, Any] = field(default_factory=dict)
    refusal: str = ""


def look(fleet: Fleet, kind: str, name: str, payload: Mapping[str, Any]) -> Told:
    """Return the request that an act of *kind* would make. Raises Invalid naming `target`, Refused."""
    row = found(fleet, name)
    url = address(row, kind)
    undoable = bool(row.undo_url)
    if not url:
        return Told("", {}, f"Nothing undoes what {name} does: it has no second address.")
    body = Asked("…", kind, name, fleet.name, payload, "…", "…", "…").body()
    before = {"request": {"url": shown(url), "body": body, "signed": row.is_signed}, "undoable": undoable}
    end = "" if undoable else " It cannot be undone: no second address is declared."
    return Told(f"POST {shown(url)}{', signed' if row.is_signed else ''}.{end} {json.dumps(body)}", before)


def found(fleet: Fleet, name: str) -> Webhook:
    """Return a webhook that may be called. Raises Invalid naming `target`, Refused."""
    row = Webhook.objects.filter(fleet=fleet, name=name).first()
    if row is None:
        raise Invalid(f"{fleet.name} has no webhook {name!r}.", field="target")
    if not row.enabled:
        raise Refused(f"The webhook {name} is switched off.", code="cannot")
    return row


def address(row: Webhook, kind: str) -> str:
    """Return where an act of *kind* is told; empty where nothing undoes it."""
    return row.undo_url if kind == "webhook.undo" else row.url
