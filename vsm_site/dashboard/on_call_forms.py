"""What people type in about teams, rotas, escalation policies and how they are reached."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.utils.dates import WEEKDAYS_ABBR
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from alerts.delivery.channels import channel_of
from alerts.models import Target
from alerts.people.hours import DAYS, read_zone
from subsystems.kernel.errors import Invalid
from vsm_site.dashboard import zones
from vsm_site.dashboard.forms import RefusableMixin
from vsm_site.dashboard.moments import FIRST, LAST, WallTime, exactly
from vsm_site.dashboard.notice_forms import channel_field

_plain = {"autocomplete": "off", "spellcheck": "false"}
_code = {"rows": 14, "spellcheck": "false", "class": "code"}
_clock = {"type": "time"}
LAYERS = """\
- name: week
  participants: [{user}]
  turn: 1
  unit: weeks          # hours, days, weeks
  handover: "09:00"
  weekday: mon
  starts_on: "{today}"
"""
STEPS = """\
- notify: {{user: {user}}}      # user, team, rota or target
- wait: 5m
- notify: {{user: {user}}}
  only_if: {{severity: critical}}
- wait: 5m
- repeat: 3
"""


class _Documented(RefusableMixin, forms.Form):
    """A form one of whose fields is YAML: what is refused within it is shown there, with the place."""

    document: str

    def take(self, error: Any) -> None:
        inside = error.field.startswith(self.document)
        detail = f"{error.field}: {error.detail}" if inside and error.field != self.document else error.detail
        super().take(Invalid(detail, field=self.document if inside else error.field))


class TeamForm(RefusableMixin, forms.Form):
    """People who are told together."""

    name = forms.CharField(label=_("Name"), max_length=120)
    members = forms.CharField(
        label=_("Members"),
        max_length=20_000, help_text=_("Names of users, separated by commas"),
        widget=forms.TextInput(attrs={**_plain, "list": "hands"}),
    )  # fmt: skip

    def people(self) -> list[str]:
        return [each.strip() for each in self.cleaned_data["members"].split(",") if each.strip()]


class RotaForm(_Documented):
    """Layers of people who take turns."""

    document = "layers"
    name = forms.CharField(label=_("Name"), max_length=120)
    time_zone = forms.CharField(
        label=_("Time zone"), max_length=60, initial=zones.here, help_text=_("For example Europe/Berlin")
    )
    layers = forms.CharField(
        label=_("Layers"),
        max_length=200_000, widget=forms.Textarea(attrs=_code),
        help_text=_('The lowest first; one with hours: [{days: [mon], from: "09:00", until: "17:00"}] holds only then'),
    )  # fmt: skip
    tell_handover = forms.BooleanField(required=False, label=_("Tell those whose shift begins or ends"))


class PolicyForm(_Documented):
    """Whom to tell in which order."""

    document = "steps"
    steps = forms.CharField(
        label=_("Steps"),
        max_length=200_000, widget=forms.Textarea(attrs=_code),
        help_text=_(
            "notify, wait, repeat (five times at most), stop; each perhaps only_if: {severity, hours, time_zone}"
        ),
    )  # fmt: skip
    enabled = forms.BooleanField(label=_("Enabled"), required=False, initial=True)

    def __init__(self, *args: Any, named: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not named:
            name = forms.CharField(
                label=gettext("Name"), max_length=120, help_text=gettext("The routing and rules know it by this name")
            )
            self.fields = {"name": name, **self.fields}


class ShiftForm(RefusableMixin, forms.Form):
    """Somebody takes a shift; the times are those of the rota's zone."""

    user = forms.ChoiceField(label=_("Who"))
    starts_at = WallTime(label=_("From"))
    ends_at = WallTime(label=_("Until"))

    def __init__(self, *args: Any, people: Sequence[str], zone: ZoneInfo, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.zone = zone
        self.fields["user"].choices = [(name, name) for name in people]  # type: ignore[attr-defined]
        self.fields["starts_at"].help_text = gettext("By the clocks of {key}").format(key=zone.key)

    def clean_starts_at(self) -> datetime:
        return exactly(self.cleaned_data["starts_at"], self.zone, twice=FIRST)

    def clean_ends_at(self) -> datetime:
        return exactly(self.cleaned_data["ends_at"], self.zone, twice=LAST)

    def moments(self) -> tuple[datetime, datetime]:
        return self.cleaned_data["starts_at"], self.cleaned_data["ends_at"]


class MethodForm(RefusableMixin, forms.Form):
    """One contact method of a kind, with the fields that its channel has."""

    def __init__(self, data: Mapping[str, Any] | None, kind: str, method: Target | None) -> None:
        super().__init__(data, initial=method.config if method else {})
        self.kind = kind
        if method is None:
            self.fields["name"] = forms.CharField(
                label=gettext("Name"), max_length=120, help_text=gettext("Your contact rules know it by this name")
            )
        for each in channel_of(kind).fields:
            kept = method is not None and each.name in method.secret_names
            self.fields[each.name] = channel_field(each, kept=kept)

    def settings(self) -> dict[str, str]:
        """Return the channel's settings; a secret that was left empty stays what it is."""
        given = {
            each.name: (self.cleaned_data.get(each.name, ""), each.secret) for each in channel_of(self.kind).fields
        }
        return {name: value for name, (value, secret) in given.items() if value or not secret}


class ContactForm(RefusableMixin, forms.Form):
    """After how many minutes by which method, and when not."""

    critical = forms.CharField(
        required=False, max_length=4000, label=_("If critical"), widget=forms.Textarea(attrs={"rows": 3, **_plain}),
        help_text=_("One step per line: minutes, then the method. “0 phone” is at once. Empty: all methods at once"),
    )  # fmt: skip
    other = forms.CharField(
        required=False, max_length=4000, widget=forms.Textarea(attrs={"rows": 3, **_plain}), label=_("Everything else")
    )
    time_zone = forms.CharField(
        label=_("Time zone"), max_length=60, initial="UTC", help_text=_("Of your quiet hours, e.g. Europe/Berlin")
    )
    time_zone = forms.CharField(
        label=_("Time zone"), max_length=60, initial=zones.here,
        help_text=_("Of your quiet hours, e.g. Europe/Berlin"),
    )  # fmt: skip
    quiet_from = forms.TimeField(
        required=False, label=_("Quiet from"), widget=forms.TimeInput(attrs=_clock, format="%H:%M")
    )
    quiet_until = forms.TimeField(
        required=False, label=_("Quiet until"), widget=forms.TimeInput(attrs=_clock, format="%H:%M"),
        help_text=_("What is not critical waits until then"),
    )  # fmt: skip
    quiet_days = forms.MultipleChoiceField(
        required=False, choices=list(zip(DAYS, WEEKDAYS_ABBR.values(), strict=True)), label=_("On these days"),
        widget=forms.CheckboxSelectMultiple, help_text=_("On which the quiet begins; none means every day"),
    )  # fmt: skip

    @classmethod
    def shown(cls, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the form shows at first."""
        quiet: dict[str, Any] = next(iter(body["quiet_hours"]), {})
        return {
            "critical": _lines(body["critical"]), "other": _lines(body["other"]), "time_zone": body["time_zone"],
            "quiet_from": quiet.get("from"), "quiet_until": quiet.get("until"),
            "quiet_days": quiet.get("days", []) if len(quiet.get("days", [])) < 7 else [],
        }  # fmt: skip

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = super().clean() or self.cleaned_data
        if (given.get("quiet_from") is None) != (given.get("quiet_until") is None) and not self.errors:
            self.add_error("quiet_until", gettext("Say from when until when, or neither."))
        return given

    def rules(self) -> dict[str, Any]:
        """Return what was given as the service takes it. Raises Invalid naming the field."""
        given = self.cleaned_data
        read_zone(given["time_zone"])
        quiet: list[dict[str, Any]] = []
        if given["quiet_from"] is not None:
            begins, ends = f"{given['quiet_from']:%H:%M}", f"{given['quiet_until']:%H:%M}"
            quiet = [{"days": given["quiet_days"], "from": begins, "until": ends}]
        steps = {name: _steps(given[name], name) for name in ("critical", "other")}
        return {"time_zone": given["time_zone"], "quiet_hours": quiet, **steps}

    def take(self, error: Any) -> None:
        name = error.field.partition("[")[0]
        super().take(Invalid(error.detail, field={"quiet_hours": "quiet_until"}.get(name, name)))


def read_yaml(text: str, field: str) -> Any:
    """Return what YAML *text* says. Raises Invalid at *field*."""
    import yaml

    if "&" in text and "*" in text:
        raise Invalid(gettext("Anchors are not read."), field=field)
    try:
        return plain(yaml.safe_load(text))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise Invalid(gettext("This is no YAML: {error}").format(error=str(error)[:200]), field=field) from None


def plain(value: Any) -> Any:
    """Return *value* with dates as texts: YAML reads 2026-11-23 as one."""
    if isinstance(value, Mapping):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [plain(each) for each in value]
    return value.isoformat() if hasattr(value, "isoformat") else value


def write_yaml(value: Any) -> str:
    import yaml

    return str(yaml.safe_dump(value, sort_keys=False, allow_unicode=True, default_flow_style=None, width=100))


def _lines(steps: Iterable[Mapping[str, Any]]) -> str:
    return "\n".join(f"{step.get('after_minutes', 0)} {step['method']}" for step in steps)


def _steps(text: str, field: str) -> list[dict[str, Any]]:
    steps = []
    for line in text.splitlines():
        minutes, _, method = line.strip().partition(" ")
        if not line.strip():
            continue
        if not minutes.isdecimal() or not method.strip():
            raise Invalid(
                gettext("A step is like “5 phone”, not {line!r}.").format(line=line.strip()[:40]), field=field
            )
        steps.append({"after_minutes": int(minutes[:6]), "method": method.strip()})
    return steps
