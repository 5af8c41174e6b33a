"""What is looked for on the page of S4."""

from __future__ import annotations

from django import forms

from subsystems.s4_intelligence.models import Finding, Forecast

SPANS = {Forecast.Span.HOUR: "the next hour", Forecast.Span.DAYS: "the next two days"}


class ForecastFilter(forms.Form):
    """Which forecasts are drawn."""

    span = forms.ChoiceField(required=False, label="Ahead", choices=list(SPANS.items()))
    search = forms.CharField(required=False, max_length=100, label="Source or metric")


class FindingFilter(forms.Form):
    """Which findings are listed."""

    kind = forms.ChoiceField(required=False, label="Kind", choices=[("", "all kinds"), *Finding.Kind.choices])
    state = forms.ChoiceField(required=False, label="State", choices=[("", "still so"), ("all", "over as well")])
