"""What people type in about pools and bargains."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.db.models import Q, QuerySet
from django.utils.translation import gettext_lazy as _

from subsystems.s1_operations.models import Fleet
from subsystems.s3_control.bargaining import queries
from subsystems.s3_control.bargaining.models import Bargain, PoolUnit, ResourcePool
from vsm_site.dashboard.forms import RefusableMixin
from vsm_site.dashboard.nerve_forms import Filter, _search

if TYPE_CHECKING:
    PoolModelForm = forms.ModelForm[ResourcePool]
    UnitModelForm = forms.ModelForm[PoolUnit]
else:
    PoolModelForm = UnitModelForm = forms.ModelForm  # generic only in the type stubs

ALIVE = "alive"


class UnitChoice(forms.ModelChoiceField):  # type: ignore[type-arg]
    """A unit beside the pool that it shares."""

    def label_from_instance(self, obj: Any) -> str:
        return f"{obj.pool.name}: {obj.name}"


class AskForm(RefusableMixin, forms.Form):
    """A request in the name of a unit."""

    unit = UnitChoice(queryset=PoolUnit.objects.none(), label=_("Unit"), empty_label=None)
    amount = forms.FloatField(min_value=0, label=_("Amount"), help_text=_("In all, not so much more"))
    priority = forms.IntegerField(min_value=0, max_value=10, initial=5, label=_("Priority"))
    minutes = forms.IntegerField(min_value=1, max_value=7 * 1440, initial=10, label=_("Open for minutes"))
    reason = forms.CharField(max_length=500, required=False, label=_("Reason"))

    def __init__(self, units: QuerySet[PoolUnit], data: Any = None) -> None:
        super().__init__(data, auto_id="ask-%s")
        field = self.fields["unit"]
        assert isinstance(field, forms.ModelChoiceField)
        field.queryset = units

    def take(self, error: Any) -> None:
        """Show a deadline's mistake at the minutes."""
        if error.field == "deadline":
            error.field = "minutes"
        super().take(error)


class NewPoolForm(RefusableMixin, forms.Form):
    """What is shared; the rest has its defaults, and is changed on its page."""

    name = forms.CharField(max_length=80, label=_("Name"), help_text=_("What requests call the resource, as cpu"))
    kind = forms.ChoiceField(choices=ResourcePool.Kind.choices, label=_("What is shared"))
    fleet = forms.ModelChoiceField(
        queryset=Fleet.objects.none(), label=_("Fleet"), required=False, empty_label=_("None: messages of this system")
    )
    limit = forms.FloatField(
        min_value=0, required=False, label=_("Limit"), help_text=_("The most that is given away; empty: what is there")
    )

    def __init__(self, fleets: QuerySet[Fleet], data: Any = None) -> None:
        super().__init__(data, auto_id="pool-%s")
        field = self.fields["fleet"]
        assert isinstance(field, forms.ModelChoiceField)
        field.queryset = fleets


class PoolForm(RefusableMixin, PoolModelForm):
    """All that can be changed of a pool."""

    class Meta:
        model = ResourcePool
        fields = [name for name in queries.POOL_FIELDS if name != "kind"]

    def settings(self) -> dict[str, Any]:
        """Return what was typed in."""
        return {name: self.cleaned_data[name] for name in self.Meta.fields}


class UnitForm(RefusableMixin, UnitModelForm):
    """A unit that shares a pool: a new one, or new terms for one of that name."""

    class Meta:
        model = PoolUnit
        fields = ["name", *queries.UNIT_FIELDS]

    def __init__(self, data: Any = None) -> None:
        super().__init__(data, auto_id="unit-%s")

    def validate_unique(self) -> None:
        """Leave it to the verb: a name that is there means that unit."""

    def terms(self) -> dict[str, Any]:
        """Return what was typed in, without the name."""
        return {name: self.cleaned_data[name] for name in queries.UNIT_FIELDS}


class BargainFilter(Filter):
    """What is asked or held, unless something else is asked for."""

    q = forms.CharField(
        required=False, max_length=200, label=_("Resource, unit or reason"),
        widget=forms.TextInput(attrs={**_search, "placeholder": _("Resource, unit or reason")}),
    )  # fmt: skip
    state = forms.ChoiceField(
        required=False, label=_("State"),
        choices=[("", _("Every state")), (ALIVE, _("Asked, offered or held")), *Bargain.State.choices],
    )  # fmt: skip

    def applied(self, rows: QuerySet[Bargain]) -> QuerySet[Bargain]:
        """Return those of *rows* that are wanted."""
        given = self.cleaned_data
        if given["state"] == ALIVE:
            rows = rows.filter(state__in=Bargain.ALIVE)
        elif given["state"]:
            rows = rows.filter(state=given["state"])
        if text := given["q"]:
            rows = rows.filter(
                Q(pool__name__icontains=text) | Q(unit__name__icontains=text) | Q(reason__icontains=text)
            )
        return rows
