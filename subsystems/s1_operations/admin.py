"""S1 in the admin: units and fleets to steer, failures and cycles to read."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse

from subsystems.recursion.administering import HistoryAdmin, HouseAdmin
from subsystems.s1_operations import services
from subsystems.s1_operations.models import CollectionCycle, CollectionFailure, Fleet, Unit


@admin.register(Unit)
class UnitAdmin(HistoryAdmin):
    about = "What does the work and is watched: hosts, Celery workers, queues, HTTP services, agents that push."
    list_display = ["name", "kind", "state", "health", "score", "fleet", "system", "last_seen_at", "last_error"]
    list_filter = ["state", "kind", "system", "fleet"]
    search_fields = ["name", "last_error"]
    ordering = ["name"]
    actions = ["pause", "resume", "forget"]

    @admin.action(description="Pause: stop collecting", permissions=["operate"])
    def pause(self, request: HttpRequest, queryset: QuerySet[Unit]) -> None:
        rows = queryset.exclude(state=Unit.State.PAUSED).select_related("fleet")
        self.each(request, rows, lambda unit, by: services.pause_unit(unit), "paused")

    @admin.action(description="Resume: collect again", permissions=["operate"])
    def resume(self, request: HttpRequest, queryset: QuerySet[Unit]) -> None:
        rows = queryset.filter(state=Unit.State.PAUSED).select_related("fleet")
        self.each(request, rows, lambda unit, by: services.resume_unit(unit), "resumed")

    @admin.action(description="Forget: stop watching, with all that is known", permissions=["operate"])
    def forget(self, request: HttpRequest, queryset: QuerySet[Unit]) -> HttpResponse | None:
        asked = self.confirmed(
            request, queryset, title="Forget these units?",
            consequence="What is known of them goes. One that appears by itself comes back when it is heard: pause it.",
        )  # fmt: skip
        if asked is None:
            self.each(
                request, queryset.select_related("fleet"), lambda unit, by: services.forget_unit(unit), "forgotten"
            )
        return asked


@admin.register(Fleet)
class FleetAdmin(HouseAdmin):
    about = (
        "The workers and queues of one Celery application on one broker. A fleet is added on its page, which tries it."
    )
    list_display = ["name", "broker_display", "own", "enabled", "connected_at", "last_error", "system"]
    list_filter = ["enabled", "own", "system"]
    search_fields = ["name", "broker_display", "last_error"]
    readonly_fields = ["system", "name", "own", "broker_display", "connected_at", "last_error", "created_at"]
    actions = ["forget"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False  # its address is checked, tried and sealed by `watch_fleet`

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Refuse: a fleet is forgotten by its verb, which asks first and tells whoever looks."""
        return False

    def has_forget_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("s1_operations.delete_fleet")

    @admin.action(description="Forget: stop watching, with all its units", permissions=["forget"])
    def forget(self, request: HttpRequest, queryset: QuerySet[Fleet]) -> HttpResponse | None:
        asked = self.confirmed(
            request, queryset, title="Forget these fleets?",
            consequence="Their units, tasks and findings go with them, and nobody is told of their troubles any more.",
        )  # fmt: skip
        if asked is None:
            self.each(request, queryset, lambda fleet, by: services.forget_fleet(fleet), "forgotten")
        return asked


@admin.register(CollectionFailure)
class CollectionFailureAdmin(HistoryAdmin):
    about = "A unit that did not answer when it was asked. The tick went on without it."
    list_display = ["at", "unit", "error", "details", "slot"]
    list_filter = ["at", "unit__kind"]
    search_fields = ["unit__name", "details"]


@admin.register(CollectionCycle)
class CollectionCycleAdmin(HistoryAdmin):
    about = "What one tick of five seconds saw of all units."
    list_display = ["started_at", "duration_ms", "unit_count", "answered_count", "sample_count", "slot"]
    list_filter = ["started_at"]
