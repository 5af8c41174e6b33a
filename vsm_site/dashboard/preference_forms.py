"""What a person may prefer."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.auth.models import User
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from subsystems.recursion.models import System
from vsm_site.dashboard import saved_views, zones
from vsm_site.dashboard.models import Preferences

_zone = {"list": "time-zones", "autocomplete": "off", "spellcheck": "false", "placeholder": _("As each browser has it")}


class PreferencesForm(forms.Form):
    """How one person wants the pages."""

    time_zone = forms.CharField(
        required=False, max_length=64, label=_("Time zone"), widget=forms.TextInput(attrs=_zone),
        help_text=_("A place, such as Europe/Berlin, or UTC; empty: that of the browser I am at"),
    )  # fmt: skip
    opens = forms.ChoiceField(required=False, label=_("First page"), help_text=_("What opens after the log-in"))
    theme = forms.ChoiceField(required=False, label=_("Theme"), choices=Preferences.Theme.choices)
    single_keys = forms.BooleanField(
        required=False, label=_("Single keys work"),
        help_text=_("Off for speech input and screen readers that need them; Ctrl+K works in any case"),
    )  # fmt: skip

    def __init__(self, user: User, systems: list[System], preferences: Preferences, data: Any = None) -> None:
        shown = {name: getattr(preferences, name) for name in ("time_zone", "theme", "single_keys")}
        opens = str(preferences.first_view_id or preferences.overview)
        super().__init__(data, initial={**shown, "opens": opens})
        views = [(str(view.pk), view.name) for view in saved_views.visible(user, systems)]
        kept = [(gettext("Saved views"), views)] if views else []
        self.fields["opens"].choices = [*Preferences.FirstView.choices, *kept]  # type: ignore[attr-defined]

    def clean_time_zone(self) -> str:
        given = str(self.cleaned_data["time_zone"]).strip()
        zone = zones.zone_named(given)
        if given and zone is None:
            raise forms.ValidationError(_("There is no time zone of this name: it is like Europe/Berlin."))
        return zone.key if zone else ""

    def given(self) -> dict[str, Any]:
        """Return the fields of the preferences."""
        found = dict(self.cleaned_data)
        opens = found.pop("opens")
        is_view = opens.isdecimal()
        return {**found, "first_view_id": int(opens) if is_view else None, "overview": "" if is_view else opens}
