"""What goes out of the API about forecasts and what is unusual, and which rows are asked for."""

from __future__ import annotations

from typing import Any

import django_filters
from rest_framework import serializers

from subsystems.s4_intelligence import queries
from subsystems.s4_intelligence.models import Finding, Forecast, Source, Threat
from vsm_site.api.fields import SystemField
from vsm_site.api.filters import InSystem
from vsm_site.api.serializers import Plain

LINE = "One value for each step; null where it is no number"


class OfSeries(InSystem):
    source = django_filters.CharFilter(field_name="series__source", max_length=200, label="Source of the series")
    metric = django_filters.CharFilter(field_name="series__metric", max_length=120, label="Metric of the series")


class ForecastFilter(OfSeries):
    used = django_filters.ChoiceFilter(choices=[("ensemble", "ensemble"), ("naive", "naive")], label="What is shown")

    class Meta:
        model = Forecast
        fields = ["span"]


class AnomalyFilter(OfSeries):
    open = django_filters.BooleanFilter(field_name="ended_at", lookup_expr="isnull", label="Still so")

    class Meta:
        model = Finding
        fields = ["kind", "name"]


class ThreatFilter(InSystem):
    open = django_filters.BooleanFilter(field_name="gone_at", lookup_expr="isnull", label="Still so")

    class Meta:
        model = Threat
        fields = ["kind", "good"]


class JudgedSerializer(Plain):
    values = serializers.IntegerField(help_text="Values that came, and were compared with an earlier forecast")
    skill = serializers.FloatField(allow_null=True)
    held_80 = serializers.FloatField(allow_null=True, help_text="Share that lay in the interval of 80 %")
    held_95 = serializers.FloatField(allow_null=True)


class SeriesOfSerializer(Plain):
    id = serializers.IntegerField()
    system = serializers.SlugField()
    source = serializers.CharField()  # type: ignore[assignment]
    metric = serializers.CharField()
    labels = serializers.DictField(child=serializers.CharField())


class ForecastSerializer(SeriesOfSerializer):
    span = serializers.ChoiceField(choices=Forecast.Span.choices)
    step_seconds = serializers.IntegerField()
    made_at = serializers.DateTimeField()
    used = serializers.ChoiceField(choices=["ensemble", "naive"], help_text="naive where nothing was better")
    best = serializers.CharField(help_text="The member of the ensemble that weighs most")
    skill = serializers.FloatField(allow_null=True, help_text="1 - error / error of naive, in the back-test")
    error = serializers.FloatField(allow_null=True, help_text="Mean absolute, in the back-test")
    naive_error = serializers.FloatField(allow_null=True)
    compared = serializers.IntegerField(help_text="Forecasts of the past that this rests on")
    judged = JudgedSerializer()
    at = serializers.ListField(child=serializers.IntegerField(), help_text="Beginnings of the steps, epoch seconds")
    mean = serializers.ListField(child=serializers.FloatField(allow_null=True), help_text=LINE)
    low80 = serializers.ListField(child=serializers.FloatField(allow_null=True), help_text=LINE)
    high80 = serializers.ListField(child=serializers.FloatField(allow_null=True), help_text=LINE)
    low95 = serializers.ListField(child=serializers.FloatField(allow_null=True), help_text=LINE)
    high95 = serializers.ListField(child=serializers.FloatField(allow_null=True), help_text=LINE)

    def to_representation(self, instance: Forecast) -> dict[str, Any]:
        return queries.forecast_body(instance)


class AnomalySerializer(SeriesOfSerializer):
    kind = serializers.ChoiceField(choices=Finding.Kind.choices)
    name = serializers.CharField(help_text="spike, drift, shift or season; of a trend its window")
    started_at = serializers.DateTimeField()
    last_at = serializers.DateTimeField()
    ended_at = serializers.DateTimeField(allow_null=True)
    score = serializers.FloatField(help_text="Deviations at the height; of a trend its change over the window")
    value = serializers.FloatField()
    usual = serializers.FloatField()
    p = serializers.FloatField(allow_null=True)

    def to_representation(self, instance: Finding) -> dict[str, Any]:
        return queries.finding_body(instance)


class AccuracySerializer(Plain):
    span = serializers.ChoiceField(choices=Forecast.Span.choices)
    series = serializers.IntegerField()
    beat_naive = serializers.IntegerField(help_text="Of which naive is not used")
    back_test_skill = serializers.FloatField(allow_null=True, help_text="Median of the series")
    skill = serializers.FloatField(allow_null=True, help_text="Median of the series, against what came since")
    values = serializers.IntegerField()
    held_80 = serializers.FloatField(allow_null=True)
    held_95 = serializers.FloatField(allow_null=True)


