"""Which rows of a list are asked for."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

import django_filters
from django import forms
from django.core.validators import MaxValueValidator
from django.db.models import Q, QuerySet

from alerts.models import Alert, AlertRule, Severity
from subsystems.health.models import Assessment
from subsystems.kernel.health import Health
from subsystems.kernel.moments import moment_of
from subsystems.kernel.strict_json import LARGEST_INTEGER
from subsystems.recursion.models import Membership
from subsystems.s1_operations.models import Fleet, Unit
from subsystems.s3_control.models import TaskRun
from subsystems.telemetry.models import Series
from vsm_site.api.fields import MomentField

# The bands of kernel/health.py as conditions on the column (requirements 002-14).
BANDS = {
    Health.HEALTHY: Q(score__gt=0.8),
    Health.DEGRADED: Q(score__gt=0.5, score__lte=0.8),
    Health.UNHEALTHY: Q(score__lte=0.5),
    Health.UNKNOWN: Q(score=None),
}


class MomentFormField(forms.CharField):
    """RFC 3339 with a zone, or epoch seconds; its value is an aware datetime."""

    def clean(self, value: Any) -> Any:
        text = super().clean(value)
        if not text:
            return None
        try:
            return datetime.fromtimestamp(moment_of(text) or math.nan, UTC)
        except (OverflowError, ValueError, OSError):  # no moment, or one that no calendar has
            raise forms.ValidationError(MomentField.default_error_messages["invalid"], code="invalid") from None


class IdFilter(django_filters.NumberFilter):  # type: ignore[misc]
    """A whole number that a database's column can hold."""

    field_class = forms.IntegerField

    def get_max_validator(self) -> MaxValueValidator:
        return MaxValueValidator(LARGEST_INTEGER)


class MomentFilter(django_filters.IsoDateTimeFilter):  # type: ignore[misc]
    """A moment with a zone, as programs write it everywhere else in the API."""

    field_class = MomentFormField


class InSystem(django_filters.FilterSet):  # type: ignore[misc]
    """Every list may be cut down to one system."""

    system = django_filters.CharFilter(field_name="system__slug", label="Slug of the system")


class UnitFilter(InSystem):
    health = django_filters.ChoiceFilter(
        choices=[(band.value, band.value) for band in Health], method="in_band", label="Band of the score"
    )
    fleet = django_filters.CharFilter(field_name="fleet__name", label="Name of the fleet")
    search = django_filters.CharFilter(field_name="name", lookup_expr="icontains", label="Part of the name")

    class Meta:
        model = Unit
        fields = ["kind", "state"]

    def in_band(self, queryset: QuerySet[Unit], name: str, value: str) -> QuerySet[Unit]:
        return queryset.filter(BANDS[Health(value)])


class FleetFilter(InSystem):
    class Meta:
        model = Fleet
        fields = ["enabled", "own"]


class SeriesFilter(InSystem):
    search = django_filters.CharFilter(field_name="metric", lookup_expr="icontains", label="Part of the metric's name")

    class Meta:
        model = Series
        fields = ["metric", "source"]


class AssessmentFilter(InSystem):
    status = django_filters.CharFilter(label="normal, warning, critical or unknown")

    class Meta:
        model = Assessment
        fields: list[str] = []

    @classmethod
    def get_filters(cls) -> dict[str, Any]:
        """Add `from` and `to`, of which the first is no name in Python."""
        times = {
            "from": MomentFilter(field_name="assessed_at", lookup_expr="gte", label="Not before"),
            "to": MomentFilter(field_name="assessed_at", lookup_expr="lte", label="Not after"),
        }
        return {**super().get_filters(), **times}


class AlertRuleFilter(InSystem):
    unit = IdFilter(field_name="unit_id", label="Id of the unit")

    class Meta:
        model = AlertRule
        fields = ["metric", "unit_kind", "severity", "enabled"]


class AlertFilter(InSystem):
    unit = IdFilter(field_name="unit_id", label="Id of the unit")
    rule = IdFilter(field_name="rule_id", label="Id of the rule")
    severity = django_filters.MultipleChoiceFilter(choices=Severity.choices, label="One or more severities")
    open = django_filters.BooleanFilter(method="that_are_open", label="Pending or firing")
    acknowledged = django_filters.BooleanFilter(field_name="acknowledged_at", lookup_expr="isnull", exclude=True)

    class Meta:
        model = Alert
        fields = ["state", "type"]

    def that_are_open(self, queryset: QuerySet[Alert], name: str, value: bool) -> QuerySet[Alert]:
        resolved = Q(state=Alert.State.RESOLVED)
        return queryset.filter(~resolved if value else resolved)


class RunFilter(django_filters.FilterSet):  # type: ignore[misc]
    class Meta:
        model = TaskRun
        fields = ["name", "state"]


class MemberFilter(InSystem):
    class Meta:
        model = Membership
        fields = ["role"]
