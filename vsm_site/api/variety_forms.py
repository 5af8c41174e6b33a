"""What goes in and out of the API about operations and variety, and which rows are asked for."""

from __future__ import annotations

from typing import Any

import django_filters
from django.db.models import F, OuterRef, QuerySet, Subquery
from rest_framework import serializers

from subsystems.s1_operations.models import Unit
from subsystems.telemetry.requisite import Band
from subsystems.variety import queries
from subsystems.variety.models import Operation, Reading, UnitVariety
from subsystems.variety.slowness import Basis
from vsm_site.api.fields import FiniteField
from vsm_site.api.filters import IdFilter, InSystem, MomentFilter
from vsm_site.api.serializers import Plain

BANDS = [(each.value, each.name) for each in Band]
MAX_MS = 86_400_000.0
BITS = "Bits; null where nothing was observed"


def with_unit_ids(rows: QuerySet[Any]) -> QuerySet[Any]:
    """Add to rows that name their unit its id, null where the unit is no longer watched."""
    units = Unit.objects.filter(system=OuterRef("system"), name=OuterRef("unit")).order_by("pk")
    return rows.annotate(unit_pk=Subquery(units.values("pk")[:1]))  # type: ignore[no-any-return]


class EpochFilter(MomentFilter):
    """A moment, for a column of epoch seconds."""

    def filter(self, qs: QuerySet[Any], value: Any) -> QuerySet[Any]:
        return super().filter(qs, value and value.timestamp())  # type: ignore[no-any-return]


class OfUnits(InSystem):
    """Rows that go by the name of their unit."""

    unit = IdFilter(field_name="unit_pk", label="Id of the unit")
    unit_name = django_filters.CharFilter(field_name="unit", max_length=200, label="Name of the unit")


class OperationFilter(OfUnits):
    name = django_filters.CharFilter(max_length=200, label="Name of the operation")
    search = django_filters.CharFilter(
        field_name="name", lookup_expr="icontains", max_length=200, label="Part of the name"
    )
    failing = django_filters.BooleanFilter(method="that_fail", label="Of which some have failed")

    class Meta:
        model = Operation
        fields: list[str] = []

    def that_fail(self, queryset: QuerySet[Operation], name: str, value: bool) -> QuerySet[Operation]:
        return queryset.filter(success__lt=F("count")) if value else queryset.filter(success=F("count"))


class UnitVarietyFilter(OfUnits):
    class Meta:
        model = UnitVariety
        fields: list[str] = []


class ReadingFilter(InSystem):
    class Meta:
        model = Reading
        fields: list[str] = []

    @classmethod
    def get_filters(cls) -> dict[str, Any]:
        """Add `from` and `to`, of which the first is no name in Python."""
        times = {
            "from": EpochFilter(field_name="at", lookup_expr="gte", label="Not before"),
            "to": EpochFilter(field_name="at", lookup_expr="lte", label="Not after"),
        }
        return {**super().get_filters(), **times}


class ErrorSerializer(Plain):
    at = serializers.DateTimeField()
    error = serializers.CharField()


class RecentSerializer(Plain):
    window_seconds = serializers.FloatField()
    count = serializers.IntegerField()
    success_rate = serializers.FloatField(allow_null=True)
    avg_duration = serializers.FloatField(allow_null=True)
    throughput = serializers.FloatField(help_text="Operations a second")


class OperationSerializer(Plain):
    """Durations are milliseconds; null is unknown."""

    id = serializers.IntegerField()
    system = serializers.SlugField()
    unit = serializers.CharField(help_text="Name of the unit")
    unit_id = serializers.IntegerField(allow_null=True, help_text="null where it is no longer watched")
    name = serializers.CharField()
    count = serializers.IntegerField()
    success = serializers.IntegerField()
    failures = serializers.IntegerField()
    success_rate = serializers.FloatField(allow_null=True, help_text="0 to 1")
    avg_duration = serializers.FloatField(allow_null=True)
    service_rate = serializers.FloatField(allow_null=True, help_text="Operations by second of work")
    p50 = serializers.FloatField(allow_null=True)
    p95 = serializers.FloatField(allow_null=True)
    p99 = serializers.FloatField(allow_null=True)
    max = serializers.FloatField(allow_null=True)
    expected_duration = serializers.FloatField(allow_null=True)
    expected_from = serializers.ChoiceField(choices=[str(each) for each in Basis])
    slow = serializers.IntegerField(help_text="That took more than twice the expected duration")
    errors = ErrorSerializer(many=True, help_text="The last ten, newest first")  # type: ignore[assignment]
    recent = RecentSerializer()
    health = serializers.FloatField(allow_null=True, help_text="0 to 100, over the life time")
    health_recent = serializers.FloatField(allow_null=True, help_text="0 to 100, over five minutes")
    health_by_throughput = serializers.FloatField(allow_null=True, help_text="With operations by the clock")
    last_at = serializers.DateTimeField()

    def to_representation(self, instance: Any) -> dict[str, Any]:
        body = queries.operation_body(instance)
        return {**body, "system": instance.system.slug, "unit_id": getattr(instance, "unit_pk", None)}


