"""The life of one alert: it fires, is told or held back, and ends. Each change is claimed by one UPDATE."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction

from alerts import queries
from alerts.limits import Told, suppression
from alerts.models import Alert
from subsystems.messaging import live
from subsystems.recursion.models import System
from subsystems.s5_policy import services as s5
from subsystems.s5_policy.models import AlertPolicy
from subsystems.s5_policy.queries import alert_policy, answer_time
from subsystems.telemetry.store import hot_tier

logger = logging.getLogger(__name__)


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

    def fire(self, alert: Alert, cooldown: timedelta) -> bool:
        """Let a pending alert fire; False when another evaluator was quicker."""
        before = self.before.get(alert.fingerprint)
        spared = suppression(
            alert.severity, now=self.now, cooldown=cooldown, before=before, told_last_hour=self.told,
            max_per_hour=self.policy.max_alerts_per_hour,
        )  # fmt: skip
        again = before is not None and self.now - before.at < cooldown
        data = {**alert.data, "repeats": before.repeats + 1 if before and again else 0}
        changed = {"state": Alert.State.FIRING, "fired_at": self.now, "suppressed": spared, "data": data}
        waiting = Alert.objects.filter(pk=alert.pk, state=Alert.State.PENDING)
        if not waiting.update(**changed, value=alert.value, severity=alert.severity):
            return False
        self.told += not spared and alert.severity != "critical"
        tell(alert, spared, answer_time(self.policy, alert.severity), now=self.now)
        shown(alert)
        return True


def tell(alert: Alert, spared: str, within: timedelta | None, *, now: datetime) -> None:
    """Log an alert that fires and ask S5 for an answer; one that is held back is only counted."""
    if spared:
        logger.debug("Alert rate limited (%s): %s", spared, alert.title)  # 002-41
        hot_tier().count("alerts_suppressed")
        return
    level = logging.ERROR if alert.severity == "critical" else logging.WARNING  # 002-34, 002-43
    logger.log(level, "Alert %s: %s", alert.severity, alert.title)
    if within is not None:
        s5.ask(alert.system_id, alert.fingerprint, asked_at=now, within=within)


def end(alert: Alert, why: Alert.Resolution, *, now: datetime) -> bool:
    """Resolve a firing or pending alert that the platform itself sees the end of; False when it was over already."""
    still = Alert.objects.filter(pk=alert.pk).exclude(state=Alert.State.RESOLVED)
    if not still.update(state=Alert.State.RESOLVED, resolved_at=now, resolution=why):
        return False
    s5.answer(alert.system_id, alert.fingerprint, at=now)
    shown(alert)
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
