"""The time range among the filters of a list: in the address the same words as on a page of charts."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from django import forms
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from vsm_site.dashboard.moments import FIRST, LAST, Moment
from vsm_site.dashboard.time_ranges import YEAR, offered

WORDS = {
    "15m": _("Last 15 minutes"), "1h": _("Last hour"), "6h": _("Last 6 hours"), "24h": _("Last 24 hours"),
    "7d": _("Last 7 days"), "30d": _("Last 30 days"),
}  # fmt: skip
LATEST_EPOCH = 4e9


class MomentField(Moment):
    """A moment as people pick it, or as pages of charts write it: in epoch seconds."""

    def to_python(self, value: Any) -> datetime | None:
        try:
            epoch = float(value)
        except (TypeError, ValueError):
            return super().to_python(value)
        if not 0 < epoch < LATEST_EPOCH:
            raise forms.ValidationError(self.error_messages["invalid"], code="invalid")
        return datetime.fromtimestamp(epoch, UTC)

    def prepare_value(self, value: Any) -> Any:
        """Return what a picker shows, of epoch seconds too."""
        try:
            moment = self.to_python(value)
        except forms.ValidationError:
            return value
        return super().prepare_value(moment or value)


class RangeMixin(forms.Form):
    """`range`, or `from` and `to` which win; cleaned, they are `since` and `until`, None where the range is open."""

    longest: float = YEAR
    any_time: str | Any = _("Any time")  # what no range means

    def __init__(self, data: Mapping[str, Any], *args: Any, **kwargs: Any) -> None:
        super().__init__(data, *args, **kwargs)
        words = [(name, WORDS[name]) for name in offered(self.longest)]
        self.fields["range"] = forms.ChoiceField(required=False, label=_("Time"), choices=[("", self.any_time), *words])
        self.fields["from"] = MomentField(required=False, label=_("From"), twice=FIRST)
        self.fields["to"] = MomentField(required=False, label=_("To"), twice=LAST)

    def clean(self) -> dict[str, Any]:
        """Say which moments are meant."""
        given = super().clean() or self.cleaned_data
        since, until, name = given.get("from"), given.get("to"), given.get("range")
        if since and until and since >= until:
            self.add_error("from", _("The range must start before it ends."))
        if name and not (since or until):
            since = timezone.now() - timedelta(seconds=offered(self.longest)[name])
        return {**given, "since": since, "until": until}

    @property
    def ends_now(self) -> bool:
        """Return whether what is new belongs to the list."""
        return not self.cleaned_data.get("until")
