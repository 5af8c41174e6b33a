"""What people type in about how queues are scaled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.db.models import QuerySet
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from subsystems.s1_operations.models import Fleet
from subsystems.s3_control.scaling import columns, queries
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

    fleet = forms.ModelChoiceField(queryset=Fleet.objects.none(), label=_("Fleet"), empty_label=None)
    queue = forms.CharField(max_length=200, label=_("Queue"), help_text=_("Its readers are scaled"))
    least = forms.IntegerField(min_value=0, max_value=10_000, initial=2, label=_("Fewest slots"))
    most = forms.IntegerField(min_value=1, max_value=10_000, initial=20, label=_("Most slots"))

    def __init__(self, fleets: QuerySet[Fleet], data: Any = None) -> None:
        super().__init__(data)
        field = self.fields["fleet"]
        assert isinstance(field, forms.ModelChoiceField)
        field.queryset = fleets


class LoadForm(RefusableMixin, forms.Form):
    """A load of one's own, to try a policy on: pasted, or a file."""

    load = forms.CharField(
        required=False, strip=False, max_length=columns.MOST_CHARACTERS, label=_("CSV or JSON"),
        help_text=_("Columns at (epoch seconds or RFC 3339, evenly spaced), arrivals (messages in the step) and"
        " service_seconds (of one; empty: as before). At most 5,000 rows"),
        widget=forms.Textarea(
            attrs={
                "rows": 6, "class": "code", "wrap": "off", "autocomplete": "off", "spellcheck": "false",
                "placeholder": "at,arrivals,service_seconds\n2026-11-22T09:00:00Z,120,0.5\n2026-11-22T09:01:00Z,180,",
            }
        ),
    )  # fmt: skip
    file = forms.FileField(required=False, label=_("or a file"), widget=forms.FileInput(attrs={"accept": ".csv,.json"}))

    def clean_file(self) -> str:
        """Return the text of the file, or nothing."""
        given = self.cleaned_data.get("file")
        if given is None:
            return ""
        if given.size > columns.MOST_CHARACTERS:
            raise forms.ValidationError(
                gettext("At most {MOST_CHARACTERS:,} bytes; these are {size:,}.").format(
                    MOST_CHARACTERS=columns.MOST_CHARACTERS, size=given.size
                )
            )
        try:
            return str(given.read().decode("utf-8-sig"))
        except UnicodeDecodeError:
            raise forms.ValidationError(gettext("This is no text in UTF-8.")) from None

    def text(self) -> str:
        """Return what was given: the file where there is one."""
        return str(self.cleaned_data.get("file") or self.cleaned_data["load"])
