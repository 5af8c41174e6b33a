"""Serializer fields that the framework lacks."""

from __future__ import annotations

import math
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from subsystems.kernel.moments import moment_of
from subsystems.recursion.models import System
from subsystems.recursion.queries import systems_for
from subsystems.s1_operations.models import Unit
from vsm_site.api.permissions import caller


class FiniteField(serializers.FloatField):
    """A number; the framework's own field lets the texts `nan` and `1e999` through."""

    def to_internal_value(self, data: Any) -> float:
        if isinstance(data, bool):
            self.fail("invalid")
        number = super().to_internal_value(data)
        if not math.isfinite(number):
            self.fail("invalid")
        return number


@extend_schema_field(OpenApiTypes.DATETIME)
class MomentField(serializers.Field[float, Any, float, Any]):
    """A moment as RFC 3339 with a zone, or as epoch seconds; its value is epoch seconds."""

    default_error_messages = {"invalid": "A time is RFC 3339 with a zone (2026-11-20T09:00:00Z) or epoch seconds."}

    def to_internal_value(self, data: Any) -> float:
        moment = moment_of(data)
        if moment is None:
            self.fail("invalid")
        return moment

    def to_representation(self, value: float) -> float:
        return value


class SystemField(serializers.SlugRelatedField[System]):
    """A system by its slug, among those that the caller may read."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(slug_field="slug", queryset=System.objects.all(), **kwargs)

    def get_queryset(self) -> QuerySet[System]:
        return systems_for(*_reader(self, "read"))


class UnitField(serializers.PrimaryKeyRelatedField[Unit]):
    """A unit by its id, among those that the caller may read."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(queryset=Unit.objects.all(), **kwargs)

    def get_queryset(self) -> QuerySet[Unit]:
        return Unit.objects.filter(system__in=systems_for(*_reader(self, "read")))


def _reader(field: Any, scope: str) -> tuple[Any, str, Any]:
    """Return whom to ask the tree about. A token that may operate may name what it operates on."""
    user, token = caller(field.context["request"])
    if token is not None and scope not in token.scopes:
        scope = next((each for each in ("operate", "admin") if each in token.scopes), scope)
    return user, scope, token
