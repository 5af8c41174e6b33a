"""A sealed event as its readers see it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from subsystems.event_log.chain import AT, moment
from subsystems.event_log.upcasters import upcast


class Recorded(NamedTuple):
    """One event of the chain. *version* and *text* are as stored; `current()` is what they mean today."""

    position: int
    sequence: int
    stream: str
    type: str
    version: int
    system_id: int | None
    text: str
    message_id: str
    correlation_id: str
    actor: str
    at: datetime

    @classmethod
    def from_row(cls, row: Sequence[Any]) -> Recorded:
        """Return the event of a row as in `chain.FIELDS`."""
        return cls._make([*row[:AT], moment(row[AT])])

    def current(self) -> tuple[int, dict[str, Any]]:
        """Return version and data, brought to the newest version that is known."""
        return upcast(self.type, self.version, json.loads(self.text))

    @property
    def data(self) -> dict[str, Any]:
        return self.current()[1]
