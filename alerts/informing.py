"""Critical alerts told inwards, by message: to S5 past everybody, and by its order to S3 where a resource is meant.

S3's answer closes S5's question (requirements 002-43); S5's own answer is what a person does with the alert.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from alerts.models import Alert
from subsystems.kernel.severity import PRIORITY, Severity
from subsystems.kernel.times import moment_text
from subsystems.messaging.channels import Channel, Party
from subsystems.messaging.envelope import Envelope
from subsystems.messaging.services import publish, publish_many
from subsystems.s1_operations.models import Unit
from subsystems.s3_control.models import Action

CRITICAL, RESOURCE = "alert.critical", "alert.resource"
ANSWER_WITHIN = timedelta(minutes=1)
# What is about the system as a whole and not about something that S3 could give more or less of.
WHOLE = ("viability", "health", "signals", "events")


def inform(alerts: Iterable[Alert], *, now: datetime) -> None:
    """Tell S5 of those that are critical, in the caller's transaction, which claimed them: so each is told once."""
    messages: dict[int, list[Envelope]] = defaultdict(list)
    for alert in alerts:
        if alert.severity == "critical":
            messages[alert.system_id].append(_told(alert, now))
    for system_id, envelopes in messages.items():
        publish_many(envelopes, system_id=system_id, limited=False)


def _told(alert: Alert, now: datetime) -> Envelope:
    return Envelope(
        channel=Channel.ALGEDONIC, sender=Party.PLATFORM, recipient=Party.S5, type=CRITICAL,
        payload=payload_of(alert, now), priority=PRIORITY[Severity.CRITICAL],
    )  # fmt: skip


def payload_of(alert: Alert, now: datetime) -> dict[str, Any]:
    """Return what is told of *alert*, as JSON."""
    return {
        "alert": alert.pk,
        "type": alert.type,
        "title": alert.title,
        "severity": str(alert.severity),
        "subject": alert.subject,
        "unit_id": alert.unit_id,
        "value": alert.value,
        "labels": alert.labels,
        "fired_at": moment_text(now),
        "resource": is_resource(alert),
    }


def is_resource(alert: Alert) -> bool:
    """Return whether *alert* is about a resource of a unit: a metric of it, or a rule that watches one."""
    if alert.type in ("viability", "function"):
        return False
    return alert.rule is None or alert.rule.kind not in WHOLE


def order(told: dict[str, Any], *, system_id: int | None) -> bool:
    """Let S5 pass a resource alert on to S3 and wait for its answer; False when it is about no resource."""
    if not told.get("resource"):
        return False
    message = Envelope(
        channel=Channel.COMMAND, sender=Party.S5, recipient=Party.S3, type=RESOURCE, payload=told,
        priority=PRIORITY[Severity.CRITICAL],
    )  # fmt: skip
    publish(message, system_id=system_id, reply_within=ANSWER_WITHIN, limited=False)
    return True


def answer(told: dict[str, Any]) -> dict[str, Any]:
    """Return S3's answer: which unit that is, how it is, and what is being done with its fleet already."""
    number = told.get("unit_id")
    unit = None if number is None else Unit.objects.filter(pk=number).first()
    acts = Action.objects.none()
    if unit is not None and unit.fleet_id is not None:
        acts = Action.objects.filter(fleet=unit.fleet_id, state__in=Action.OPEN).order_by("requested_at")
    return {
        "alert": told.get("alert"),
        "unit": unit.name if unit else None,
        "unit_state": str(unit.state) if unit else None,
        "actions": [str(act.pk) for act in acts[:5]],
    }
