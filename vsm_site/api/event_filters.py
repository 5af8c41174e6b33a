"""Which events are asked for."""

from __future__ import annotations

from typing import Any

import django_filters
from django.db.models import QuerySet

from subsystems.event_log import queries
from subsystems.event_log.models import Event
from subsystems.event_log.queries import SEARCHED, Wanted
from subsystems.event_log.streams import Stream
from subsystems.recursion.models import System


class EventFilter(django_filters.FilterSet):  # type: ignore[misc]
    """The filters of the search: all that are given must fit."""

    stream = django_filters.ChoiceFilter(choices=[(str(each), str(each)) for each in Stream], label="Stream")
    type = django_filters.CharFilter(label="Type of the event")
    system = django_filters.CharFilter(label="Slug of the system")
    correlation_id = django_filters.CharFilter(label="All that belongs together")
    message_id = django_filters.CharFilter(label="The journey of a message")
    actor = django_filters.CharFilter(label="Who did it")
    search = django_filters.CharFilter(
        label=f"Text in type, data or actor of the newest {SEARCHED:,} events, or of as many `before` a position;"
        " the header `X-Searched` tells which"
    )
    before = django_filters.NumberFilter(min_value=1, max_value=2**63 - 1, decimal_places=0, label="Position")

    class Meta:
        model = Event
        fields: list[str] = []

    @classmethod
    def get_filters(cls) -> dict[str, Any]:
        """Add `from` and `to`, of which the first is no name in Python."""
        times = {
            "from": django_filters.IsoDateTimeFilter(field_name="at", label="Not before"),
            "to": django_filters.IsoDateTimeFilter(field_name="at", label="Not after"),
        }
        return {**super().get_filters(), **times}

    def filter_queryset(self, queryset: QuerySet[Event]) -> QuerySet[Event]:
        given = {name: value for name, value in self.form.cleaned_data.items() if value not in ("", None)}
        if slug := given.pop("system", None):
            system = System.objects.filter(slug=slug).values_list("pk", flat=True).first()
            if system is None:
                return queryset.none()
            given["system_id"] = system
        if before := given.pop("before", None):
            given["before"] = int(before)
        words = {"search": "text", "from": "since", "to": "until"}
        wanted = Wanted(**{words.get(name, name): value for name, value in given.items()})
        if wanted.text:
            self.request.searched = queries.searched(wanted)  # for the view's answer
        return queries.search(wanted, within=queryset)