class ThreatSerializer(Plain):
    id = serializers.IntegerField()
    system = serializers.SlugField()
    kind = serializers.CharField(help_text="saturation, backlog, shortage, idle, certificate, version or source")
    subject = serializers.CharField(help_text="The unit that it is about")
    title = serializers.CharField()
    good = serializers.BooleanField(help_text="An opportunity")
    chance = serializers.FloatField(allow_null=True, help_text="0 to 1, from the spread of the forecast")
    impact = serializers.FloatField(help_text="0 to 1, a judgement")
    at = serializers.DateTimeField(allow_null=True, help_text="When it is expected; null: not within the forecast")
    earliest = serializers.DateTimeField(allow_null=True)
    latest = serializers.DateTimeField(allow_null=True)
    first_at = serializers.DateTimeField()
    last_at = serializers.DateTimeField()
    gone_at = serializers.DateTimeField(allow_null=True)
    advice = serializers.CharField()
    recommendation = serializers.UUIDField(allow_null=True, help_text="What S3 was advised")
    evidence = serializers.DictField()

    def to_representation(self, instance: Threat) -> dict[str, Any]:
        return queries.threat_body(instance)


class TargetSerializer(Plain):
    target_wait_seconds = serializers.FloatField(min_value=0.01, max_value=86_400, default=5.0)


class PlanSerializer(Plain):
    queue = serializers.CharField()
    unit_id = serializers.IntegerField()
    arrival = serializers.FloatField(allow_null=True, help_text="Tasks a second, the highest mean of the next hour")
    arrival_from = serializers.ChoiceField(choices=["forecast", "now"], allow_null=True)
    service_seconds = serializers.FloatField(allow_null=True, help_text="Mean runtime of the last hour")
    workers = serializers.IntegerField(allow_null=True, help_text="Tasks at a time of those who read the queue")
    load = serializers.FloatField(allow_null=True, help_text="Workers that are busy all the time")
    utilisation = serializers.FloatField(allow_null=True)
    wait_seconds = serializers.FloatField(allow_null=True, help_text="Mean wait with the workers there are (Erlang C)")
    needed = serializers.IntegerField(allow_null=True, help_text="Workers that keep the mean wait at the target")
    overload_chance = serializers.FloatField(allow_null=True)
    target_wait_seconds = serializers.FloatField()
    ready = serializers.FloatField(allow_null=True)
    inside = serializers.FloatField(allow_null=True, help_text="L: waiting and being worked on")
    seconds_inside = serializers.FloatField(allow_null=True, help_text="W: mean wait and runtime")
    little_residual = serializers.FloatField(allow_null=True, help_text="(L - λW) / the larger of the two")


class SourceFilter(InSystem):
    search = django_filters.CharFilter(field_name="name", lookup_expr="icontains", label="Part of the name")

    class Meta:
        model = Source
        fields = ["kind", "enabled", "last_ok"]


class EnvironmentSourceSerializer(Plain):
    id = serializers.IntegerField(read_only=True)
    system = SystemField(required=False, allow_null=True)
    name = serializers.CharField(max_length=120)
    kind = serializers.ChoiceField(choices=Source.Kind.choices)
    address = serializers.CharField(
        max_length=500, required=False, allow_blank=True,
        help_text="http: the URL; broker: the name of the fleet; dependency: database, redis or channel_layer",
    )  # fmt: skip
    metric = serializers.CharField(max_length=120, required=False, allow_blank=True)
    metric_source = serializers.CharField(
        max_length=200, required=False, allow_blank=True, help_text="Source of the series; empty: whichever is newest"
    )
    pointer = serializers.CharField(
        max_length=200, required=False, allow_blank=True, help_text="http: JSON pointer (RFC 6901) to a number"
    )
    better = serializers.ChoiceField(
        choices=Source.Better.choices, required=False, allow_blank=True, help_text="Which values are good news"
    )
    expect_status = serializers.IntegerField(min_value=100, max_value=599, required=False, allow_null=True)
    every_seconds = serializers.IntegerField(min_value=30, max_value=86_400, required=False)
    timeout_seconds = serializers.FloatField(min_value=0.1, max_value=10, required=False)
    enabled = serializers.BooleanField(required=False)
    last_ok = serializers.BooleanField(read_only=True, allow_null=True, help_text="null: not scanned yet")
    last_value = serializers.FloatField(read_only=True, allow_null=True)
    last_error = serializers.CharField(read_only=True)
    failures = serializers.IntegerField(read_only=True, help_text="Scans that failed, one after the other")
    turn = serializers.IntegerField(
        read_only=True, allow_null=True, help_text="Since the scan before: 1 better, -1 worse; null: unknown"
    )
    certificate_days_left = serializers.FloatField(read_only=True, allow_null=True)
    last_scanned_at = serializers.DateTimeField(read_only=True, allow_null=True)
    next_due_at = serializers.DateTimeField(read_only=True)

    def to_representation(self, instance: Source) -> dict[str, Any]:
        return queries.source_body(instance)
