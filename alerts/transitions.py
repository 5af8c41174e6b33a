"""The one place that every change of an alert's state passes: recorded for good, in the transaction of the change."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from alerts.models import Alert
from alerts.notices import intake
from subsystems.event_log import services as event_log
from subsystems.event_log.streams import Stream
from subsystems.kernel.times import moment_text


class Kind(StrEnum):
    """What became of an alert; the event is called `alert.<kind>`."""

    PENDING = "pending"  # its condition holds, not yet for long enough
    CLEARED = "cleared"  # it held for too short: nobody was ever told
    FIRING = "firing"
    RECOVERING = "recovering"  # its condition is over, not yet for long enough
    RELAPSED = "relapsed"  # while it recovered, its condition came back
    RESOLVED = "resolved"
    SEVERITY_CHANGED = "severity_changed"  # *inputs* tell `from` and `to`
    NO_DATA = "no_data"  # its series fell silent; whether its state is kept is the rule's policy
    HEARD = "heard"  # its series is back
    ERROR = "error"  # its rule could not be evaluated
    ACKNOWLEDGED = "acknowledged"  # *inputs* of this and all below tell `by` whom
    UNACKNOWLEDGED = "unacknowledged"  # by hand, or because the time of the acknowledgement ran out
    ASSIGNED = "assigned"
    SNOOZED = "snoozed"
    UNSNOOZED = "unsnoozed"
    COMMENTED = "commented"


@dataclass(frozen=True, slots=True)
class Transition:
    """One change of one alert: *inputs* is what the decision was made from, as JSON."""

    alert: Alert
    kind: Kind
    now: datetime
    inputs: Mapping[str, Any] = field(default_factory=dict)


def note(alert: Alert, kind: Kind, *, now: datetime, inputs: Mapping[str, Any] | None = None) -> None:
    """Record one change of *alert*, in the caller's transaction. The alert is as it is after the change."""
    note_all([Transition(alert, kind, now, inputs or {})])


def note_all(changes: Iterable[Transition]) -> None:
    """Record many changes in a few statements, in the caller's transaction; each was claimed by an UPDATE before."""
    changes = list(changes)
    if not changes:
        return
    event_log.append_many([_event(change) for change in changes])
    intake.take((change.alert, str(change.kind), change.inputs) for change in changes)


def _event(change: Transition) -> Any:
    alert = change.alert
    told = {
        "alert": alert.pk,
        "fingerprint": alert.fingerprint,
        "title": alert.title,
        "rule": alert.rule_id,
        "rule_version": alert.rule_version,
        "state": str(alert.state),
        "severity": str(alert.severity),
        "labels": alert.labels,
        "value": alert.value,
        "resolution": str(alert.resolution),
        "no_data_since": moment_text(alert.no_data_since),
        "inputs": dict(change.inputs),
    }
    return event_log.pending(
        Stream.ALERTS, f"alert.{change.kind}", told, system_id=alert.system_id, correlation_id=alert.fingerprint,
        at=change.now,
    )  # fmt: skip
