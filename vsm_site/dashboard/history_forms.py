"""What people look for in the history of tasks."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django import forms

from subsystems.fleets.models import ID_LENGTH, NAME_LENGTH
from subsystems.fleets.searching import NEWEST, SLOWEST, Position, Wanted, states_of
from subsystems.kernel.errors import Invalid
from vsm_site.dashboard.nerve_forms import MINUTES, Filter
from vsm_site.dashboard.places import Place

_search = {"type": "search", "autocomplete": "off", "spellcheck": "false"}
STATES = [
    ("", "Any state"), ("open", "Open"), ("failure", "Failed"), ("success", "Succeeded"), ("retry", "Waiting to retry"),
    ("started", "Running"), ("received", "Received"), ("pending", "Sent"), ("revoked", "Revoked"),
    ("rejected", "Rejected"), ("unknown", "Ended unseen"),
]  # fmt: skip


def _text(label: str, placeholder: str = "", length: int = NAME_LENGTH) -> forms.CharField:
    return forms.CharField(
        required=False, max_length=length, label=label,
        widget=forms.TextInput(attrs={**_search, "placeholder": placeholder or label}),
    )  # fmt: skip


def _moment(label: str) -> forms.DateTimeField:
    picker = forms.DateTimeInput(attrs={"type": "datetime-local"}, format=MINUTES)
    return forms.DateTimeField(required=False, label=label, widget=picker)


class FleetFilter(Filter):
    """Which fleets to show."""

    def __init__(self, data: Mapping[str, Any], place: Place, fleets: list[str]) -> None:
        super().__init__(data, place)
        self.fields["fleet"] = forms.ChoiceField(
            required=False, label="Fleet", choices=[("", "Every fleet"), *((name, name) for name in fleets)]
        )


class TaskFilter(FleetFilter):
    """Which tasks to list."""

    q = _text("Text in name, arguments or outcome, or an id", "Text, or an id")
    state = forms.CharField(required=False, max_length=200, label="State", widget=forms.Select(choices=STATES))
    name = _text("Task", "Task, exactly")
    worker = _text("Worker", "Worker, exactly")
    queue = _text("Queue", "Queue, exactly")
    min_runtime = forms.FloatField(
        required=False, min_value=0, max_value=1e9, label="Ran at least (s)",
        widget=forms.NumberInput(attrs={"step": "any", "placeholder": "Ran ≥ s"}),
    )  # fmt: skip
    since = _moment("From (UTC)")
    until = _moment("To (UTC)")
    order = forms.ChoiceField(required=False, label="Order", choices=[("", "Newest first"), (SLOWEST, "Slowest first")])
    fingerprint = forms.IntegerField(
        required=False, min_value=0, max_value=2**63 - 1, label="Kind of failure", widget=forms.HiddenInput()
    )
    root = forms.CharField(required=False, max_length=ID_LENGTH, label="Workflow", widget=forms.HiddenInput())
    cursor = forms.CharField(required=False, max_length=60, label="Page", widget=forms.HiddenInput())

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
        return any(value for name, value in self.cleaned_data.items() if name not in {"order", "cursor", "of"})

    def after(self) -> Position | None:
        cursor = self.cleaned_data["cursor"]
        return Position.of(cursor) if cursor else None

    def wanted(self) -> Wanted:
        """Return what is looked for, in the history's words."""
        given = self.cleaned_data
        return Wanted(
            states=states_of(given["state"]), name=given["name"], worker=given["worker"], queue=given["queue"],
            text=given["q"], root=given["root"], fingerprint=given["fingerprint"], min_runtime=given["min_runtime"],
            since=_epoch(given["since"]), until=_epoch(given["until"]), order=given["order"] or NEWEST,
        )  # fmt: skip


class LatencyFilter(FleetFilter):
    """Which latencies to show."""

    by = forms.ChoiceField(
        required=False, label="By",
        choices=[("", "By task"), ("queue", "By queue"), ("name,queue", "By task and queue")],
    )  # fmt: skip
    hours = forms.ChoiceField(
        required=False, label="Time", choices=[("", "Last hour"), ("6", "Last 6 hours"), ("24", "Last 24 hours")]
    )


def _epoch(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()


def _refuse(read: Any, given: str) -> None:
    try:
        read(given)
    except Invalid as error:
        raise forms.ValidationError(error.detail) from None
