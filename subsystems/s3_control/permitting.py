"""What S5 permits: by kind of act and system, whether a person decides, the platform may within limits, or nobody.

Set by S5 alone, from its policies; each change is an event of the log.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone
from pydantic import ValidationError

from subsystems.event_log.services import append
from subsystems.event_log.streams import Stream
from subsystems.kernel.errors import Forbidden, Invalid
from subsystems.s3_control.acts import ACTS
from subsystems.s3_control.braking import Limits
from subsystems.s3_control.models import ActionPolicy, Recommendation

DEFAULT = Limits()


@dataclass(frozen=True)
class Permission:
    """How one kind of act is decided in a system."""

    mode: str = ActionPolicy.Mode.MANUAL
    limits: Limits = DEFAULT


def permission(system_id: int, kind: str) -> Permission:
    """Return what is permitted; without a word of S5 a person decides."""
    row = ActionPolicy.objects.filter(system_id=system_id, kind=kind).first()
    return Permission() if row is None else Permission(row.mode, Limits.model_validate(row.limits))


def refuse_forbidden(system_id: int, kind: str) -> None:
    """Raise Forbidden where policy says that nobody does this."""
    if ActionPolicy.objects.filter(system_id=system_id, kind=kind, mode=ActionPolicy.Mode.NEVER).exists():
        raise Forbidden(f"Policy in this system: {kind} is done by nobody.", code="forbidden_by_policy")


@transaction.atomic
def set_permission(
    system_id: int,
    kind: str,
    mode: str,
    limits: Mapping[str, Any] | None = None,
    *,
    by: str,
    reason: str = "",
    now: datetime | None = None,
) -> ActionPolicy:
    """Let acts of *kind* be decided so from now on. Raises Invalid naming the field."""
    now = now or timezone.now()
    if kind not in ACTS:
        raise Invalid(f"The kinds of acts are {', '.join(ACTS)}.", field="kind")
    if mode not in ActionPolicy.Mode.values:
        raise Invalid(f"The modes are {', '.join(ActionPolicy.Mode.values)}.", field="mode")
    told = {
        "mode": mode, "limits": checked_limits(limits), "set_by": by[:150], "set_at": now, "reason": reason[:500],
    }  # fmt: skip
    row, _ = ActionPolicy.objects.update_or_create(system_id=system_id, kind=kind, defaults=told)
    said = {"kind": kind, "mode": mode, "limits": row.limits, "reason": row.reason}
    append(Stream.CONTROL, "PermissionSet", said, system_id=system_id, actor=by[:150])
    # What waits already is decided by the new word.
    waiting = Recommendation.objects.filter(system_id=system_id, act_kind=kind, state=Recommendation.State.PROPOSED)
    waiting.update(next_at=now)
    return row


def checked_limits(given: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return limits as they are kept. Raises Invalid naming the field."""
    if given is not None and not isinstance(given, Mapping):
        raise Invalid("The limits must be an object of names and values.", field="limits")
    try:
        found: dict[str, Any] = Limits.model_validate(dict(given or {})).model_dump(mode="json", exclude_unset=True)
    except ValidationError as error:
        mistake = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(["limits", *(str(step) for step in mistake["loc"])])
        raise Invalid(f"{place}: {mistake['msg']}", field=place) from None
    return found
