"""Writing launchers down, and doing away with them: a right of those who administer the whole installation."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from subsystems.event_log.services import append
from subsystems.event_log.streams import Stream
from subsystems.kernel.errors import Invalid, Refused
from subsystems.s1_operations.models import Fleet
from subsystems.s3_control.launching import previews, queries
from subsystems.s3_control.launching.configs import checked
from subsystems.s3_control.launching.models import Launcher

MAX_WORKERS = 200
FIELDS = ("name", "kind", "enabled", "queues", "slots", "least", "most", "start_seconds", "config")
LASTING = ("name", "kind")  # by these its workers are known
RANGES = {"slots": (1, 1000), "least": (0, MAX_WORKERS), "most": (1, MAX_WORKERS), "start_seconds": (1, 3600)}
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?")


def save(
    fleet: Fleet, fields: Mapping[str, Any], *, by: str, launcher: Launcher | None = None, now: datetime | None = None
) -> Launcher:
    """Make or change a launcher. Raises Invalid naming the field at fault, Refused while its workers are changed."""
    row = launcher or Launcher(fleet=fleet, system_id=fleet.system_id)
    if launcher is not None:
        _refuse_changes(launcher, fields)
    for name in FIELDS:
        if name in fields:
            setattr(row, name, fields[name])
    _check(fleet, row)
    row.config = checked(row.kind, row.config).model_dump(mode="json", exclude_unset=True)
    row.changed_by, row.changed_at = by[:150], now or timezone.now()
    try:
        with transaction.atomic():
            row.save()
            told = {name: getattr(row, name) for name in FIELDS} | {"config": queries.shown(row.config)}
            append(
                Stream.CONTROL, "LauncherSaved", {"launcher": row.pk, "fleet": fleet.name, **told},
                system_id=row.system_id, actor=by[:150],
            )  # fmt: skip
    except IntegrityError:
        raise Invalid(f"{fleet.name} has a launcher of this name already.", field="name") from None
    return row


@transaction.atomic
def drop(row: Launcher, *, by: str) -> None:
    """Delete a launcher. Raises Refused while processes of it are on record: nobody else would know them."""
    if why := previews.busy(row):
        raise Refused(why, code="busy")
    if count := row.processes.count():
        raise Refused(f"{count} workers were started by it: stop them first.", code="in_use")
    told = {"launcher": row.pk, "fleet": row.fleet.name, "name": row.name}
    append(Stream.CONTROL, "LauncherDropped", told, system_id=row.system_id, actor=by[:150])
    row.delete()


def _refuse_changes(row: Launcher, fields: Mapping[str, Any]) -> None:
    for name in LASTING:
        if name in fields and fields[name] != getattr(row, name):
            raise Invalid(f"The {name} stays: by it its workers are known. Make another launcher.", field=name)
    told = fields.get("config")
    if isinstance(told, Mapping) and told.get("node") != row.config.get("node") and row.processes.exists():
        raise Invalid("Its workers are known by their names: stop them before you change those.", field="config.node")


def _check(fleet: Fleet, row: Launcher) -> None:
    if fleet.own:
        raise Invalid("The platform's own workers are run by the platform, not launched by it.", field="fleet")
    if not isinstance(row.name, str) or not _NAME.fullmatch(row.name):
        raise Invalid("A name has 1 to 40 small letters, digits and hyphens: it is part of its workers'.", field="name")
    if row.kind not in settings.LAUNCHERS:
        kinds = ", ".join(settings.LAUNCHERS) or "none"
        raise Invalid(f"VSM_LAUNCHERS permits {kinds} in this installation.", field="kind")
    for name, (least, most) in RANGES.items():
        value = getattr(row, name)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise Invalid(f"{name} is a whole number from {least} to {most}.", field=name)
    if row.least > row.most:
        raise Invalid("The fewest workers are at most the most.", field="least")
    words = row.queues
    fits = isinstance(words, list) and len(words) <= 50
    if not fits or not all(isinstance(each, str) and 0 < len(each) <= 200 and each.isprintable() for each in words):
        raise Invalid("Queues are a list of at most 50 names.", field="queues")
