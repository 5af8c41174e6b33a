"""What people type in about silences, maintenance, targets and routing."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django import forms

from alerts.delivery.channels import CHANNELS, channel_of
from alerts.models import MaintenanceWindow, Notification, Target
from alerts.notices.silencing import Cause
from subsystems.kernel.errors import Invalid
from subsystems.recursion.models import System
from vsm_site.dashboard.forms import RefusableMixin

DURATIONS = {
    "30": "30 minutes", "60": "1 hour", "240": "4 hours", "1440": "1 day", "10080": "1 week", "43200": "30 days",
}  # fmt: skip
_plain = {"autocomplete": "off", "spellcheck": "false"}
MATCHERS_HELP = 'Like alertname="Full", unit=~"web-.+"; all must hold'


class SilenceForm(RefusableMixin, forms.Form):
    """Alerts that nobody is to be told of for a while."""

    matchers = forms.CharField(max_length=5000, help_text=MATCHERS_HELP, widget=forms.TextInput(attrs=_plain))
    minutes = forms.ChoiceField(label="For", choices=list(DURATIONS.items()), initial="60")
    comment = forms.CharField(max_length=500, label="Why")

    def take(self, error: Any) -> None:
        """Show what is refused of the end at the duration, which it is made of."""
        super().take(Invalid(error.detail, field={"ends_at": "minutes"}.get(error.field, error.field)))

    def duration(self) -> timedelta:
        return timedelta(minutes=int(self.cleaned_data["minutes"]))


class WindowForm(RefusableMixin, forms.Form):
    """A time in which people are told only that something is over."""

    name = forms.CharField(max_length=120)
    matchers = forms.CharField(
        max_length=5000, required=False, help_text=f"{MATCHERS_HELP}; empty for every alert",
        widget=forms.TextInput(attrs=_plain),
    )  # fmt: skip
    starts = forms.DateTimeField(
        label="Begins", help_text="On the clocks of the time zone below",
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
    )  # fmt: skip
    time_zone = forms.CharField(max_length=60, initial="UTC", help_text="For example Europe/Berlin")
    minutes = forms.IntegerField(min_value=1, max_value=14 * 1440, initial=120, label="Lasts (minutes)")
    recurrence = forms.CharField(
        max_length=300, required=False, help_text="As in iCalendar, e.g. FREQ=WEEKLY;BYDAY=TU; empty for once",
        widget=forms.TextInput(attrs={**_plain, "list": "recurrences"}),
    )  # fmt: skip
    comment = forms.CharField(max_length=500, required=False)

    def take(self, error: Any) -> None:
        names = {"duration_seconds": "minutes", "starts_at": "starts"}
        super().take(Invalid(error.detail, field=names.get(error.field, error.field)))


class TargetForm(RefusableMixin, forms.Form):
    """One target of a kind, with the fields that its channel has."""

    def __init__(self, data: Mapping[str, Any] | None, system: System, kind: str, target: Target | None) -> None:
        initial = {**(target.config if target else {}), "name": target.name if target else ""}
        if target and target.fallback:
            initial["fallback"] = target.fallback.name
        super().__init__(data, initial=initial)
        self.kind = kind
        if target is None:
            self.fields["name"] = forms.CharField(max_length=120, help_text="The routing knows it by this name")
        for each in channel_of(kind).fields:
            self.fields[each.name] = channel_field(each, kept=target is not None and each.name in target.secret_names)
        others = Target.objects.filter(system=system).exclude(pk=target.pk if target else 0)
        names = [(name, name) for name in others.values_list("name", flat=True)]
        self.fields["fallback"] = forms.ChoiceField(
            required=False, choices=[("", "Nobody"), *names], label="Stands in when it fails"
        )

    def settings(self) -> dict[str, str]:
        """Return the channel's settings; a secret that was left empty stays what it is."""
        fields = channel_of(self.kind).fields
        given = {each.name: self.cleaned_data.get(each.name, "") for each in fields}
        secret = {each.name for each in fields if each.secret}
        return {name: value for name, value in given.items() if value or name not in secret}


class RoutingForm(RefusableMixin, forms.Form):
    """The document, as YAML."""

    document = forms.CharField(
        max_length=200_000, label="Routing",
        widget=forms.Textarea(attrs={"rows": 18, "spellcheck": "false", "class": "code"}),
    )  # fmt: skip

    def take(self, error: Any) -> None:
        super().take(Invalid(f"{error.field}: {error.detail}" if error.field else error.detail, field="document"))


class TryForm(forms.Form):
    """Labels of an alert that there might be."""

    labels = forms.CharField(
        max_length=5000, required=False, label="Try labels", help_text='Like severity="critical", team="db"',
        widget=forms.TextInput(attrs=_plain),
    )  # fmt: skip


class NotificationFilter(forms.Form):
    """Which notifications to list, or which withheld alerts."""

    q = forms.CharField(
        required=False,
        label="Search",
        widget=forms.TextInput(attrs={"type": "search", "placeholder": "Title or target"}),
    )
    state = forms.ChoiceField(required=False, choices=[("", "Any state"), *Notification.State.choices])
    cause = forms.ChoiceField(
        required=False, choices=[("", "Notifications"), *((each.value, f"withheld: {each.value}") for each in Cause)]
    )


def kinds() -> list[tuple[str, str]]:
    """Return the kinds of targets and what they are called."""
    return [(kind, channel.title) for kind, channel in CHANNELS.items()]


def window_initial(window: MaintenanceWindow) -> dict[str, Any]:
    """Return what the form of *window* shows at first."""
    from zoneinfo import ZoneInfo

    starts = window.starts_at.astimezone(ZoneInfo(window.time_zone)).replace(tzinfo=None)
    shown = {name: getattr(window, name) for name in ("name", "matchers", "time_zone", "recurrence", "comment")}
    return {**shown, "starts": starts, "minutes": window.duration_seconds // 60}


def channel_field(each: Any, *, kept: bool) -> forms.Field:
    """Return the input for one setting of a channel; *kept*: a secret that is set already."""
    hint = "Set; leave empty to keep it" if kept else each.help
    widget: forms.Widget = forms.TextInput(attrs=_plain)
    if each.secret:
        widget = forms.PasswordInput(render_value=False, attrs=_plain)
    elif each.long:
        widget = forms.Textarea(attrs={"rows": 5, "spellcheck": "false"})
    return forms.CharField(
        max_length=20_000, required=each.required and not kept, label=each.label, help_text=hint, widget=widget,
        initial=each.default,
    )  # fmt: skip
