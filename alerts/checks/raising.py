"""Alerts of checks, by the batch: one open alert for each check that is down, none for the others."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta

from django.db import transaction

from alerts import informing, lifecycle
from alerts.checks.models import Check
from alerts.checks.queries import claimed
from alerts.checks.timing import labels_of
from alerts.evaluation import fingerprint
from alerts.models import Alert
from alerts.transitions import Kind, Transition, note_all
from subsystems.recursion.models import System
from subsystems.s5_policy import services as s5
from subsystems.s5_policy.queries import alert_policy, answer_time

TYPE = "ping"
COOLDOWN = timedelta(minutes=5)  # 002-39
SHOWN_AT_ONCE = 100  # on open dashboards: a storm is read from the list
WRITTEN_AT_ONCE = 500


def key_of(check: Check) -> str:
    """Return the fingerprint of the alert of *check*."""
    return fingerprint(TYPE, check.pk)


@transaction.atomic
def settle(*, now: datetime, limit: int) -> int:
    """Raise and end the alerts of checks that changed, claimed by this worker; return how many checks those were."""
    unsettled = Check.objects.filter(unsettled=True).select_related("system").order_by("pk")
    rows = list(claimed(unsettled, of="self")[:limit])
    if not rows:
        return 0
    down = {key_of(check): check for check in rows if check.enabled and check.status == Check.Status.DOWN}
    _raise(down, now)
    _end({key_of(check) for check in rows} - set(down), now)
    Check.objects.filter(pk__in=[check.pk for check in rows]).update(unsettled=False)
    return len(rows)


def _raise(checks: Mapping[str, Check], now: datetime) -> None:
    """Insert the alerts of *checks* where none is open; one that a hand resolved while it was down comes anew."""
    if not checks:
        return
    mark = uuid.uuid4().hex
    rows = [_row(key, check, mark, now) for key, check in checks.items()]
    _spare(rows, now)
    Alert.objects.bulk_create(rows, ignore_conflicts=True, batch_size=WRITTEN_AT_ONCE)
    made = list(Alert.objects.filter(fingerprint__in=checks, data__opened_by=mark).select_related("system"))
    note_all(Transition(alert, Kind.FIRING, now, {"why": checks[alert.fingerprint].reason}) for alert in made)
    lifecycle.show_all(made[:SHOWN_AT_ONCE])
    told = [alert for alert in made if not alert.suppressed]
    informing.inform(told, now=now)
    _ask(told, now)


def _spare(alerts: Sequence[Alert], now: datetime) -> None:
    """Let the cooldown and the cap of the hour hold back what they hold back of other alerts."""
    by_system: dict[int, list[Alert]] = defaultdict(list)
    for alert in alerts:
        by_system[alert.system_id].append(alert)
    for system_id, own in by_system.items():
        herald = lifecycle.Herald.of(system_id, TYPE, [alert.fingerprint for alert in own], now=now)
        for alert in own:
            alert.suppressed, alert.data = herald.spare(alert, COOLDOWN)
            herald.count(alert, alert.suppressed)


def _ask(alerts: Collection[Alert], now: datetime) -> None:
    by_system: dict[tuple[int, str], list[str]] = defaultdict(list)
    for alert in alerts:
        by_system[alert.system_id, str(alert.severity)].append(alert.fingerprint)
    for (system_id, severity), keys in by_system.items():
        within = answer_time(alert_policy(System(pk=system_id)), severity)
        if within is not None:
            s5.ask_all(system_id, keys, asked_at=now, within=within)


def _end(keys: Collection[str], now: datetime) -> None:
    """End the open alerts with these fingerprints: the job was heard of, or is watched no more."""
    found = list(claimed(Alert.objects.filter(fingerprint__in=keys).exclude(state=Alert.State.RESOLVED).order_by("pk")))
    if not found:
        return
    for alert in found:
        alert.state, alert.resolved_at, alert.resolution = Alert.State.RESOLVED, now, Alert.Resolution.CONDITION
    Alert.objects.bulk_update(found, ["state", "resolved_at", "resolution"], batch_size=WRITTEN_AT_ONCE)
    by_system: dict[int, list[str]] = defaultdict(list)
    for alert in found:
        by_system[alert.system_id].append(alert.fingerprint)
    for system_id, keys_ in by_system.items():
        s5.answer_all(system_id, keys_, at=now)
    note_all(Transition(alert, Kind.RESOLVED, now, {"why": "it was heard of"}) for alert in found)
    lifecycle.show_all(found[:SHOWN_AT_ONCE])


def _row(key: str, check: Check, mark: str, now: datetime) -> Alert:
    labels = {
        **labels_of(check.tags), "alertname": check.name, "severity": check.severity, "system": check.system.slug,
        "check": check.name, "unit": "", "unit_kind": "",
    }  # fmt: skip
    return Alert(
        system=check.system, type=TYPE, title=f"{check.name}: {check.reason}"[:200], subject=check.name,
        fingerprint=key, severity=check.severity, state=Alert.State.FIRING, labels=labels, pending_at=check.changed_at,
        fired_at=now, annotations={"summary": f"{check.name}: {check.reason}"},
        data={"check": check.pk, "opened_by": mark},
    )  # fmt: skip
