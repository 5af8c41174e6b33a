"""What people type in about workers, queues and who should be there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from subsystems.fleets.topology import MAX_WORKERS
from subsystems.s1_operations.models import Fleet, Unit
from vsm_site.dashboard.forms import RefusableMixin
from vsm_site.dashboard.nerve_forms import Filter
from vsm_site.dashboard.places import Place

HERE = "here"
_search = {"type": "search", "autocomplete": "off", "spellcheck": "false"}
_states = [("", _("Any state")), (HERE, _("There or expected")), *Unit.State.choices]


class MemberFilter(Filter):
    """Which queues to list."""

    q = forms.CharField(
        required=False, max_length=200, label=_("Part of the name"),
        widget=forms.TextInput(attrs={**_search, "placeholder": _("Part of the name")}),
    )  # fmt: skip
    fleet = forms.ChoiceField(required=False, label=_("Fleet"))
    state = forms.ChoiceField(required=False, label=_("State"), choices=_states)

    def __init__(self, data: Mapping[str, Any], place: Place) -> None:
        super().__init__(data, place)
        self.fields.pop("of", None)
        names = Fleet.objects.filter(system=place.system).values_list("name", flat=True)
        self.fields["fleet"] = forms.ChoiceField(
            required=False,
            label=gettext("Fleet"),
            choices=[("", gettext("Every fleet")), *((name, name) for name in names)],
        )


class WorkerFilter(MemberFilter):
    """Which workers to list."""

    role = forms.CharField(
        required=False, max_length=200, label=_("Role, exactly"),
        widget=forms.TextInput(attrs={**_search, "placeholder": _("Role, exactly")}),
    )  # fmt: skip


class ExpectedForm(RefusableMixin, forms.Form):
    """One declaration of who should be there."""

    fleet = forms.ModelChoiceField(Fleet.objects.none(), label=_("Fleet"), empty_label=None)
    role = forms.CharField(required=False, max_length=200, label=_("Role"), help_text=_("Empty: any worker"))
    queue = forms.CharField(required=False, max_length=200, label=_("Queue"), help_text=_("Empty: whatever they read"))
    workers = forms.IntegerField(label=_("Workers, at least"), min_value=1, max_value=MAX_WORKERS, initial=1)

    def __init__(self, place: Place, data: Mapping[str, Any] | None = None) -> None:
        super().__init__(data, auto_id="expected_%s")  # the filters of the page have a role and a queue too
        self.fields["fleet"] = forms.ModelChoiceField(
            Fleet.objects.filter(system=place.system), label=gettext("Fleet"), empty_label=None
        )
        self.order_fields(["fleet", "role", "queue", "workers"])
