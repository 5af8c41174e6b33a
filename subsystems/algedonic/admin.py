"""Admin of the algedonic channel. Signals are history; what people do with them are actions, in their systems only."""

from __future__ import annotations

from collections.abc import Callable

from django.contrib import admin
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpRequest

from subsystems.algedonic import lifecycle
from subsystems.algedonic.models import (
    CanaryRun,
    Lane,
    Signal,
    SignalNote,
    SignalPattern,
    SignalPolicy,
    SignalRoute,
    SignalTally,
)
from subsystems.kernel.errors import Refused
from subsystems.recursion.administering import HistoryAdmin, HistoryInline, HouseAdmin
from subsystems.recursion.queries import systems_for

Verb = Callable[[Signal, User], Signal]


class RouteInline(HistoryInline):
    model = SignalRoute
    fields = ["party", "level", "told_at", "heard_at"]


class NoteInline(HistoryInline):
    model = SignalNote
    fields = ["at", "by", "from_state", "to_state", "comment"]


@admin.register(Signal)
class SignalAdmin(HistoryAdmin):
    list_display = [
        "raised_at", "severity", "type", "source", "system", "state", "times_seen", "pattern_count",
        "escalation_level", "acknowledged_by", "description",
    ]  # fmt: skip
    list_filter = ["state", "severity", "type", "raised_at", "aggregate", "system"]
    search_fields = ["=id", "source", "description"]
    about = "Pain and pleasure of the whole, which reach S5 past all others. What people do with one is on its page."
    inlines = [RouteInline, NoteInline]
    actions = ["acknowledge", "respond", "resolve", "false_alarm"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Signal]:
        """Show the signals of the systems that whoever looks may read."""
        found: QuerySet[Signal] = super().get_queryset(request)
        return found.filter(system__in=systems_for(request.user, "read"))

    @admin.action(description="Acknowledge the selected signals", permissions=["operate"])
    def acknowledge(self, request: HttpRequest, queryset: QuerySet[Signal]) -> None:
        self._each(request, queryset, lifecycle.acknowledge, "acknowledged")

    @admin.action(description="Say that you respond to the selected signals", permissions=["operate"])
    def respond(self, request: HttpRequest, queryset: QuerySet[Signal]) -> None:
        self._each(request, queryset, lifecycle.respond, "responded to")

    @admin.action(description="Resolve the selected signals", permissions=["operate"])
    def resolve(self, request: HttpRequest, queryset: QuerySet[Signal]) -> None:
        self._each(request, queryset, lifecycle.resolve, "resolved")

    @admin.action(description="Call the selected signals false alarms", permissions=["operate"])
    def false_alarm(self, request: HttpRequest, queryset: QuerySet[Signal]) -> None:
        self._each(request, queryset, lifecycle.call_false_alarm, "false alarms")

    def _each(self, request: HttpRequest, signals: QuerySet[Signal], verb: Verb, said: str) -> None:
        mine = set(systems_for(request.user, "operate").values_list("pk", flat=True))

        def act(signal: Signal, by: User) -> object:
            if signal.system_id not in mine:
                raise Refused(f"You do not operate {signal.system}.")
            return verb(signal, by)

        self.each(request, signals.select_related("system"), act, said)


@admin.register(SignalPolicy)
class SignalPolicyAdmin(HouseAdmin):
    list_display = ["system", "pain_threshold", "pleasure_threshold", "high_goes_to", "pattern_more_than"]
    search_fields = ["system__slug", "system__name"]
    autocomplete_fields = ["system"]


@admin.register(SignalRoute)
class SignalRouteAdmin(HistoryAdmin):
    list_display = ["signal", "party", "level", "told_at", "heard_at"]
    list_filter = ["told_at", ("heard_at", admin.EmptyFieldListFilter)]
    search_fields = ["=signal__id"]
    ordering = ["-pk"]


@admin.register(SignalNote)
class SignalNoteAdmin(HistoryAdmin):
    list_display = ["at", "signal", "by", "from_state", "to_state", "comment"]
    list_filter = ["at"]
    search_fields = ["=signal__id", "comment"]
    ordering = ["-pk"]


@admin.register(SignalPattern)
class SignalPatternAdmin(HistoryAdmin):
    list_display = ["system", "source", "type", "aggregate", "noted_at"]
    list_filter = ["type", "system"]
    search_fields = ["source"]


@admin.register(SignalTally)
class SignalTallyAdmin(HistoryAdmin):
    list_display = ["system", "type", "severity", "count"]
    list_filter = ["type", "severity"]
    search_fields = ["system__slug"]


@admin.register(CanaryRun)
class CanaryRunAdmin(HistoryAdmin):
    list_display = ["sent_at", "received_at", "latency_seconds", "lost"]
    list_filter = ["lost", "sent_at"]
    search_fields = ["=id"]


@admin.register(Lane)
class LaneAdmin(HistoryAdmin):
    list_display = ["failing_since", "signal", "lost_total", "watched_at"]
    search_fields = ["signal__id"]
