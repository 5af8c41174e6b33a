"""What people type in about checks."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from alerts.checks.models import Check
from alerts.checks.services import tags_of
from alerts.models import Severity
from alerts.notices.durations import duration_text, read_duration
from subsystems.kernel.errors import Invalid
from vsm_site.dashboard import zones
from vsm_site.dashboard.forms import RefusableMixin

_plain = {"autocomplete": "off", "spellcheck": "false"}


class DurationField(forms.CharField):
    """Whole seconds, written as 30s, 5m, 1h30m or 1d."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=40, widget=forms.TextInput(attrs=_plain), **kwargs)

    def clean(self, value: Any) -> Any:
        text = super().clean(value)
        if not text:
            return None
        try:
            return round(read_duration(text if not text.isdecimal() else int(text), ""))
        except Invalid as error:
            raise forms.ValidationError(error.detail) from None


class CheckForm(RefusableMixin, forms.Form):
    """A job, and when it is to be heard of."""

    name = forms.CharField(label=_("Name"), max_length=120, widget=forms.TextInput(attrs=_plain))
    every_seconds = DurationField(
        required=False, label=_("Every"), help_text=_("From one success to the next: 5m, 1h, 1d. Or a crontab")
    )
    crontab = forms.CharField(
        label=_("Crontab"),
        max_length=320, required=False, help_text=_("Minute, hour, day of month, month, day of week: 30 2 * * 1-5"),
        widget=forms.TextInput(attrs=_plain),
    )  # fmt: skip
    time_zone = forms.CharField(
        label=_("Time zone"),
        max_length=60,
        required=False,
        initial=zones.here,
        help_text=_("Of the crontab, e.g. Europe/Berlin"),
    )
    grace_seconds = DurationField(
        required=True, initial="5m", label=_("Grace"), help_text=_("How late it may be, and how long one run may take")
    )
    severity = forms.ChoiceField(choices=Severity.choices, initial="critical", label=_("Severity of its alert"))
    tags = forms.CharField(
        label=_("Tags"),
        max_length=2000, required=False, help_text=_("Words, or name=value for labels: backup team=db"),
        widget=forms.TextInput(attrs=_plain),
    )  # fmt: skip

    def fields_given(self) -> dict[str, Any]:
        """Return what was typed as the fields of a check."""
        given = dict(self.cleaned_data)
        return {**given, "tags": tags_of(given["tags"]), "time_zone": given["time_zone"] or "UTC"}


def check_initial(check: Check) -> dict[str, Any]:
    """Return what the form of *check* shows at first."""
    shown = {name: getattr(check, name) for name in ("name", "crontab", "time_zone", "severity")}
    every = duration_text(check.every_seconds) if check.every_seconds else ""
    return {
        **shown, "every_seconds": every, "grace_seconds": duration_text(check.grace_seconds),
        "tags": " ".join(check.tags),
    }  # fmt: skip


def span(seconds: float | None) -> str:
    """Return a time in words, empty for none."""
    if seconds is None:
        return ""
    if seconds < 60:
        return f"{seconds:.1f} s"
    return str(timedelta(seconds=round(seconds)))
