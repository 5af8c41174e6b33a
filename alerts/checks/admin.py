"""Admin of checks, to be read; what people decide goes through the API and the pages."""

from __future__ import annotations

from django.contrib import admin

from alerts.checks.models import Check, Ping
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
