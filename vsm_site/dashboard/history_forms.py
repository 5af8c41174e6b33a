"""What people look for in the history of tasks."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django import forms
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from subsystems.fleets.models import ID_LENGTH, NAME_LENGTH
from subsystems.fleets.searching import NEWEST, Position, Wanted, states_of
from subsystems.kernel.errors import Invalid
from vsm_site.dashboard.nerve_forms import Filter
from vsm_site.dashboard.places import Place
from vsm_site.dashboard.range_fields import RangeMixin
from vsm_site.dashboard.time_ranges import DAY

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

_search = {"type": "search", "autocomplete": "off", "spellcheck": "false"}
STATES = [
    ("", _("Any state")), ("open", _("Open")), ("failure", _("Failed")),
    ("success", _("Succeeded")), ("retry", _("Waiting to retry")),
    ("started", _("Running")), ("received", _("Received")), ("pending", _("Sent")), ("revoked", _("Revoked")),
    ("rejected", _("Rejected")), ("unknown", _("Ended unseen")),
]  # fmt: skip


def _text(label: StrOrPromise, placeholder: StrOrPromise = "", length: int = NAME_LENGTH) -> forms.CharField:
    return forms.CharField(
        required=False, max_length=length, label=label,
        widget=forms.TextInput(attrs={**_search, "placeholder": placeholder or label}),
    )  # fmt: skip


class FleetFilter(Filter):
    """Which fleets to show."""

    def __init__(self, data: Mapping[str, Any], place: Place, fleets: list[str]) -> None:
        super().__init__(data, place)
        self.fields["fleet"] = forms.ChoiceField(
            required=False,
            label=gettext("Fleet"),
            choices=[("", gettext("Every fleet")), *((name, name) for name in fleets)],
        )


class TaskFilter(RangeMixin, FleetFilter):
    """Which tasks to list."""

    q = _text(_("Text in name, arguments or outcome, or an id"), _("Text, or an id"))
    state = forms.CharField(required=False, max_length=200, label=_("State"), widget=forms.Select(choices=STATES))
    name = _text(_("Task"), _("Task, exactly"))
    worker = _text(_("Worker"), _("Worker, exactly"))
    queue = _text(_("Queue"), _("Queue, exactly"))
    min_runtime = forms.FloatField(
        required=False, min_value=0, max_value=1e9, label=_("Ran at least (s)"),
        widget=forms.NumberInput(attrs={"step": "any", "placeholder": _("Ran ≥ s")}),
    )  # fmt: skip
    fingerprint = forms.IntegerField(
        required=False, min_value=0, max_value=2**63 - 1, label=_("Kind of failure"), widget=forms.HiddenInput()
    )
    root = forms.CharField(required=False, max_length=ID_LENGTH, label=_("Workflow"), widget=forms.HiddenInput())
    cursor = forms.CharField(required=False, max_length=60, label=_("Page"), widget=forms.HiddenInput())

    def clean_state(self) -> str:
        given = str(self.cleaned_data["state"])
        _refuse(states_of, given)
        return given

    def clean_cursor(self) -> str:
        given = str(self.cleaned_data["cursor"])
        if given:
            _refuse(Position.of, given)
        return given

    @property
    def narrows(self) -> bool:
        """Return whether anything is left out."""
        return any(value for name, value in self.cleaned_data.items() if name not in {"cursor", "of"})

    def after(self) -> Position | None:
        cursor = self.cleaned_data["cursor"]
        return Position.of(cursor) if cursor else None

    def wanted(self, order: str = NEWEST) -> Wanted:
        """Return what is looked for, in the history's words."""
        given = self.cleaned_data
        return Wanted(
            states=states_of(given["state"]), name=given["name"], worker=given["worker"], queue=given["queue"],
            text=given["q"], root=given["root"], fingerprint=given["fingerprint"], min_runtime=given["min_runtime"],
            since=_epoch(given["since"]), until=_epoch(given["until"]), order=order,
        )  # fmt: skip


class LatencyFilter(RangeMixin, FleetFilter):
    """Which latencies to show: of a day at most, for each five minutes of it are merged."""

    longest = DAY
    any_time = _("Last hour, as usual")

    by = forms.ChoiceField(
        required=False, label=_("By"),
        choices=[("", _("By task")), ("queue", _("By queue")), ("name,queue", _("By task and queue"))],
    )  # fmt: skip


def _epoch(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()


def _refuse(read: Any, given: str) -> None:
    try:
        read(given)
    except Invalid as error:
        raise forms.ValidationError(error.detail) from None
