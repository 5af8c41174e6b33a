"""What goes out of the API about forecasts and what is unusual, and which rows are asked for."""

from __future__ import annotations

from typing import Any

import django_filters
from rest_framework import serializers

from subsystems.s4_intelligence import queries
from subsystems.s4_intelligence.models import Finding, Forecast
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
