"""What is looked for on the page of S4."""

from __future__ import annotations

from typing import Any

from django import forms

from subsystems.s4_intelligence.models import Finding, Forecast, Source
from vsm_site.dashboard.check_forms import DurationField
from vsm_site.dashboard.forms import RefusableMixin

SPANS = {Forecast.Span.HOUR: "the next hour", Forecast.Span.DAYS: "the next two days"}

KINDS = {
    Source.Kind.HTTP: "a page", Source.Kind.METRIC: "a metric", Source.Kind.BROKER: "a fleet's broker",
    Source.Kind.DEPENDENCY: "the platform itself",
}  # fmt: skip


class ForecastFilter(forms.Form):
    """Which forecasts are drawn."""

    span = forms.ChoiceField(required=False, label="Ahead", choices=list(SPANS.items()))
    search = forms.CharField(required=False, max_length=100, label="Source or metric")


class FindingFilter(forms.Form):
    """Which findings are listed."""

    kind = forms.ChoiceField(required=False, label="Kind", choices=[("", "all kinds"), *Finding.Kind.choices])
    state = forms.ChoiceField(required=False, label="State", choices=[("", "still so"), ("all", "over as well")])


class SourceForm(RefusableMixin, forms.Form):
    """Something outside to look at on schedule."""

    name = forms.CharField(max_length=120, help_text="Also the label of its series")
    kind = forms.ChoiceField(choices=list(KINDS.items()))
    address = forms.CharField(
        max_length=500, required=False, help_text="A URL; the name of a fleet; database, redis or channel_layer"
    )
    pointer = forms.CharField(
        max_length=200, required=False, label="JSON pointer", help_text="Of a page, to a number: /queue/depth"
    )
    expect_status = forms.IntegerField(
        min_value=100, max_value=599, required=False, label="Expected status", help_text="Else any below 400"
    )
    metric = forms.CharField(max_length=120, required=False, help_text="For the kind metric")
    metric_source = forms.CharField(
        max_length=200, required=False, label="Source of the metric", help_text="Empty: whichever is newest"
    )
    every_seconds = DurationField(initial="5m", label="Every", help_text="30s to 1d")
    timeout_seconds = forms.FloatField(
        min_value=0.1, max_value=10, initial=5, label="Time limit", help_text="Seconds, at most ten"
    )

    def __init__(self, data: Any = None) -> None:
        super().__init__(data, auto_id="source-%s")  # the filters of the same page have a kind, too
