"""Which units a browser has in sight: what it is sent of a fleet that no page could show whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MOST_UNITS, USUAL_UNITS = 1000, 200
MOST_QUEUES, USUAL_QUEUES = 100, 15
MOST_IDS = 200
LONGEST_TEXT = 200
LARGEST_ID = 2**63 - 1


@dataclass(frozen=True, slots=True)
class View:
    """The *limit* worst units with *text* in their name and of *kind*, and the deepest *queues*; or just *ids*."""

    limit: int = USUAL_UNITS
    queues: int = USUAL_QUEUES
    text: str = ""
    kind: str = ""
    ids: frozenset[int] = frozenset()

    def matches(self, unit: Mapping[str, Any]) -> bool:
        """Return whether a unit (its wire form) could be in sight."""
        if self.ids:
            return int(unit["id"]) in self.ids
        if not self.limit:
            return False
        return (not self.kind or unit["kind"] == self.kind) and self.text in unit["name"].lower()


def parse_view(wanted: Mapping[str, Any]) -> View:
    """Return the view that a browser asks for; what it does not say, or says wrongly, is as usual.

    `units` and `queues` are numbers (0 for none), `q` a part of a name, `kind` a type of unit, `ids` a list of numbers
    or the same with commas.
    """
    ids = wanted.get("ids") or ()
    listed = ids.split(",") if isinstance(ids, str) else ids if isinstance(ids, list | tuple) else ()
    numbers = [_number(each, LARGEST_ID) for each in listed[:MOST_IDS]]
    return View(
        limit=_number(wanted.get("units"), MOST_UNITS, USUAL_UNITS),
        queues=_number(wanted.get("queues"), MOST_QUEUES, USUAL_QUEUES),
        text=_text(wanted.get("q")).strip().lower(),
        kind=_text(wanted.get("kind")),
        ids=frozenset(number for number in numbers if number),
    )


def _number(value: Any, most: int, usual: int = 0) -> int:
    text = str(value) if isinstance(value, int | str) and not isinstance(value, bool) else ""
    return min(int(text), most) if text.isascii() and text.isdigit() and len(text) < 20 else usual


def _text(value: Any) -> str:
    return value.replace("\0", "")[:LONGEST_TEXT] if isinstance(value, str) else ""
