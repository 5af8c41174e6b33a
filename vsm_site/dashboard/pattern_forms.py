"""What people type in to write a pattern: its text, or a few fields that become one."""

from __future__ import annotations

from typing import Any

from django import forms

_plain = {"autocomplete": "off", "spellcheck": "false"}
OFTEN, ORDER, MISSING = "frequency", "sequence", "absence"
HOURS = [("1", "1 hour"), ("24", "1 day"), ("168", "7 days"), ("720", "30 days")]


class PatternForm(forms.Form):
    """The text of a pattern, and how far back to rehearse it."""

    text = forms.CharField(
        label="Pattern", max_length=20_000, strip=False, help_text="YAML or JSON",
        widget=forms.Textarea(attrs={"rows": 22, "class": "code", "wrap": "off", **_plain}),
    )  # fmt: skip
    hours = forms.ChoiceField(label="Rehearse on the last", choices=HOURS, initial="24", required=False)


class CommonPatternForm(forms.Form):
    """The patterns that are wanted most, in a few fields."""

    kind = forms.ChoiceField(
        label="What",
        choices=[(OFTEN, "It happens often"), (ORDER, "One follows the other"), (MISSING, "One, and not the other")],
    )  # fmt: skip
    name = forms.RegexField(
        r"^[a-z][a-z0-9_]{1,59}$", max_length=60, label="Name", help_text="Small letters, digits and _",
        widget=forms.TextInput(attrs=_plain),
    )  # fmt: skip
    event = forms.CharField(
        max_length=80, label="Event", help_text="e.g. alert.firing, vsm.algedonic.pain",
        widget=forms.TextInput(attrs=_plain),
    )  # fmt: skip
    other = forms.CharField(
        max_length=80, required=False, label="The other event", widget=forms.TextInput(attrs=_plain)
    )
    count = forms.IntegerField(min_value=1, max_value=10_000, required=False, initial=5, label="At least so often")
    within = forms.CharField(max_length=20, initial="5m", label="Within", widget=forms.TextInput(attrs=_plain))
    key = forms.CharField(
        max_length=200, required=False, label="For each", help_text="A field of the event: source, fingerprint",
        widget=forms.TextInput(attrs=_plain),
    )  # fmt: skip

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = dict(super().clean() or {})
        if given.get("kind") in (ORDER, MISSING) and not given.get("other"):
            self.add_error("other", "Name the other event.")
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
