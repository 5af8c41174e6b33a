"""The life of one alert: it fires, is told or held back, and ends. Each change is claimed by one UPDATE."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import F

from alerts import informing, queries
from alerts.limits import RANK, Told, suppression
from alerts.models import Alert
from alerts.transitions import Kind, note
from subsystems.messaging import live
from subsystems.recursion.models import System
from subsystems.s5_policy import services as s5
from subsystems.s5_policy.queries import alert_policy, answer_time
from subsystems.s5_policy.terms import AlertPolicy
from subsystems.telemetry.store import hot_tier

logger = logging.getLogger(__name__)
_KINDS: dict[str, Kind] = {Alert.State.NO_DATA: Kind.NO_DATA, Alert.State.ERROR: Kind.ERROR}


@dataclass
class Herald:
    """Decides for one system and type whom to spare, and counts while it goes."""

    policy: AlertPolicy
    before: dict[str, Told]
    told: int
    now: datetime

    @classmethod
    def of(cls, system_id: int, type_: str, fingerprints: Iterable[str], *, now: datetime) -> Herald:
        """Return the herald for alerts of *type_* with these fingerprints."""
        before = queries.last_told(list(fingerprints), now=now)
        told = queries.told_last_hour(system_id, type_, now=now)
        return cls(alert_policy(System(pk=system_id)), before, told, now)

    def fire(
        self, alert: Alert, cooldown: timedelta, inputs: Mapping[str, Any] | None = None,
        state: str = Alert.State.FIRING,
    ) -> bool:  # fmt: skip
        """Let a pending alert fire; False when another evaluator was quicker. *inputs* say why it fires."""
        spared, data = self.spare(alert, cooldown)
        changed = {"state": state, "fired_at": self.now, "suppressed": spared, "data": data}
        waiting = Alert.objects.filter(pk=alert.pk, state=Alert.State.PENDING)
        if not waiting.update(
            **changed, value=alert.value, severity=alert.severity, labels=alert.labels, annotations=alert.annotations
        ):
            return False
        self.count(alert, spared)
        tell(alert, spared, answer_time(self.policy, alert.severity), now=self.now)
        note(shown(alert), _KINDS.get(state, Kind.FIRING), now=self.now, inputs=inputs)
        return True

    def spare(self, alert: Alert, cooldown: timedelta) -> tuple[str, dict[str, Any]]:
        """Return why nobody is to be told of *alert*, or an empty text, and its data with how often it came back."""
        before = self.before.get(alert.fingerprint)
        spared = suppression(
            alert.severity, now=self.now, cooldown=cooldown, before=before, told_last_hour=self.told,
            max_per_hour=self.policy.max_alerts_per_hour,
        )  # fmt: skip
        again = before is not None and self.now - before.at < cooldown
        return spared, {**alert.data, "repeats": before.repeats + 1 if before and again else 0}

    def count(self, alert: Alert, spared: str) -> None:
        """Count an alert that people are told of; critical ones do not count."""
        self.told += not spared and alert.severity != "critical"


def tell(alert: Alert, spared: str, within: timedelta | None, *, now: datetime) -> None:
    """Log an alert that fires and ask S5 for an answer; one that is held back is only counted."""
    if spared:
        logger.debug("Alert rate limited (%s): %s", spared, alert.title)  # 002-41
        hot_tier().count("alerts_suppressed")
        return
    level = logging.ERROR if alert.severity == "critical" else logging.WARNING  # 002-34, 002-43
    logger.log(level, "Alert %s: %s", alert.severity, alert.title)
    informing.inform([alert], now=now)
    if within is not None:
        s5.ask(alert.system_id, alert.fingerprint, asked_at=now, within=within)


def grade(
    alert: Alert, severity: str, *, now: datetime, inputs: Mapping[str, Any] | None = None, **changed: Any
) -> bool:
    """Give an open alert another severity; False when another evaluator was quicker.

    A worse one asks for a new answer, whoever acknowledged or snoozed the milder one.
    """
    before = str(alert.severity)
    worse = RANK[severity] > RANK[before]
    if worse:
        changed |= {"fired_at": now, "suppressed": "", "escalation_level": F("escalation_level") + 1}
        changed |= {"acknowledged_at": None, "acknowledged_by": None, "acknowledged_until": None, "comment": ""}
        changed |= {"snoozed_until": None, "snoozed_by": None}
    if not Alert.objects.filter(pk=alert.pk, severity=before).update(severity=severity, **changed):
        return False
    shown(alert)
    if worse:
        tell(alert, "", answer_time(alert_policy(System(pk=alert.system_id)), severity), now=now)
    note(alert, Kind.SEVERITY_CHANGED, now=now, inputs={"from": before, "to": severity, **(inputs or {})})
    return True


def end(
    alert: Alert, why: Alert.Resolution, *, now: datetime, inputs: Mapping[str, Any] | None = None, **changed: Any
) -> bool:
    """Resolve a firing or pending alert that the platform itself sees the end of; False when it was over already."""
    still = Alert.objects.filter(pk=alert.pk).exclude(state=Alert.State.RESOLVED)
    if not still.update(state=Alert.State.RESOLVED, resolved_at=now, resolution=why, **changed):
        return False
    s5.answer(alert.system_id, alert.fingerprint, at=now)
    note(shown(alert), Kind.RESOLVED, now=now, inputs=inputs)
    return True


def show(alert: Alert) -> None:
    """Show *alert* on open dashboards once the transaction commits."""
    body = queries.alert_body(alert)
    transaction.on_commit(lambda: live.push(alert.system_id, "alert", str(alert.pk), body))


def shown(alert: Alert) -> Alert:
    alert.refresh_from_db()
    show(alert)
    return alert


def show_all(alerts: Iterable[Alert]) -> None:
    for alert in alerts:
        show(alert)
