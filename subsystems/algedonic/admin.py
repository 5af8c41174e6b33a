"""Admin of the algedonic channel. Signals are history; what people do with them are actions, in their systems only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
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
from subsystems.messaging.admin import HistoryAdmin
from subsystems.recursion.queries import systems_for

Verb = Callable[[Signal, User], Signal]


class HistoryInline(admin.TabularInline):  # type: ignore[type-arg]
    """Rows of a signal's history, which nobody changes."""

    extra = 0
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


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
    list_filter = ["state", "severity", "type", "aggregate", "origin", "system"]
    search_fields = ["id", "source", "description"]
    list_select_related = ["system", "acknowledged_by"]
    date_hierarchy = "raised_at"
    inlines = [RouteInline, NoteInline]
    actions = ["acknowledge", "respond", "resolve", "false_alarm"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Signal]:
        """Show the signals of the systems that whoever looks may read."""
        found: QuerySet[Signal] = super().get_queryset(request)
        return found.filter(system__in=systems_for(request.user, "read"))

    def has_operate_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("algedonic.change_signal")

    @admin.action(description="Acknowledge the selected signals", permissions=["operate"])
    def acknowledge(self, request: HttpRequest, queryset: QuerySet[Signal]) -> None:
        self._each(request, queryset, lifecycle.acknowledge)

    @admin.action(description="Say that you respond to the selected signals", permissions=["operate"])
    def respond(self, request: HttpRequest, queryset: QuerySet[Signal]) -> None:
        self._each(request, queryset, lifecycle.respond)

    @admin.action(description="Resolve the selected signals", permissions=["operate"])
    def resolve(self, request: HttpRequest, queryset: QuerySet[Signal]) -> None:
        self._each(request, queryset, lifecycle.resolve)

    @admin.action(description="Call the selected signals false alarms", permissions=["operate"])
    def false_alarm(self, request: HttpRequest, queryset: QuerySet[Signal]) -> None:
        self._each(request, queryset, lifecycle.call_false_alarm)

    def _each(self, request: HttpRequest, signals: QuerySet[Signal], verb: Verb) -> None:
        assert isinstance(request.user, User)  # nobody else has the permission
        mine = set(systems_for(request.user, "operate").values_list("pk", flat=True))
        for signal in signals:
            if signal.system_id not in mine:
                self.message_user(request, f"{signal}: you do not operate {signal.system}.", messages.ERROR)
                continue
            try:
                verb(signal, request.user)
            except Refused as error:
                self.message_user(request, f"{signal}: {error.detail}", messages.WARNING)


@admin.register(SignalPolicy)
class SignalPolicyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ["system", "pain_threshold", "pleasure_threshold", "high_goes_to", "pattern_more_than"]
    search_fields = ["system__slug", "system__name"]
    autocomplete_fields = ["system"]


@admin.register(SignalRoute)
class SignalRouteAdmin(HistoryAdmin):
    list_display = ["signal", "party", "level", "told_at", "heard_at"]
    list_filter = ["party", "level", ("heard_at", admin.EmptyFieldListFilter)]
    search_fields = ["signal__id"]
    list_select_related = ["signal"]


@admin.register(SignalNote)
class SignalNoteAdmin(HistoryAdmin):
    list_display = ["at", "signal", "by", "from_state", "to_state", "comment"]
    list_filter = ["to_state"]
    search_fields = ["signal__id", "comment"]
    list_select_related = ["signal", "by"]


@admin.register(SignalPattern)
class SignalPatternAdmin(HistoryAdmin):
    list_display = ["system", "source", "type", "aggregate", "noted_at"]
    list_filter = ["type", "system"]
    search_fields = ["source"]
    list_select_related = ["system", "aggregate"]


@admin.register(SignalTally)
class SignalTallyAdmin(HistoryAdmin):
    list_display = ["system", "type", "severity", "count"]
    list_filter = ["type", "severity"]
    search_fields = ["system__slug"]
    list_select_related = ["system"]


@admin.register(CanaryRun)
class CanaryRunAdmin(HistoryAdmin):
    list_display = ["sent_at", "received_at", "latency_seconds", "lost"]
    list_filter = ["lost"]
    search_fields = ["id"]


@admin.register(Lane)
class LaneAdmin(HistoryAdmin):
    list_display = ["failing_since", "signal", "lost_total", "watched_at"]
    search_fields = ["signal__id"]
    list_select_related = ["signal"]
