"""What people type in about signals, events, messages and actions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms
from django.db.models import Q, QuerySet
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from subsystems.algedonic.models import Signal
from subsystems.algedonic.services import MAX_DESCRIPTION, MAX_SOURCE
from subsystems.event_log.queries import Wanted
from subsystems.event_log.streams import Stream
from subsystems.messaging.envelope import MAX_ID
from subsystems.s3_control.acts import ACTS
from subsystems.s3_control.models import Action
from vsm_site.dashboard import reach
from vsm_site.dashboard.forms import RefusableMixin
from vsm_site.dashboard.places import Place
from vsm_site.dashboard.range_fields import RangeMixin

OPEN = "open"
_search = {"type": "search", "autocomplete": "off", "spellcheck": "false"}


class SignalForm(RefusableMixin, forms.Form):
    """One signal that a person raises."""

    type = forms.ChoiceField(label=_("Type"), choices=Signal.Type.choices)
    severity = forms.ChoiceField(
        required=False, label=_("Severity"), choices=[("", _("As its intensity says")), *Signal.Severity.choices]
    )
    intensity = forms.FloatField(
        required=False, min_value=0, max_value=1, label=_("Intensity"),
        help_text=_("0 to 1. Alone, it is a measure: too faint a one is not felt"),
        widget=forms.NumberInput(attrs={"step": "0.01"}),
    )  # fmt: skip
    source = forms.CharField(
        max_length=MAX_SOURCE, label=_("Source"), help_text=_("What hurts or does well, e.g. a unit's name")
    )
    description = forms.CharField(
        required=False, max_length=MAX_DESCRIPTION, label=_("Description"), widget=forms.Textarea(attrs={"rows": 4})
    )


class Filter(forms.Form):
    """A filter whose reader may be in more than one system."""

    def __init__(self, data: Mapping[str, Any], place: Place) -> None:
        super().__init__(data)
        if offered := reach.choices(place):
            self.fields["of"] = forms.ChoiceField(required=False, label=gettext("System"), choices=offered)

    @property
    def of(self) -> str:
        """Return the chosen reach, empty for the system its reader is in."""
        return str(self.cleaned_data.get("of", ""))

    @property
    def mistakes(self) -> list[str]:
        """Return what is wrong, each with the name of its field."""
        return [
            f"{self.fields[name].label or name}: {mistake}" if name in self.fields else str(mistake)
            for name, found in self.errors.items()
            for mistake in found
        ]


class SignalFilter(RangeMixin, Filter):
    """Which signals to list."""

    q = forms.CharField(
        required=False, max_length=200, label=_("Source or description"),
        widget=forms.TextInput(attrs={**_search, "placeholder": _("Source or description")}),
    )  # fmt: skip
    state = forms.ChoiceField(
        required=False, label=_("State"), choices=[("", _("Any state")), (OPEN, _("Open")), *Signal.State.choices]
    )
    severity = forms.ChoiceField(
        required=False, label=_("Severity"), choices=[("", _("Any severity")), *Signal.Severity.choices]
    )
    type = forms.ChoiceField(
        required=False, label=_("Type"), choices=[("", _("Pain and pleasure")), *Signal.Type.choices]
    )
    type = forms.ChoiceField(
        required=False, label=_("Type"), choices=[("", _("Pain and pleasure")), *Signal.Type.choices]
    )


class EventFilter(RangeMixin, Filter):
    """Which events to list."""

    q = forms.CharField(
        required=False, max_length=200, label=_("Text in type, data or actor"),
        widget=forms.TextInput(attrs={**_search, "placeholder": _("Text in type, data or actor")}),
    )  # fmt: skip
    stream = forms.ChoiceField(
        required=False,
        label=_("Stream"),
        choices=[("", _("Every stream")), *((str(each), str(each)) for each in Stream)],
    )
    type = forms.CharField(
        required=False, max_length=80, label=_("Type"),
        widget=forms.TextInput(attrs={**_search, "placeholder": _("Type, exactly")}),
    )  # fmt: skip
    correlation_id = forms.CharField(
        required=False, max_length=MAX_ID, label=_("Correlation id"),
        widget=forms.TextInput(attrs={**_search, "placeholder": _("Correlation id")}),
    )  # fmt: skip
    message_id = forms.CharField(
        required=False, max_length=MAX_ID, label=_("Message id"),
        widget=forms.TextInput(attrs={**_search, "placeholder": _("Message id")}),
    )  # fmt: skip
    before = forms.IntegerField(
        required=False, min_value=1, max_value=2**63 - 1, label=_("Position"), widget=forms.HiddenInput()
    )

    def wanted(self) -> Wanted:
        """Return what is looked for, in the event log's words."""
        given = self.cleaned_data
        return Wanted(
            stream=given["stream"], type=given["type"], correlation_id=given["correlation_id"],
            message_id=given["message_id"], text=given["q"], since=given["since"], until=given["until"],
            before=given["before"],
        )  # fmt: skip


class DeadLetterFilter(Filter):
    """Which dead letters to list."""

    q = forms.CharField(
        required=False, max_length=200, label=_("Detail, type or message id"),
        widget=forms.TextInput(attrs={**_search, "placeholder": _("Detail, type or message id")}),
    )  # fmt: skip
    reason = forms.CharField(
        required=False, max_length=40, label=_("Reason"),
        widget=forms.TextInput(attrs={**_search, "placeholder": _("Reason")}),
    )  # fmt: skip
    replayed = forms.ChoiceField(
        required=False,
        label=_("Replayed"),
        choices=[("", _("Waiting or replayed")), ("no", _("Waiting")), ("yes", _("Replayed"))],
    )


class ActionFilter(RangeMixin, Filter):
    """Which actions to list."""

    q = forms.CharField(
        required=False, max_length=200, label=_("Target, reason or detail"),
        widget=forms.TextInput(attrs={**_search, "placeholder": _("Target, reason or detail")}),
    )  # fmt: skip
    kind = forms.ChoiceField(
        required=False, label=_("Kind"), choices=[("", _("Every kind")), *((kind, kind) for kind in ACTS)]
    )
    state = forms.ChoiceField(required=False, label=_("State"), choices=[("", _("Any state")), *Action.State.choices])
    actor = forms.CharField(
        required=False, max_length=150, label=_("Who"),
        widget=forms.TextInput(attrs={**_search, "placeholder": _("Who, exactly")}),
    )  # fmt: skip

    def applied(self, actions: QuerySet[Action]) -> QuerySet[Action]:
        """Return those of *actions* that are wanted."""
        given = self.cleaned_data
        exact = {name: given[name] for name in ("kind", "state", "actor") if given[name]}
        if given["since"]:
            exact["requested_at__gte"] = given["since"]
        if given["until"]:
            exact["requested_at__lte"] = given["until"]
        text = given["q"]
        words = Q(target__icontains=text) | Q(reason__icontains=text) | Q(detail__icontains=text) if text else Q()
        return actions.filter(words, **exact)
