"""A moment as the hot path writes it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from django.db import models

from subsystems.kernel.moments import moment_of

if TYPE_CHECKING:
    Base = models.FloatField[Any, Any]  # which at run time takes no subscript
else:
    Base = models.FloatField


class MomentField(Base):
    """An aware datetime that the database keeps as epoch seconds.

    Events carry epoch seconds, and thousands of them a second are written, compared and indexed as the numbers they
    are. Raw statements see the number; through the ORM both a datetime and a number are taken, and a datetime is given.
    """

    if TYPE_CHECKING:
        _pyi_private_set_type: Any
        _pyi_private_get_type: Any  # a datetime
        _pyi_lookup_exact_type: Any

    def from_db_value(self, value: float | None, *_: object) -> datetime | None:
        return None if value is None else datetime.fromtimestamp(value, UTC)

    def to_python(self, value: Any) -> Any:
        number = self.get_prep_value(value)
        return None if number is None else datetime.fromtimestamp(number, UTC)

    def get_prep_value(self, value: Any) -> Any:
        if isinstance(value, datetime):
            return value.timestamp()
        number = moment_of(value) if isinstance(value, str) else super().get_prep_value(value)
        return number if number is None else round(number, 6)
