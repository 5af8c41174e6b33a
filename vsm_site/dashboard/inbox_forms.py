"""Which recommendations are asked for, and how long a decision may be put off."""

from __future__ import annotations

from django import forms
from django.db.models import Q, QuerySet
from django.utils.translation import gettext_lazy as _

from subsystems.s3_control.models import Recommendation
from vsm_site.dashboard.nerve_forms import Filter, _search

WAITING, UNDER_WAY, EVERY = "", "under_way", "every"
DEFERRALS = [("1", _("for an hour")), ("8", _("for 8 hours")), ("24", _("for a day")), ("168", _("for a week"))]


class InboxFilter(Filter):
    """What waits, unless something else is asked for."""

    q = forms.CharField(
        required=False, max_length=200, label=_("Title, subject or reason"),
        widget=forms.TextInput(attrs={**_search, "placeholder": _("Title, subject or reason")}),
    )  # fmt: skip
    state = forms.ChoiceField(
        required=False, label=_("State"),
        choices=[
            (WAITING, _("Waits for a decision")),
            (UNDER_WAY, _("Being applied or measured")),
            (EVERY, _("Every state")),
            *Recommendation.State.choices,
        ],
    )  # fmt: skip
    source = forms.ChoiceField(
        required=False, label=_("Source"), choices=[("", _("Every source")), *Recommendation.Source.choices]
    )

    def applied(self, rows: QuerySet[Recommendation]) -> QuerySet[Recommendation]:
        """Return those of *rows* that are wanted."""
        given = self.cleaned_data
        if given["state"] == WAITING:
            rows = rows.filter(state__in=Recommendation.WAITING)
        elif given["state"] == UNDER_WAY:
            rows = rows.filter(state__in=Recommendation.UNDER_WAY, settled_at=None)
        elif given["state"] != EVERY:
            rows = rows.filter(state=given["state"])
        if given["source"]:
            rows = rows.filter(source=given["source"])
        if text := given["q"]:
            rows = rows.filter(Q(title__icontains=text) | Q(subject__icontains=text) | Q(reason__icontains=text))
        return rows
