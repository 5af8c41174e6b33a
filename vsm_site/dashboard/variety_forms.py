"""What a system's variety is judged by, as people type it in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms

from subsystems.kernel.words import TITLES, Subsystem
from subsystems.telemetry.requisite import RANGES
from subsystems.variety.models import VarietyPolicy
from subsystems.variety.rules import MOST_BITS
from vsm_site.dashboard.forms import RefusableMixin

LARGEST_RATIO = 1000.0


def _number(label: str, most: float, help_text: str = "") -> forms.FloatField:
    widget = forms.NumberInput(attrs={"step": "any", "min": "0", "inputmode": "decimal"})
    return forms.FloatField(min_value=0, max_value=most, label=label, help_text=help_text, widget=widget)


class PolicyForm(RefusableMixin, forms.Form):
    """The bands of the ratio, what absorbs, what may come out, and from where to where each of the five should be."""

    critical_below = _number("Critical below", LARGEST_RATIO, "Ratio of what is answered to what is asked")
    sufficient_from = _number("Sufficient from", LARGEST_RATIO)
    excess_above = _number("Excess above", LARGEST_RATIO)
    buffer_bits = _number("Buffer (bits)", MOST_BITS, "What queues and reserves absorb")
    goal_bits = _number("Goal (bits)", MOST_BITS, "Variety of outcomes that is allowed")

    def __init__(self, policy: VarietyPolicy, data: Mapping[str, Any] | None = None) -> None:
        ranges = policy.rules().ranges
        ends = {f"{each}_{end}": getattr(ranges[each], end) for each in Subsystem for end in ("low", "high")}
        bands = {name: getattr(policy, name) for name in self.base_fields}
        super().__init__(data, auto_id="policy-%s", initial={**bands, **ends})
        for each in Subsystem:
            usual = f"Documented: {RANGES[each].low:g} to {RANGES[each].high:g}"
            self.fields[f"{each}_low"] = _number(f"{each.upper()} {TITLES[each]} from (bits)", MOST_BITS, usual)
            self.fields[f"{each}_high"] = _number(f"{each.upper()} to (bits)", MOST_BITS)

    def clean(self) -> dict[str, Any]:
        """Refuse a range that ends before it begins."""
        found: dict[str, Any] = super().clean() or self.cleaned_data
        for each in Subsystem:
            low, high = found.get(f"{each}_low"), found.get(f"{each}_high")
            if low is not None and high is not None and high < low:
                self.add_error(f"{each}_high", "A range does not end before it begins.")
        return found

    def wanted(self) -> dict[str, Any]:
        """Return the fields of the policy; ranges that are as documented are not written down."""
        given = self.cleaned_data
        ranges = {str(each): [given[f"{each}_low"], given[f"{each}_high"]] for each in Subsystem}
        usual = {str(each): [range_.low, range_.high] for each, range_ in RANGES.items()}
        differing = {name: ends for name, ends in ranges.items() if ends != usual[name]}
        return {**{name: given[name] for name in self.base_fields}, "ranges": differing}
