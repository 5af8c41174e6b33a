"""The score of a system, or of one of its five functions, 0 to 1."""

from __future__ import annotations

from typing import Any

from alerts.conditions.kind import Feed, Kind, choice
from subsystems.kernel.texts import gettext_noop as _
from subsystems.kernel.words import Subsystem

PARTS = ("score", "geometric", "weakest", *(str(each) for each in Subsystem))


def _check(params: dict[str, Any]) -> None:
    choice(params, "of", PARTS)


KIND = Kind("viability", _("Viability"), "the score", Feed.VIABILITY, defaults={"of": "score"}, check=_check)
