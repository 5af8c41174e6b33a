"""What of a fleet's tasks is kept and hidden, and where its results are, as people type it in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from subsystems.fleets.models import HistoryRules
from vsm_site.dashboard.forms import RefusableMixin

LISTS = ("masked_names", "masked_tasks")


def _lines(label: str, help_text: str) -> forms.CharField:
    widget = forms.Textarea(attrs={"rows": 3, "spellcheck": "false"})
    return forms.CharField(required=False, max_length=11_000, label=label, help_text=help_text, widget=widget)


class HistoryRulesForm(RefusableMixin, forms.Form):
    """The rules of one fleet. The address of its results may carry a password: it is never sent back."""

    keep_days = forms.IntegerField(min_value=1, max_value=3_650, label=_("Days that tasks are kept"))
    max_tasks = forms.IntegerField(min_value=1_000, max_value=100_000_000, label=_("Tasks at most"))
    masked_names = _lines("Hidden arguments", "Parts of names, one a line, beside the usual ones such as password")
    masked_tasks = _lines("Tasks that keep nothing", "Patterns of names such as billing.*, one a line")
    ask_events = forms.BooleanField(
        required=False,
        label=_("Ask workers for events"),
        help_text=_("Those that tell nothing, once a minute"),
    )
    result_backend = forms.CharField(
        required=False, max_length=500, label=_("Result backend"),
        help_text=_("redis://… of the application, read where an end was not heard. Stored encrypted, never shown"),
        widget=forms.PasswordInput(render_value=False, attrs={"autocomplete": "off", "spellcheck": "false"}),
    )  # fmt: skip
    forget_result_backend = forms.BooleanField(required=False, label=_("Read no results any more"))

    def __init__(self, rules: HistoryRules, data: Mapping[str, Any] | None = None) -> None:
        names = ("keep_days", "max_tasks", "ask_events")
        lists = {name: "\n".join(getattr(rules, name)) for name in LISTS}
        super().__init__(data, initial={**{name: getattr(rules, name) for name in names}, **lists})
        if rules.result_backend:
            self.fields["result_backend"].help_text = gettext(
                "Now {result_backend}; leave it empty to keep that"
            ).format(result_backend=rules.result_backend)
        else:
            del self.fields["forget_result_backend"]

    def wanted(self) -> dict[str, Any]:
        """Return the changes; an address that was not typed stays."""
        given = dict(self.cleaned_data)
        forgotten = given.pop("forget_result_backend", False)
        if not given["result_backend"] and not forgotten:
            del given["result_backend"]
        lists = {name: [line for line in given[name].splitlines() if line.strip()] for name in LISTS}
        return {**given, **lists}
