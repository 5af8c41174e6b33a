"""Where alerts that changed come in: a row in the transaction of the change, and a hint once that is committed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.db import connection, transaction

from alerts.limits import RANK
from alerts.models import Alert
from alerts.notices.models import Incoming
from subsystems.messaging.services import announce

HEARD = "alerts.changed"  # the hint on which the sorting starts
INSERTED_AT_ONCE = 1000


def take(changes: Iterable[tuple[Alert, str, Mapping[str, Any]]]) -> None:
    """Let the alerts that fired, ended or changed their severity be sorted; *changes* are alert, kind and inputs."""
    rows = [_row(alert, kind, inputs) for alert, kind, inputs in changes if _matters(alert, kind)]
    if not rows:
        return
    Incoming.objects.bulk_create(rows, batch_size=INSERTED_AT_ONCE)
    if not any(hook is wake for _, hook, *_ in connection.run_on_commit):
        transaction.on_commit(wake, robust=True)


def wake() -> None:
    """Say that there is something to sort; whoever misses it is caught up with by the next tick."""
    announce(HEARD, {})


def _matters(alert: Alert, kind: str) -> bool:
    """Return whether people may hear of it: an alert can also begin by the lack of data, or by an error."""
    return kind in {"firing", "resolved", "severity_changed"} or (kind == alert.state and kind in {"no_data", "error"})


def _row(alert: Alert, kind: str, inputs: Mapping[str, Any]) -> Incoming:
    before = str(inputs.get("from", "")) if kind == "severity_changed" else ""
    rank = RANK["critical"] - max(RANK[str(alert.severity)], RANK.get(before, 0))
    return Incoming(alert_id=alert.pk, rank=rank, fired=kind != "resolved", severity_before=before)
