"""Admin of checks, to be read; what people decide goes through the API and the pages."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from alerts.checks.models import Check, Heartbeat, Ping
from subsystems.messaging.admin import HistoryAdmin


@admin.register(Check)
class CheckAdmin(HistoryAdmin):
    list_display = ["name", "system", "status", "reason", "pinged_at", "expected_at", "down_at", "enabled"]
    list_filter = ["status", "enabled", "system"]
    list_select_related = ["system"]
    search_fields = ["name"]
    exclude = ["address"]  # who knows it may say that the job ran


@admin.register(Ping)
class PingAdmin(HistoryAdmin):
    list_display = ["of", "number", "kind", "exit_code", "at", "duration_seconds", "remote"]
    list_filter = ["kind", "of__system"]
    list_select_related = ["of"]
    search_fields = ["of__name"]
    date_hierarchy = "at"


@admin.register(Heartbeat)
class HeartbeatAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Where the platform says that it lives; one row, which is there once it was asked for."""

    list_display = ["__str__", "sent_at", "tried_at", "failures", "failures_total", "withheld_total", "last_error"]
    readonly_fields = ["sent_at", "tried_at", "failures", "failures_total", "withheld_total", "last_error"]
    search_fields = ["last_error"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return super().has_add_permission(request) and not Heartbeat.objects.exists()

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
