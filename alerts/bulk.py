"""The same verb for many alerts at once, and taking it back. What one alert refuses does not stop the others."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User

from alerts import services
from alerts.models import Alert, Silence
from alerts.notices import services as notices
from alerts.notices.matchers import Matcher, Op, text_of
from subsystems.kernel.errors import Refused

MOST = 200
UNMATCHED = ("severity",)  # a silence holds on when the alert becomes worse


@dataclass
class Outcome:
    """Which alerts took the verb, which refused it and why; *silences* are those that were made."""

    done: list[int] = field(default_factory=list)
    refused: list[dict[str, Any]] = field(default_factory=list)
    silences: list[int] = field(default_factory=list)

    def to_wire(self) -> dict[str, Any]:
        return {"done": self.done, "refused": self.refused, "silences": self.silences}


def acknowledge_all(alerts: Iterable[Alert], by: User, comment: str = "") -> Outcome:
    """Acknowledge each alert."""
    return _each(alerts, lambda alert: services.acknowledge(alert, by, comment))


def take_back_all(alerts: Iterable[Alert], by: User) -> Outcome:
    """Take back acknowledgements of one's own."""
    return _each(alerts, lambda alert: _take_back(alert, by))


def resolve_all(alerts: Iterable[Alert], by: User) -> Outcome:
    """End each alert by hand."""
    return _each(alerts, lambda alert: services.resolve(alert, by))


def silence_all(alerts: Iterable[Alert], by: User, ends_at: datetime, comment: str, *, now: datetime) -> Outcome:
    """Silence each alert, whatever its severity, until *ends_at*."""
    found = Outcome()

    def silence(alert: Alert) -> None:
        made = notices.create_silence(alert.system, by, matchers_of(alert), ends_at, comment, now=now)
        found.silences.append(made.pk)

    return _each(alerts, silence, found)


def end_silences(silences: Iterable[Silence], by: User, *, now: datetime) -> Outcome:
    """End silences now, those that are over already left as they are; the outcome names silences, not alerts."""
    return _each(silences, lambda silence: notices.expire_silence(silence, by, now=now))


def matchers_of(alert: Alert) -> str:
    """Return matchers that mean this alert and no other subject of its rule."""
    wanted = {name: value for name, value in alert.labels.items() if value and name not in UNMATCHED}
    return text_of(Matcher(name, Op.EQUAL, value) for name, value in sorted(wanted.items()))


def _take_back(alert: Alert, by: User) -> None:
    if alert.acknowledged_by_id != by.pk:
        raise Refused("Only your own acknowledgement can be taken back here.", code="not_acknowledged")
    services.unacknowledge(alert, by)


def _each(rows: Iterable[Any], verb: Callable[[Any], object], found: Outcome | None = None) -> Outcome:
    found = found or Outcome()
    for row in rows:
        try:
            verb(row)
        except Refused as error:
            found.refused.append({"id": row.pk, "code": error.code, "detail": error.detail})
        else:
            found.done.append(row.pk)
    return found
