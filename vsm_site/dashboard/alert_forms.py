"""What people type in to find alerts, and to keep them quiet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms
from django.db.models import Q, QuerySet
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from alerts.models import Alert, AlertRule, Severity
from vsm_site.dashboard.nerve_forms import Filter
from vsm_site.dashboard.notice_forms import DURATIONS
from vsm_site.dashboard.places import Place

OPEN, MINE, UNANSWERED = "open", "mine", "unanswered"
LISTED_RULES = 500


class AlertFilter(Filter):
    """Which alerts to list."""

    q = forms.CharField(
        required=False, max_length=200, label=_("Title or subject"),
        widget=forms.TextInput(attrs={"type": "search", "placeholder": _("Title or subject"), "autocomplete": "off"}),
    )  # fmt: skip
    state = forms.ChoiceField(
        required=False, label=_("State"),
        choices=[
            ("", _("Any state")), (OPEN, _("Open")), (UNANSWERED, _("Open, not acknowledged")), *Alert.State.choices,
        ],
    )  # fmt: skip
    severity = forms.ChoiceField(
        required=False, label=_("Severity"), choices=[("", _("Any severity")), *Severity.choices]
    )  # fmt: skip
    rule = forms.TypedChoiceField(required=False, label=_("Rule"), coerce=int, empty_value=None)

    def __init__(self, data: Mapping[str, Any], place: Place) -> None:
        super().__init__(data, place)
        rules = AlertRule.objects.filter(system__in=place.systems).order_by("name").values_list("pk", "name")
        chosen: Any = self.fields["rule"]
        chosen.choices = [("", gettext("Any rule")), *rules[:LISTED_RULES]]

    def narrowed(self, alerts: QuerySet[Alert]) -> QuerySet[Alert]:
        """Return those of *alerts* that are wanted."""
        given = self.cleaned_data
        if given["severity"]:
            alerts = alerts.filter(severity=given["severity"])
        if given["rule"]:
            alerts = alerts.filter(rule_id=given["rule"])
        if text := given["q"].replace("\0", ""):
            alerts = alerts.filter(Q(title__icontains=text) | Q(subject__icontains=text))
        if given["state"] in (OPEN, UNANSWERED):
            alerts = alerts.exclude(state=Alert.State.RESOLVED)
            return alerts.filter(acknowledged_at=None) if given["state"] == UNANSWERED else alerts
        return alerts.filter(state=given["state"]) if given["state"] else alerts


class QuietForm(forms.Form):
    """For how long alerts are silenced, and why."""

    minutes = forms.ChoiceField(label=_("For"), choices=list(DURATIONS.items()), initial="60")
    comment = forms.CharField(max_length=500, label=_("Why"))
