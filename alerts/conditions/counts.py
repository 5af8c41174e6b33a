"""How many signals were raised, or events recorded, in a window."""

from __future__ import annotations

from typing import Any

from alerts.conditions.kind import Feed, Kind, choice, text
from subsystems.kernel.texts import gettext_noop as _


def _check_signals(params: dict[str, Any]) -> None:
    choice(params, "type", ("", "pain", "pleasure"))
    choice(params, "severity", ("", "critical", "high", "medium", "low"))
    text(params, "source")


def _check_events(params: dict[str, Any]) -> None:
    text(params, "stream", 40)
    text(params, "type", 80)


SIGNALS = Kind(
    "signals", _("Signals"), "how many signals were raised in the window", Feed.SIGNALS,
    defaults={"type": "pain", "severity": "", "source": ""}, check=_check_signals, needs_window=True,
    default_window=300,
)  # fmt: skip
EVENTS = Kind(
    "events", _("Events"), "how many events were recorded in the window", Feed.EVENTS,
    defaults={"stream": "", "type": ""}, check=_check_events, needs_window=True, default_window=300,
)  # fmt: skip
