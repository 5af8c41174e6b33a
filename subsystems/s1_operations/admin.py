"""S1 in the admin: units and fleets to steer, failures and cycles to read."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import ngettext

from subsystems.kernel.errors import Refused
from subsystems.messaging.admin import HistoryAdmin
from subsystems.s1_operations import services
from subsystems.s1_operations.models import CollectionCycle, CollectionFailure, Fleet, Unit


@admin.register(Unit)
class UnitAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ["name", "kind", "state", "health", "score", "fleet", "system", "last_seen_at", "last_error"]
    list_filter = ["state", "kind", "system", "fleet"]
    list_select_related = ["fleet", "system"]
    search_fields = ["name", "last_error"]
    readonly_fields = [
        "kind",
        "fleet",
        "state",
        "health",
        "score",
        "health_parts",
        "last_seen_at",
        "last_error",
        "created_at",
    ]
    actions = ["pause", "resume"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False  # the dashboard and the API check a unit's configuration at the door

    def get_readonly_fields(self, request: HttpRequest, obj: object = None) -> list[str]:
        return [*self.readonly_fields, "system", "name", "config"]

    def delete_model(self, request: HttpRequest, obj: Unit) -> None:
        services.forget_unit(obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Unit]) -> None:
        for unit in queryset:
            services.forget_unit(unit)

    @admin.action(description="Pause: stop collecting", permissions=["change"])
    def pause(self, request: HttpRequest, queryset: QuerySet[Unit]) -> None:
        for unit in queryset.select_related("fleet"):
            services.pause_unit(unit)
        _say(self, request, "paused", queryset.count())

    @admin.action(description="Resume: collect again", permissions=["change"])
    def resume(self, request: HttpRequest, queryset: QuerySet[Unit]) -> None:
        paused = list(queryset.filter(state=Unit.State.PAUSED).select_related("fleet"))
        for unit in paused:
            services.resume_unit(unit)
        _say(self, request, "resumed", len(paused))


@admin.register(Fleet)
class FleetAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ["name", "broker_display", "own", "enabled", "connected_at", "last_error", "system"]
    list_filter = ["enabled", "own", "system"]
    list_select_related = ["system"]
    search_fields = ["name", "broker_display", "last_error"]
    readonly_fields = ["system", "name", "own", "broker_display", "connected_at", "last_error", "created_at"]
    actions = ["forget"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False  # its address is checked, tried and sealed by `watch_fleet`

    def has_delete_permission(self, request: HttpRequest, obj: Fleet | None = None) -> bool:
        return super().has_delete_permission(request, obj) and (obj is None or not obj.own)

    def delete_model(self, request: HttpRequest, obj: Fleet) -> None:
        services.forget_fleet(obj)

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        return {name: action for name, action in super().get_actions(request).items() if name != "delete_selected"}

    @admin.action(description="Forget: stop watching, with all its units", permissions=["delete"])
    def forget(self, request: HttpRequest, queryset: QuerySet[Fleet]) -> None:
        for fleet in queryset:
            try:
                services.forget_fleet(fleet)
            except Refused as refusal:
                self.message_user(request, refusal.detail, messages.ERROR)


@admin.register(CollectionFailure)
class CollectionFailureAdmin(HistoryAdmin):
    list_display = ["at", "unit", "error", "details", "slot"]
    list_filter = ["at", "unit__kind"]
    list_select_related = ["unit"]
    search_fields = ["unit__name", "details"]
    date_hierarchy = "at"
    show_full_result_count = False


@admin.register(CollectionCycle)
class CollectionCycleAdmin(HistoryAdmin):
    list_display = ["started_at", "duration_ms", "unit_count", "answered_count", "sample_count", "slot"]
    list_filter = ["started_at"]
    date_hierarchy = "started_at"
    show_full_result_count = False


def _say(model_admin: admin.ModelAdmin, request: HttpRequest, verb: str, count: int) -> None:  # type: ignore[type-arg]
    noun = ngettext("unit", "units", count)
    model_admin.message_user(request, f"{count} {noun} {verb}.", messages.SUCCESS)
