"""What is looked for on the page of S4."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from subsystems.s4_intelligence.models import Finding, Forecast, Source
from vsm_site.dashboard.check_forms import DurationField
from vsm_site.dashboard.forms import RefusableMixin

SPANS = {Forecast.Span.HOUR: _("the next hour"), Forecast.Span.DAYS: _("the next two days")}

KINDS = {
    Source.Kind.HTTP: _("a page"), Source.Kind.METRIC: _("a metric"), Source.Kind.BROKER: _("a fleet's broker"),
    Source.Kind.DEPENDENCY: _("the platform itself"),
}  # fmt: skip


class ForecastFilter(forms.Form):
    """Which forecasts are drawn."""

    span = forms.ChoiceField(required=False, label=_("Ahead"), choices=list(SPANS.items()))
    search = forms.CharField(required=False, max_length=100, label=_("Source or metric"))


class FindingFilter(forms.Form):
    """Which findings are listed."""

    kind = forms.ChoiceField(required=False, label=_("Kind"), choices=[("", _("all kinds")), *Finding.Kind.choices])
    state = forms.ChoiceField(
        required=False, label=_("State"), choices=[("", _("still so")), ("all", _("over as well"))]
    )


class SourceForm(RefusableMixin, forms.Form):
    """Something outside to look at on schedule."""

    name = forms.CharField(label=_("Name"), max_length=120, help_text=_("Also the label of its series"))
    kind = forms.ChoiceField(label=_("Kind"), choices=list(KINDS.items()))
    address = forms.CharField(
        label=_("Address"),
        max_length=500,
        required=False,
        help_text=_("A URL; the name of a fleet; database, redis or channel_layer"),
    )
    pointer = forms.CharField(
        max_length=200, required=False, label=_("JSON pointer"), help_text=_("Of a page, to a number: /queue/depth")
    )
    expect_status = forms.IntegerField(
        min_value=100, max_value=599, required=False, label=_("Expected status"), help_text=_("Else any below 400")
    )
    metric = forms.CharField(label=_("Metric"), max_length=120, required=False, help_text=_("For the kind metric"))
    metric_source = forms.CharField(
        max_length=200, required=False, label=_("Source of the metric"), help_text=_("Empty: whichever is newest")
    )
    better = forms.ChoiceField(
        choices=[("", _("neither")), *Source.Better.choices], required=False, label=_("Good news"),
        help_text=_("What a rising value says about the outside"),
    )  # fmt: skip
    every_seconds = DurationField(initial="5m", label=_("Every"), help_text=_("30s to 1d"))
    timeout_seconds = forms.FloatField(
        min_value=0.1, max_value=10, initial=5, label=_("Time limit"), help_text=_("Seconds, at most ten")
    )

    def __init__(self, data: Any = None) -> None:
        super().__init__(data, auto_id="source-%s")  # the filters of the same page have a kind, too
