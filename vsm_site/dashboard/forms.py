"""What people type in, checked before any verb is called; what a verb refuses is shown at its field."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from django import forms
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from alerts.conditions import KINDS
from alerts.models import AlertRule
from alerts.rule_forms import meant
from subsystems.kernel.errors import Refused
from subsystems.recursion.models import System
from subsystems.s1_operations.adapters import registry
from subsystems.s1_operations.models import Unit
from vsm_site.dashboard import zones
from vsm_site.dashboard.moments import Moment
from vsm_site.dashboard.unit_field import UnitField


class RefusableMixin:
    """A form that can take the refusal of a service as one of its own errors."""

    def take(self: Any, error: Refused) -> None:
        """Show *error* at the field it names, or above the form."""
        self.add_error(error.field if error.field in self.fields else None, error.detail)


class FleetForm(RefusableMixin, forms.Form):
    """The address of a broker. It carries a password: the input hides it, and it is never sent back."""

    name = forms.CharField(
        max_length=120,
        required=False,
        label=_("Name"),
        help_text=_("Shown before its workers and queues; made up if empty"),
    )
    url = forms.CharField(
        max_length=500,
        label=_("Broker URL"),
        strip=True,
        help_text=_(
            "As the application has it, e.g. amqp://user:password@host:5672/vhost. Stored encrypted, never shown"
        ),
        widget=forms.PasswordInput(render_value=False, attrs={"autocomplete": "off", "spellcheck": "false"}),
    )


class HttpUnitForm(RefusableMixin, forms.Form):
    """A service that answers over HTTP."""

    name = forms.CharField(max_length=200, label=_("Name"), help_text=_("Also the source of its series"))
    url = forms.URLField(
        max_length=500,
        label=_("Address"),
        assume_scheme="https",
        help_text=_("http:// or https://; asked every 5 seconds"),
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
            "name", "kind", "metric", "unit_kind", "unit", "aggregation", "window_seconds", "comparison", "threshold",
            "for_seconds", "severity", "cooldown_seconds", "enabled", "params", "match", "subtree", "across",
            "at_least", "recover_threshold", "severity_steps", "keep_firing_seconds", "stale_seconds",
            "no_data_policy", "error_policy", "interval_seconds", "labels", "annotations", "runbook_url",
        ]  # fmt: skip
        labels = {
            "name": _("Name"),
            "metric": _("Metric"),
            "comparison": _("Comparison"),
            "threshold": _("Threshold"),
            "severity": _("Severity"),
            "enabled": _("Enabled"),
            "unit_kind": _("Type of unit"),
            "aggregation": _("Of a window, the"),
            "window_seconds": _("Window (seconds)"),
            "for_seconds": _("For (seconds)"),
            "cooldown_seconds": _("Cooldown (seconds)"),
            "params": _("Settings of the condition"),
            "match": _("Labels"),
            "subtree": _("Also in the systems below"),
            "across": _("Of several series"),
            "at_least": _("So many"),
            "recover_threshold": _("Recovers at"),
            "severity_steps": _("Worse from"),
            "keep_firing_seconds": _("Keep firing (seconds)"),
            "stale_seconds": _("Silent after (seconds)"),
            "no_data_policy": _("When silent"),
            "error_policy": _("When it cannot be evaluated"),
            "interval_seconds": _("Evaluated every (seconds)"),
            "labels": _("Labels of its alerts"),
            "annotations": _("Annotations"),
            "runbook_url": _("Runbook"),
        }
        help_texts = {
            "name": _("The title of its alerts, e.g. Disk nearly full"),
            "metric": _(
                'One metric; with labels as metric{name="value"}. Health, viability, signals, events have none'
            ),
            "params": _("E.g. horizon_seconds: 3600; empty for what the kind has by default"),
            "labels": _("E.g. team: mail; texts may have places such as {{ labels.queue }}"),
            "annotations": _("E.g. summary: {{ value }} on {{ unit }}"),
            "severity_steps": _("Worse beyond further thresholds: critical from 95"),
        }
        widgets = {
            name: forms.Textarea(attrs={"rows": 2, "spellcheck": "false"})
            for name in ("params", "severity_steps", "labels", "annotations")
        }

    FIRST = Meta.fields[: Meta.fields.index("enabled") + 1]

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
        choices = [("", gettext("Every type")), *[(kind, kind.replace("_", " ")) for kind in kinds]]
        self.fields["unit_kind"] = forms.ChoiceField(required=False, label=gettext("Type of unit"), choices=choices)
        units = Unit.objects.filter(system=system).exclude(state=Unit.State.GONE)
        self.fields["unit"] = UnitField(units, label=gettext("Unit"))
        self.fields["metric"].widget.attrs.update({"list": "metrics", "autocomplete": "off", "spellcheck": "false"})
        kinds_of_conditions = [(kind.name, gettext(kind.title)) for kind in KINDS.values()]
        self.fields["kind"] = forms.ChoiceField(required=False, label=gettext("Condition"), choices=kinds_of_conditions)
        for name in ("threshold", "recover_threshold"):
            self.fields[name].widget.attrs.update({"step": "any"})
        for name, field in self.fields.items():
            field.required = field.required and name in ("name", "comparison", "severity")

    def chosen_unit(self) -> Unit | None:
        """Return the unit that is chosen, so that the page knows its id."""
        field: Any = self.fields["unit"]
        unit: Unit | None = field.found(self["unit"].value())
        return unit

    def first(self) -> list[forms.BoundField]:
        """Return what most rules need."""
        return [self[name] for name in self.FIRST]

    def more(self) -> list[forms.BoundField]:
        """Return what some rules need."""
        return [self[name] for name in self.fields if name not in self.FIRST]

    def wants_more(self) -> bool:
        """Return whether something among the rest is wrong, or is not as it is by default."""
        rest = [name for name in self.fields if name not in self.FIRST]
        plain = AlertRule()
        return any(name in self.errors or getattr(self.instance, name) != getattr(plain, name) for name in rest)

    def clean(self) -> dict[str, Any]:
        """Let what the form leaves out stay as it is."""
        given = super().clean() or self.cleaned_data
        return {name: meant(self, name, value) for name, value in given.items()}

    def clean_name(self) -> str:
        """Refuse a name that another rule of the system has."""
        name = str(self.cleaned_data["name"])
        others = AlertRule.objects.filter(system=self.instance.system, name=name).exclude(pk=self.instance.pk)
        if others.exists():
            raise forms.ValidationError(gettext("Another rule has this name."))
        return name


class ScheduleForm(RefusableMixin, forms.Form):
    """A task that may be triggered, at stated times."""

    name = forms.CharField(max_length=200, label=_("Name"))
    task = forms.ChoiceField(label=_("Task"))
    arguments = forms.CharField(
        max_length=20_000, required=False, label=_("Arguments"), help_text=_('As JSON, e.g. {"text": "hello"}'),
        widget=forms.Textarea(attrs={"rows": 2, "spellcheck": "false"}),
    )  # fmt: skip
    crontab = forms.CharField(
        max_length=320, required=False, label=_("Crontab"),
        help_text=_("Minute, hour, day of month, month, day of week: 30 2 * * 1-5"),
    )  # fmt: skip
    timezone = forms.CharField(max_length=64, required=False, initial=zones.here, label=_("Time zone of the crontab"))
    every_seconds = forms.IntegerField(
        required=False, min_value=1, label=_("Or every so many seconds"), widget=forms.NumberInput(attrs={"step": "1"})
    )
    at = Moment(required=False, label=_("Or once at"))
    overlap = forms.ChoiceField(
        label=_("While the run before it still goes"),
        choices=[("skip", _("Skip")), ("queue", _("Wait for it")), ("allow", _("Run beside it"))],
    )
    catch_up = forms.ChoiceField(
        label=_("After an outage"),
        choices=[
            ("latest", _("Run the latest that was missed")),
            ("none", _("Run none")),
            ("all", _("Run all that were missed")),
        ],
    )
    catch_up_limit = forms.IntegerField(min_value=0, max_value=1000, initial=10, label=_("All: at most"))
    grace_seconds = forms.IntegerField(
        min_value=5, max_value=7 * 86_400, initial=60, label=_("Grace in seconds"),
        help_text=_("A run that has not begun so long after it was due raises pain"),
    )  # fmt: skip
    longest_run_seconds = forms.IntegerField(
        min_value=1, max_value=30 * 86_400, initial=3600, label=_("Longest run in seconds"),
        help_text=_("One that has not ended by then is taken for lost"),
    )  # fmt: skip

    def __init__(self, data: Mapping[str, Any] | None = None, *, choices: list[tuple[str, str]]) -> None:
        super().__init__(data)
        task: Any = self.fields["task"]
        task.choices = choices

    def take(self, error: Refused) -> None:
        """Show what a task refuses of its arguments at the one field that holds them all."""
        field = "arguments" if error.field.startswith("arguments.") else error.field
        super().take(Refused(error.detail, field=field))


class PauseForm(forms.Form):
    """How long, and why."""

    minutes = forms.IntegerField(min_value=1, max_value=366 * 1440, initial=60, label=_("Minutes"))
    reason = forms.CharField(max_length=200, required=False, label=_("Reason"))
