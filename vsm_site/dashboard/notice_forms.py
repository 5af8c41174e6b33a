"""What people type in about silences, maintenance, targets and routing."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.utils.text import format_lazy
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from alerts.delivery.channels import CHANNELS, channel_of
from alerts.models import MaintenanceWindow, Notification, Target
from alerts.notices.silencing import Cause
from subsystems.kernel.errors import Invalid
from subsystems.recursion.models import System
from vsm_site.dashboard import zones
from vsm_site.dashboard.forms import RefusableMixin
from vsm_site.dashboard.moments import FIRST, WallTime, exactly

DURATIONS = {
    "30": _("30 minutes"), "60": _("1 hour"), "240": _("4 hours"), "1440": _("1 day"), "10080": _("1 week"),
    "43200": _("30 days"),
}  # fmt: skip
_plain = {"autocomplete": "off", "spellcheck": "false"}
MATCHERS_HELP = _('Like alertname="Full", unit=~"web-.+"; all must hold')


class SilenceForm(RefusableMixin, forms.Form):
    """Alerts that nobody is to be told of for a while."""

    matchers = forms.CharField(
        label=_("Matchers"), max_length=5000, help_text=MATCHERS_HELP, widget=forms.TextInput(attrs=_plain)
    )
    minutes = forms.ChoiceField(label=_("For"), choices=list(DURATIONS.items()), initial="60")
    comment = forms.CharField(max_length=500, label=_("Why"))

    def take(self, error: Any) -> None:
        """Show what is refused of the end at the duration, which it is made of."""
        super().take(Invalid(error.detail, field={"ends_at": "minutes"}.get(error.field, error.field)))

    def duration(self) -> timedelta:
        return timedelta(minutes=int(self.cleaned_data["minutes"]))


class WindowForm(RefusableMixin, forms.Form):
    """A time in which people are told only that something is over."""

    name = forms.CharField(label=_("Name"), max_length=120)
    matchers = forms.CharField(
        label=_("Matchers"),
        max_length=5000, required=False, help_text=format_lazy(_("{how}; empty for every alert"), how=MATCHERS_HELP),
        widget=forms.TextInput(attrs=_plain),
    )  # fmt: skip
    starts = WallTime(label=_("Begins"), help_text=_("On the clocks of the time zone below"))
    time_zone = forms.CharField(
        label=_("Time zone"), max_length=60, initial=zones.here, help_text=_("For example Europe/Berlin")
    )
    minutes = forms.IntegerField(min_value=1, max_value=14 * 1440, initial=120, label=_("Lasts (minutes)"))
    recurrence = forms.CharField(
        label=_("Recurrence"),
        max_length=300, required=False, help_text=_("As in iCalendar, e.g. FREQ=WEEKLY;BYDAY=TU; empty for once"),
        widget=forms.TextInput(attrs={**_plain, "list": "recurrences"}),
    )  # fmt: skip
    comment = forms.CharField(label=_("Comment"), max_length=500, required=False)

    def clean(self) -> dict[str, Any]:
        """Say when it begins, by the clocks of its zone; a zone that there is not is refused with the rest."""
        given = super().clean() or self.cleaned_data
        zone = zones.zone_named(given.get("time_zone", ""))
        if not zone and "time_zone" in given:
            self.add_error("time_zone", _("There is no such time zone."))
        elif zone and "starts" in given:
            try:
                given["starts"] = exactly(given["starts"], zone, twice=FIRST)
            except forms.ValidationError as error:
                self.add_error("starts", error)
        return given

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
            self.fields["name"] = forms.CharField(
                label=gettext("Name"), max_length=120, help_text=gettext("The routing knows it by this name")
            )
        for each in channel_of(kind).fields:
            self.fields[each.name] = channel_field(each, kept=target is not None and each.name in target.secret_names)
        others = Target.objects.filter(system=system).exclude(pk=target.pk if target else 0)
        names = [(name, name) for name in others.values_list("name", flat=True)]
        self.fields["fallback"] = forms.ChoiceField(
            required=False, choices=[("", gettext("Nobody")), *names], label=gettext("Stands in when it fails")
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
        max_length=200_000, label=_("Routing"),
        widget=forms.Textarea(attrs={"rows": 18, "spellcheck": "false", "class": "code"}),
    )  # fmt: skip

    def take(self, error: Any) -> None:
        super().take(Invalid(f"{error.field}: {error.detail}" if error.field else error.detail, field="document"))


class TryForm(forms.Form):
    """Labels of an alert that there might be."""

    labels = forms.CharField(
        max_length=5000, required=False, label=_("Try labels"), help_text=_('Like severity="critical", team="db"'),
        widget=forms.TextInput(attrs=_plain),
    )  # fmt: skip


class NotificationFilter(forms.Form):
    """Which notifications to list, or which withheld alerts."""

    q = forms.CharField(
        required=False,
        label=_("Search"),
        widget=forms.TextInput(attrs={"type": "search", "placeholder": _("Title or target")}),
    )
    state = forms.ChoiceField(
        label=_("State"), required=False, choices=[("", _("Any state")), *Notification.State.choices]
    )
    cause = forms.ChoiceField(
        label=_("Cause"),
        required=False,
        choices=[
            ("", _("Notifications")),
            *((each.value, format_lazy(_("withheld: {cause}"), cause=each.value)) for each in Cause),
        ],
    )


def kinds() -> list[tuple[str, str]]:
    """Return the kinds of targets and what they are called."""
    return [(kind, channel.title) for kind, channel in CHANNELS.items()]


def window_initial(window: MaintenanceWindow) -> dict[str, Any]:
    """Return what the form of *window* shows at first."""
    starts = window.starts_at.astimezone(ZoneInfo(window.time_zone)).replace(tzinfo=None)
    shown = {name: getattr(window, name) for name in ("name", "matchers", "time_zone", "recurrence", "comment")}
    return {**shown, "starts": starts, "minutes": window.duration_seconds // 60}


def channel_field(each: Any, *, kept: bool) -> forms.Field:
    """Return the input for one setting of a channel; *kept*: a secret that is set already."""
    hint = gettext("Set; leave empty to keep it") if kept else gettext(each.help)
    widget: forms.Widget = forms.TextInput(attrs=_plain)
    if each.secret:
        widget = forms.PasswordInput(render_value=False, attrs=_plain)
    elif each.long:
        widget = forms.Textarea(attrs={"rows": 5, "spellcheck": "false"})
    return forms.CharField(
        max_length=20_000, required=each.required and not kept, label=gettext(each.label), help_text=hint,
        widget=widget, initial=each.default,
    )  # fmt: skip
