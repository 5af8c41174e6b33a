"""What people type in to write a pattern: its text, or a few fields that become one."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

_plain = {"autocomplete": "off", "spellcheck": "false"}
OFTEN, ORDER, MISSING = "frequency", "sequence", "absence"
HOURS = [("1", _("1 hour")), ("24", _("1 day")), ("168", _("7 days")), ("720", _("30 days"))]


class PatternForm(forms.Form):
    """The text of a pattern, and how far back to rehearse it."""

    text = forms.CharField(
        label=_("Pattern"), max_length=20_000, strip=False, help_text=_("YAML or JSON"),
        widget=forms.Textarea(attrs={"rows": 22, "class": "code", "wrap": "off", **_plain}),
    )  # fmt: skip
    hours = forms.ChoiceField(label=_("Rehearse on the last"), choices=HOURS, initial="24", required=False)


class CommonPatternForm(forms.Form):
    """The patterns that are wanted most, in a few fields."""

    kind = forms.ChoiceField(
        label=_("What"),
        choices=[
            (OFTEN, _("It happens often")),
            (ORDER, _("One follows the other")),
            (MISSING, _("One, and not the other")),
        ],
    )  # fmt: skip
    name = forms.RegexField(
        r"^[a-z][a-z0-9_]{1,59}$", max_length=60, label=_("Name"), help_text=_("Small letters, digits and _"),
        widget=forms.TextInput(attrs=_plain),
    )  # fmt: skip
    event = forms.CharField(
        max_length=80, label=_("Event"), help_text=_("e.g. alert.firing, vsm.algedonic.pain"),
        widget=forms.TextInput(attrs=_plain),
    )  # fmt: skip
    other = forms.CharField(
        max_length=80, required=False, label=_("The other event"), widget=forms.TextInput(attrs=_plain)
    )
    count = forms.IntegerField(min_value=1, max_value=10_000, required=False, initial=5, label=_("At least so often"))
    within = forms.CharField(max_length=20, initial="5m", label=_("Within"), widget=forms.TextInput(attrs=_plain))
    key = forms.CharField(
        max_length=200, required=False, label=_("For each"), help_text=_("A field of the event: source, fingerprint"),
        widget=forms.TextInput(attrs=_plain),
    )  # fmt: skip

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = dict(super().clean() or {})
        if given.get("kind") in (ORDER, MISSING) and not given.get("other"):
            self.add_error("other", gettext("Name the other event."))
        return given

    def definition(self) -> dict[str, Any]:
        """Return the fields as the pattern that they mean."""
        given = self.cleaned_data
        event, other, within = given["event"], given["other"], given["within"]
        whens: dict[str, dict[str, Any]] = {
            OFTEN: {"frequency": {"event": event, "count": given["count"] or 5, "within": within}},
            ORDER: {"sequence": [{"event": event}, {"event": other, "within": within}]},
            MISSING: {"absence": {"after": {"event": event}, "event": other, "within": within}},
        }
        when = whens[given["kind"]]
        key = {"key": given["key"]} if given["key"] else {}
        levels = {"levels": {"watch": 0.5, "warn": 0.8}} if given["kind"] == OFTEN else {}
        return {"pattern": given["name"], "description": "", **key, "when": when, **levels}
