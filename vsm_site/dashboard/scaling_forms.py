"""What people type in about how queues are scaled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.db.models import QuerySet

from subsystems.s1_operations.models import Fleet
from subsystems.s3_control.scaling import queries
from subsystems.s3_control.scaling.models import ScalingPolicy
from vsm_site.dashboard.forms import RefusableMixin

if TYPE_CHECKING:
    ScalingModelForm = forms.ModelForm[ScalingPolicy]
else:
    ScalingModelForm = forms.ModelForm  # generic only in the type stubs

HOURS = [("1", "the last hour"), ("6", "the last 6 hours"), ("24", "the last day"), ("168", "the last week")]


class ScalingForm(RefusableMixin, ScalingModelForm):
    """All that can be changed of a policy."""

    class Meta:
        model = ScalingPolicy
        fields = list(queries.SETTINGS)

    def validate_unique(self) -> None:
        """Leave it to the verb, which names the field."""

    def settings(self) -> dict[str, Any]:
        """Return what was typed in."""
        return {name: self.cleaned_data[name] for name in queries.SETTINGS}


class NewScalingForm(RefusableMixin, forms.Form):
    """Which queue is to be scaled; the rest has its defaults, and is changed on its page."""

    fleet = forms.ModelChoiceField(queryset=Fleet.objects.none(), label="Fleet", empty_label=None)
    queue = forms.CharField(max_length=200, label="Queue", help_text="Its readers are scaled")
    least = forms.IntegerField(min_value=0, max_value=10_000, initial=2, label="Fewest slots")
    most = forms.IntegerField(min_value=1, max_value=10_000, initial=20, label="Most slots")

    def __init__(self, fleets: QuerySet[Fleet], data: Any = None) -> None:
        super().__init__(data)
        field = self.fields["fleet"]
        assert isinstance(field, forms.ModelChoiceField)
        field.queryset = fleets
