"""Admin of checks: to be read, paused and resumed; what a check waits for is said on its page."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from alerts.checks import services
from alerts.checks.models import Check, Heartbeat, Ping
from subsystems.recursion.administering import HistoryAdmin, HouseAdmin


@admin.register(Check)
class CheckAdmin(HistoryAdmin):
    about = "Jobs that are to say that they ran. A check that hears nothing in time is down, and raises an alert."
    list_display = ["name", "system", "status", "reason", "pinged_at", "expected_at", "down_at", "enabled"]
    list_filter = ["status", "enabled", "system"]
    search_fields = ["name", "reason"]
    exclude = ["address"]  # who knows it may say that the job ran
    actions = ["pause", "resume"]

    @admin.action(description="Pause: wait for nothing for now", permissions=["operate"])
    def pause(self, request: HttpRequest, queryset: QuerySet[Check]) -> None:
        self._switch(request, queryset.filter(enabled=True), on=False)

    @admin.action(description="Resume: wait for the next ping", permissions=["operate"])
    def resume(self, request: HttpRequest, queryset: QuerySet[Check]) -> None:
        self._switch(request, queryset.filter(enabled=False), on=True)

    def _switch(self, request: HttpRequest, checks: QuerySet[Check], *, on: bool) -> None:
        now = timezone.now()
        said = "wait again" if on else "paused"
        self.each(
            request, checks.select_related("system"),
            lambda check, by: services.save_check(check, by, now=now, enabled=on), said,
        )  # fmt: skip


@admin.register(Ping)
class PingAdmin(HistoryAdmin):
    list_display = ["of", "number", "kind", "exit_code", "at", "duration_seconds", "remote"]
    list_filter = ["kind", "at", "of__system"]
    search_fields = ["of__name"]


@admin.register(Heartbeat)
class HeartbeatAdmin(HouseAdmin):
    """Where the platform says that it lives; one row, which is there once it was asked for."""

    list_display = ["__str__", "sent_at", "tried_at", "failures", "failures_total", "withheld_total", "last_error"]
    readonly_fields = ["sent_at", "tried_at", "failures", "failures_total", "withheld_total", "last_error"]
    search_fields = ["last_error"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return super().has_add_permission(request) and not Heartbeat.objects.exists()

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
