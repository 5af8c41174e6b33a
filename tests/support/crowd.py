"""Rows of every kind, as many as are asked for: what pages and benchmarks need to show that size does not matter."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any
from uuid import uuid4

from django.apps import apps
from django.db import models
from django.utils import timezone

from subsystems.recursion.models import System
from subsystems.recursion.queries import root_system
from subsystems.s1_operations.models import Fleet, Unit

# What cannot be guessed from the type of a field: the model's label and its fields, of the n-th row.
SPECIAL: dict[str, Callable[[int], dict[str, Any]]] = {
    "alerts.Alert": lambda n: {"type": "rule", "severity": ("critical", "warning", "info")[n % 3],
                               "state": ("firing", "pending")[n % 2], "fired_at": timezone.now()},
    "alerts.AlertRule": lambda n: {"metric": "orders", "comparison": "gt"},
    "alerts.Target": lambda n: {"kind": "webhook", "system": root_system()},
    "alerts.Notification": lambda n: {"kind": "webhook", "severity": "critical", "body": {}},
    "alerts.Silence": lambda n: {"matchers": 'unit="web-1"', "ends_at": timezone.now() + timedelta(hours=1)},
    "alerts.MaintenanceWindow": lambda n: {"duration_seconds": 3600},
    "algedonic.Signal": lambda n: {"type": "pain", "severity": ("high", "medium", "low")[n % 3], "origin": "s1",
                                   "expires_at": timezone.now() + timedelta(hours=1)},
    "messaging.Message": lambda n: {"id": f"{n:032x}", "channel": "coordination", "sender": "s2", "recipient": "s1"},
    "messaging.DeadLetter": lambda n: {"reason": "failed"},
    "s3_control.Action": lambda n: {"kind": "drain", "system": root_system()},
    "s3_control.Recommendation": lambda n: {"kind": "advice", "expires_at": timezone.now() + timedelta(days=1)},
    "s2_coordination.CoordinationFinding": lambda n: {"kind": "oscillation", "area": "units"},
    "fleets.StuckFinding": lambda n: {"kind": "stalled"},
    "fleets.Task": lambda n: {"name": "shop.pay", "state": (10, 11, 22, 23)[n % 4], "queue": "celery",
                              "worker": f"w{n % 7}@host"},
    "event_log.Event": lambda n: {"data": "{}"},
    "event_log.PendingEvent": lambda n: {"data": "{}"},
    "s4_intelligence.Pattern": lambda n: {"text": "sequence of a, b within 5 minutes"},
}  # fmt: skip
MOST_POINTED_TO = 1_000
KINDS = ("celery_worker", "celery_queue", "host", "http", "agent")
HEALTH = (0.95, 0.6, 0.2, None)


def crowd_units(count: int, *, system: System | None = None, start: int = 0) -> list[Unit]:
    """Make *count* units of all types, states of health and, of workers and queues, of one fleet."""
    system = system or root_system()
    fleet, _ = Fleet.objects.get_or_create(system=system, name="shop", defaults={"broker_display": "amqp://broker"})
    now = timezone.now()
    rows = [
        Unit(
            system=system, kind=KINDS[n % len(KINDS)], name=f"shop/{KINDS[n % len(KINDS)]}-{n}", score=HEALTH[n % 4],
            fleet=fleet if KINDS[n % len(KINDS)].startswith("celery") else None, state=Unit.State.ACTIVE,
            last_seen_at=now,
        )
        for n in range(start, start + count)
    ]  # fmt: skip
    return Unit.objects.bulk_create(rows, batch_size=1000)


def crowd_rows(labels: Iterable[str], count: int, *, start: int = 0) -> None:
    """Make *count* rows of each model (`app.Model`), each of another unit, alert or fleet where it points to one."""
    for label in labels:
        model, known = apps.get_model(label), _Known()
        rows = [model(**_fields(model, n, known)) for n in range(start, start + count)]
        model._default_manager.bulk_create(rows, batch_size=1000)


class _Known(dict[Any, list[Any]]):
    """The first rows of each model that others point to, read once."""

    def __missing__(self, model: Any) -> list[Any]:
        self[model] = (
            [root_system()] if model is System else list(model._default_manager.order_by("pk")[:MOST_POINTED_TO])
        )
        return self[model]


def _fields(model: type[models.Model], n: int, known: _Known) -> dict[str, Any]:
    found = {
        field.name: _value(field, n, known)
        for field in model._meta.concrete_fields
        if not field.primary_key and not field.null and not field.has_default() and not field.blank
    }
    return found | SPECIAL.get(model._meta.label, lambda _: {})(n)


def _value(field: Any, n: int, known: _Known) -> Any:
    kind, now = field.get_internal_type(), timezone.now()
    if kind in {"ForeignKey", "OneToOneField"}:
        rows = known[field.related_model]
        return rows[n % len(rows)]
    if kind == "DateTimeField":
        return now - timedelta(seconds=n)
    if kind in {"CharField", "TextField", "SlugField"}:
        return (str(uuid4()) if field.unique else f"{field.name} {n}")[: field.max_length or 60]
    if kind == "JSONField":
        return {}
    if kind == "BinaryField":
        return b"\0" * 32
    if kind == "BooleanField":
        return False
    return now.timestamp() if kind == "FloatField" and field.name.endswith("_at") else n + 1
