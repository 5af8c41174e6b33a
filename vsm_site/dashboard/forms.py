"""What people type in, checked before any verb is called; what a verb refuses is shown at its field."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from django import forms

from alerts.models import Alert, AlertRule, Severity
from subsystems.kernel.errors import Refused
from subsystems.recursion.models import System
from subsystems.s1_operations.adapters import registry
from subsystems.s1_operations.models import Unit


class RefusableMixin:
    """A form that can take the refusal of a service as one of its own errors."""

    def take(self: Any, error: Refused) -> None:
        """Show *error* at the field it names, or above the form."""
        self.add_error(error.field if error.field in self.fields else None, error.detail)


class FleetForm(RefusableMixin, forms.Form):
    """The address of a broker. It carries a password: the input hides it, and it is never sent back."""

    name = forms.CharField(
        max_length=120, required=False, label="Name", help_text="Shown before its workers and queues; made up if empty"
    )
    url = forms.CharField(
        max_length=500,
        label="Broker URL",
        strip=True,
        help_text="As the application has it, e.g. amqp://user:password@host:5672/vhost. Stored encrypted, never shown",
        widget=forms.PasswordInput(render_value=False, attrs={"autocomplete": "off", "spellcheck": "false"}),
    )


class HttpUnitForm(RefusableMixin, forms.Form):
    """A service that answers over HTTP."""

    name = forms.CharField(max_length=200, label="Name", help_text="Also the source of its series")
    url = forms.URLField(
        max_length=500, label="Address", assume_scheme="https", help_text="http:// or https://; asked every 5 seconds"
    )

    def __init__(self, data: Mapping[str, Any] | None = None) -> None:
        super().__init__(data, auto_id="unit-%s")  # the form of fleets on the same page has a name, too

    def config(self) -> dict[str, Any]:
        """Return the unit's configuration."""
        return {"url": self.cleaned_data["url"]}

    def take(self, error: Refused) -> None:
        """Show what the adapter refuses in its configuration at the address, the only part of it asked for."""
        refused = Refused(error.detail, field=error.field if error.field == "name" else "url")
        super().take(refused)


if TYPE_CHECKING:
    RuleModelForm = forms.ModelForm[AlertRule]
else:
    RuleModelForm = forms.ModelForm  # generic only in the type stubs


class RuleForm(RefusableMixin, RuleModelForm):
    """One alert rule."""

    class Meta:
        model = AlertRule
        fields = [
            "name",
            "metric",
            "unit_kind",
            "unit",
            "comparison",
            "threshold",
            "for_seconds",
            "severity",
            "cooldown_seconds",
            "enabled",
        ]
        labels = {
            "unit_kind": "Type of unit",
            "for_seconds": "For (seconds)",
            "cooldown_seconds": "Cooldown (seconds)",
        }
        help_texts = {
            "name": "The title of its alerts, e.g. Disk nearly full",
            "metric": 'One metric; with labels as metric{name="value"}',
        }

    def __init__(
        self,
        data: Mapping[str, Any] | None = None,
        *,
        system: System,
        rule: AlertRule | None = None,
        initial: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(data, instance=rule or AlertRule(system=system), initial=initial)
        kinds = sorted(set(registry()) | {rule.unit_kind if rule else ""} - {""})
        choices = [("", "Every type"), *[(kind, kind.replace("_", " ")) for kind in kinds]]
        self.fields["unit_kind"] = forms.ChoiceField(required=False, label="Type of unit", choices=choices)
        units = Unit.objects.filter(system=system).exclude(state=Unit.State.GONE)
        self.fields["unit"] = forms.ModelChoiceField(units, required=False, label="Unit", empty_label="Every unit")
        self.fields["metric"].widget.attrs.update({"list": "metrics", "autocomplete": "off", "spellcheck": "false"})
        self.fields["threshold"].widget.attrs.update({"step": "any"})

    def clean_name(self) -> str:
        """Refuse a name that another rule of the system has."""
        name = str(self.cleaned_data["name"])
        others = AlertRule.objects.filter(system=self.instance.system, name=name).exclude(pk=self.instance.pk)
        if others.exists():
            raise forms.ValidationError("Another rule has this name.")
        return name


class AlertFilter(forms.Form):
    """Which alerts to list."""

    q = forms.CharField(
        required=False,
        label="Search",
        widget=forms.TextInput(attrs={"type": "search", "placeholder": "Title or subject"}),
    )
    severity = forms.ChoiceField(required=False, choices=[("", "Any severity"), *Severity.choices])
    state = forms.ChoiceField(required=False, choices=[("", "Any state"), *Alert.State.choices])
