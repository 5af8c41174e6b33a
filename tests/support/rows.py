"""Rows of any model, each with related rows of its own: for what must hold of every list."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from django.db import models

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
DEEPEST = 2  # of related rows that could be left out
# What no type of field tells: rules between fields, and shapes of JSON.
FIXED: dict[str, dict[str, Any]] = {
    "alerts.Target": {"owner": None},
    "alerts.Page": {"method": None},
    "alerts.AlertRule": {"kind": "threshold", "match": "", "unit_kind": "", "metric": "m"},
    "django_celery_beat.PeriodicTask": {
        "crontab": None, "clocked": None, "solar": None, "args": "[]", "kwargs": "{}", "headers": "{}",
        "expires": None, "expire_seconds": None, "one_off": False, "start_time": None,
    },
}  # fmt: skip
_numbers = count(1)


def make_rows(model: type[models.Model], wanted: int) -> list[Any]:
    """Save *wanted* rows of *model*, however many others they need; no two share a related row or a name."""
    return [make_row(model) for _ in range(wanted)]


def make_row(model: type[models.Model], depth: int = 0) -> Any:
    """Save one row of *model* with whatever it must have."""
    number, row = next(_numbers), model()
    fixed = FIXED.get(model._meta.label, {})
    for field in model._meta.concrete_fields:
        if field.name in fixed:
            setattr(row, field.name, fixed[field.name])
        elif _is_to_be_filled(field, depth):
            setattr(row, field.name, _value(field, number, depth))
    models.Model.save_base(row, force_insert=True)
    return row


def _is_to_be_filled(field: Any, depth: int) -> bool:
    if isinstance(field, models.ForeignKey):
        if field.name == "system":
            return True
        return not field.null or (depth < DEEPEST and field.related_model is not field.model)
    if field.primary_key:
        return not isinstance(field, models.AutoField) and not field.has_default()
    return field.unique or not field.has_default() or isinstance(field, models.CharField | models.TextField)


def _value(field: Any, number: int, depth: int) -> Any:
    if isinstance(field, models.ForeignKey):
        return make_row(field.related_model, depth + 1)
    if field.choices:
        return field.flatchoices[0][0]
    kind = field.get_internal_type()
    if kind in ("CharField", "TextField", "SlugField"):
        return f"a-{number}"[: field.max_length]
    moment = NOON + timedelta(seconds=number)
    made: dict[str, Any] = {
        "UUIDField": uuid.uuid4(), "DateTimeField": moment, "BooleanField": True, "JSONField": {}, "BinaryField": b"x",
        "DateField": moment.date() + timedelta(days=number), "FloatField": 1.0 + number, "EmailField": "a@example.org",
        "GenericIPAddressField": "127.0.0.1",
    }  # fmt: skip
    return made.get(kind, number)
