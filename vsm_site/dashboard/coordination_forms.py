"""How a system's acts are damped, and how much of what is shared it may claim, as people type it in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms

from vsm_site.dashboard.forms import RefusableMixin

WEEK = 7 * 86_400.0


def _seconds(label: str, help_text: str = "", least: float = 0.0) -> forms.FloatField:
    widget = forms.NumberInput(attrs={"step": "any", "min": f"{least:g}", "inputmode": "decimal"})
    return forms.FloatField(min_value=least, max_value=WEEK, label=label, help_text=help_text, widget=widget)


class DampingForm(RefusableMixin, forms.Form):
    """The waits of reversals, and the switch."""

    enabled = forms.BooleanField(
        required=False, label="Damp", help_text="Off: only two writers at once are still kept apart"
    )
    relief_seconds = _seconds("Adding waits (s)", "After something was taken away; doubled by each reversal")
    longest_relief_seconds = _seconds("and at most (s)")
    retreat_seconds = _seconds("Taking away waits (s)", "After something was added; doubled by each reversal")
    longest_retreat_seconds = _seconds("and at most (s)")
    factor = _seconds("Factor", "By how much each reversal lengthens the wait", 1.0)
    calm_seconds = _seconds("Calm (s)", "After so long without unrest one reversal is forgotten", 1.0)
    lease_seconds = _seconds("Lease (s)", "So long a subject belongs to who was cleared", 1.0)

    def __init__(self, rules: Mapping[str, Any], data: Mapping[str, Any] | None = None) -> None:
        super().__init__(data, auto_id="damping-%s", initial=dict(rules))
