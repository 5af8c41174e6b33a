"""Series and the days of the archive to look at: they come from measurements, so nobody edits them."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from subsystems.telemetry.models import ArchivedDay, Series


class ReadOnly(admin.ModelAdmin):  # type: ignore[type-arg]
    """Shows rows and changes none."""

    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Series)
class SeriesAdmin(ReadOnly):
    """Which series exist."""

    list_display = ["source", "metric", "labels", "system", "created_at"]
    list_filter = ["system"]
    list_select_related = ["system"]
    search_fields = ["source", "metric"]


@admin.register(ArchivedDay)
class ArchivedDayAdmin(ReadOnly):
    """How far each day of minutes has come on its way into the archive."""

    list_display = ["day", "state", "rows", "samples", "bytes", "written_at", "verified_at"]
    list_filter = ["state"]
    search_fields = ["path"]
