"""Moments that people type in: by the clocks of their own zone, which the label names, or by those of another."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _

from vsm_site.dashboard import zones

MINUTES = "%Y-%m-%dT%H:%M"
FIRST, LAST = 0, 1  # of the two times that clocks show the same, in the night they are put back


class WallTime(forms.DateTimeField):
    """What clocks show somewhere: a datetime without a zone."""

    def __init__(self, **kwargs: Any) -> None:
        picker = forms.DateTimeInput(attrs={"type": "datetime-local"}, format=MINUTES)
        super().__init__(**{"widget": picker, **kwargs})

    def to_python(self, value: Any) -> datetime | None:
        with timezone.override(UTC):
            found = super().to_python(value)
        return found and found.replace(tzinfo=None)


class Moment(WallTime):
    """A moment by the clocks of the reader's zone; text that brings its own distance from UTC is taken at its word.

    *twice* says which is meant where clocks show a time twice: FIRST for the beginning of a range, LAST for its end.
    """

    def __init__(self, *, twice: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.twice = twice

    @property
    def label(self) -> str:
        return f"{self._label} ({zones.here()})"

    @label.setter
    def label(self, value: Any) -> None:
        self._label = value

    def to_python(self, value: Any) -> datetime | None:
        given = _aware(value)
        if given:
            return given
        shown = super().to_python(value)
        return shown and exactly(shown, timezone.get_current_timezone(), twice=self.twice)

    def prepare_value(self, value: Any) -> Any:
        given = _aware(value)
        return super().prepare_value(timezone.localtime(given).strftime(MINUTES) if given else value)


def exactly(shown: datetime, zone: Any, *, twice: int | None = None) -> datetime:
    """Return when clocks of *zone* show this. Raises ValidationError when they never do, or twice and it is not said
    which of the two is meant.
    """
    first, last = (shown.replace(tzinfo=zone, fold=fold) for fold in (FIRST, LAST))
    where = {"time": f"{shown:%H:%M}", "day": f"{shown:%Y-%m-%d}", "zone": getattr(zone, "key", "UTC")}
    if first.astimezone(UTC).astimezone(zone).replace(tzinfo=None) != shown:
        raise ValidationError(
            _("There is no %(time)s on %(day)s in %(zone)s: clocks are put forward over it."), "missing", where
        )
    if first.utcoffset() == last.utcoffset():
        return first.astimezone(UTC)
    if twice is None:
        raise ValidationError(
            _("%(time)s comes twice on %(day)s in %(zone)s, as clocks are put back: choose a time before or after."),
            "twice", where,
        )  # fmt: skip
    return (first, last)[twice].astimezone(UTC)


def _aware(value: Any) -> datetime | None:
    """Return *value* if it says of itself which moment it is."""
    try:
        given = parse_datetime(value.strip()) if isinstance(value, str) else value
    except ValueError:
        return None
    return given if isinstance(given, datetime) and timezone.is_aware(given) else None