class ExpectSerializer(Plain):
    expected_ms = FiniteField(
        min_value=0.001, max_value=MAX_MS, allow_null=True, help_text="Twice as long hurts; null: documented or learnt"
    )


class FiguresSerializer(Plain):
    """The few figures of one slot."""

    id = serializers.IntegerField()
    system = serializers.SlugField()
    slot = serializers.IntegerField()
    at = serializers.DateTimeField()
    environment = serializers.FloatField(allow_null=True, help_text=BITS)
    operation = serializers.FloatField(allow_null=True, help_text=BITS)
    management = serializers.FloatField(allow_null=True, help_text=BITS)
    ratio = serializers.FloatField(allow_null=True, help_text="Operation over environment")
    band = serializers.ChoiceField(choices=BANDS)
    deficit_bits = serializers.FloatField(allow_null=True)
    management_ratio = serializers.FloatField(allow_null=True, help_text="Management over operation")
    management_band = serializers.ChoiceField(choices=BANDS)
    samples = serializers.IntegerField()
    s1 = serializers.FloatField(allow_null=True, help_text=BITS)
    s2 = serializers.FloatField(allow_null=True, help_text=BITS)
    s3 = serializers.FloatField(allow_null=True, help_text=BITS)
    s4 = serializers.FloatField(allow_null=True, help_text=BITS)
    s5 = serializers.FloatField(allow_null=True, help_text=BITS)

    def to_representation(self, instance: Any) -> dict[str, Any]:
        return queries.reading_body(instance)


class PanelSerializer(Plain):
    """Three varieties and the two balances between them. Absent where nothing was ever measured."""

    window_seconds = serializers.FloatField()
    environment = serializers.JSONField(required=False, help_text="What is asked: bits, evenness, sample size, …")
    operation = serializers.JSONField(required=False, help_text="What is answered")
    management = serializers.JSONField(required=False, help_text="What is decided")
    outcome = serializers.JSONField(required=False, help_text="How it ends")
    operational = serializers.JSONField(required=False, help_text="Operation over environment, with suggestions")
    managerial = serializers.JSONField(required=False, help_text="Management over operation, with suggestions")
    gap = serializers.CharField(required=False, allow_null=True, help_text="The side that lacks most")
    states = serializers.JSONField(required=False, help_text="The most frequent states")


class VarietySerializer(PanelSerializer):
    """All that the newest reading says of a system."""

    system = serializers.SlugField()
    status = serializers.ChoiceField(choices=["measured", "no_data"])
    at = serializers.DateTimeField(allow_null=True)
    operation_and_outcome = serializers.JSONField(
        required=False, allow_null=True, help_text="Joint and conditional entropy, mutual information"
    )
    subsystems = serializers.JSONField(required=False, help_text="S1 to S5, each in its range or outside")
    s3_s4_balance = serializers.FloatField(required=False, allow_null=True)
    s3_s4 = serializers.CharField(required=False)
    temporal = serializers.JSONField(required=False, help_text="From a second to a month, with trend and drift")


class UnitVarietySerializer(PanelSerializer):
    id = serializers.IntegerField()
    system = serializers.SlugField()
    unit = serializers.CharField()
    unit_id = serializers.IntegerField(allow_null=True)
    at = serializers.DateTimeField()
    capability = serializers.FloatField(allow_null=True, help_text="Operations a second, as declared")
    potentiality = serializers.FloatField(allow_null=True, help_text="Operations a second, as declared")
    environment_from = serializers.CharField(allow_null=True, help_text="`operations`, or the metric that was binned")
    binning = serializers.JSONField(allow_null=True)

    def to_representation(self, instance: Any) -> dict[str, Any]:
        return {**queries.unit_variety_body(instance), "unit_id": getattr(instance, "unit_pk", None)}


class PlanSerializer(Plain):
    """What a unit could do now and ought to be able to do, in operations a second."""

    capability = FiniteField(required=False, allow_null=True, min_value=1e-9)
    potentiality = FiniteField(required=False, allow_null=True, min_value=1e-9)


class PerformanceSerializer(Plain):
    """The documented summary of a unit."""

    unit_id = serializers.CharField(help_text="Name of the unit, as it is recorded")
    performance = serializers.JSONField()
    recent = serializers.JSONField()
    operations = serializers.JSONField()
    health = serializers.FloatField(allow_null=True)
    health_ratio = serializers.FloatField(allow_null=True)
    health_recent = serializers.FloatField(allow_null=True)
    health_by_throughput = serializers.FloatField(allow_null=True)
    achievement = serializers.JSONField(help_text="Productivity, latency and performance, always the three")
    status = serializers.ChoiceField(choices=["measured", "no_data"])
