"""What people look for among units."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from subsystems.s1_operations.adapters import registry
from subsystems.s1_operations.models import Unit
from vsm_site.dashboard.nerve_forms import Filter
from vsm_site.dashboard.places import Place


class UnitFilter(Filter):
    """Which units to list."""

    q = forms.CharField(
        required=False, max_length=200, label=_("Part of the name"),
        widget=forms.TextInput(attrs={"type": "search", "autocomplete": "off", "placeholder": _("Part of the name")}),
    )  # fmt: skip
    state = forms.ChoiceField(
        required=False, label=_("State"), choices=[("", _("All but those that left")), *Unit.State.choices]
    )

    def __init__(self, data: Mapping[str, Any], place: Place) -> None:
        super().__init__(data, place)
        kinds = [(kind, kind.replace("_", " ")) for kind in sorted(registry())]
        self.fields["kind"] = forms.ChoiceField(
            required=False, label=_("Type"), choices=[("", _("Every type")), *kinds]
        )

    def narrowed(self, units: QuerySet[Unit]) -> QuerySet[Unit]:
        """Return those of *units* that are wanted."""
        given = self.cleaned_data
        units = units.filter(state=given["state"]) if given["state"] else units.exclude(state=Unit.State.GONE)
        if given["kind"]:
            units = units.filter(kind=given["kind"])
        return units.filter(name__icontains=text) if (text := given["q"].replace("\0", "")) else units
