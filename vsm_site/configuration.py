"""The central configuration (requirements 004-41, 004-42): what is switched on, and what the parts agree on.

Each value comes from the environment, is checked when a process starts, and holds until the next start. What people
change while the platform runs is policy, and has its own pages.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from django.conf import settings

from subsystems.kernel.texts import gettext_noop as _
from vsm_site.environment import Environment


class Setting(NamedTuple):
    """One value: the part that it is of, its documented name, and the field of the environment that sets it."""

    part: str
    name: str
    field: str
    text: str


SETTINGS = (
    Setting("core", "enabled", "", _("Systems, messages, signals, decisions; always on (phase 1)")),
    Setting("telemetry", "enabled", "telemetry", _("Samples, roll-ups, archive, exports, forecasts (phase 2)")),
    Setting("rate_limiter", "enabled", "rate_limiting", _("Senders that say too much are refused (phase 3)")),
    Setting("event_processing", "enabled", "event_processing", _("Read models of the log, event patterns (phase 4)")),
    Setting("integration", "message_format_version", "message_format_version", _("Of the envelope of messages")),
    Setting("integration", "telemetry_batch_size", "telemetry_batch_size", _("Events written in one statement")),
    Setting("integration", "rate_limit_bypass_critical", "rate_limit_bypass_critical",
            _("Critical pain is not limited")),
    Setting("integration", "pattern_detection_sensitivity", "pattern_detection_sensitivity",
            _("Of event patterns that name none of their own")),
)  # fmt: skip


def rows() -> list[dict[str, Any]]:
    """Return every setting with its value, its default, and the variable that changes it."""
    return [_row(each) for each in SETTINGS]


def tree() -> dict[str, dict[str, Any]]:
    """Return the values by part, under their documented names."""
    found: dict[str, dict[str, Any]] = {}
    for row in rows():
        found.setdefault(row["part"], {})[row["name"]] = row["value"]
    return found


def _row(each: Setting) -> dict[str, Any]:
    value = default = True
    if each.field:
        value = getattr(settings, each.field.upper())
        default = Environment.model_fields[each.field].default
    variable = f"VSM_{each.field.upper()}" if each.field else ""
    return {"part": each.part, "name": each.name, "value": value, "default": default, "variable": variable,
            "text": each.text, "changed": value != default}  # fmt: skip
