"""The score of units, 0 to 1: what S1 found of each when it was last collected."""

from __future__ import annotations

from typing import Any

from alerts.conditions.kind import Feed, Kind, text
from subsystems.kernel.texts import gettext_noop as _


def _check(params: dict[str, Any]) -> None:
    text(params, "part", 60)


KIND = Kind("health", _("Health"), "the unit's score", Feed.UNITS, defaults={"part": ""}, check=_check)
