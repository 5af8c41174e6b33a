"""Series and roll-ups to look at: they come from measurements, so nobody edits them."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from subsystems.kernel.slots import slot_time
from subsystems.telemetry.models import Rollup, Series


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


@admin.register(Rollup)
class RollupAdmin(ReadOnly):
    """What was rolled up, newest first by row id, which needs no sort of a large table."""

    list_display = ["series", "minute", "count", "sum", "min", "max", "last"]
    list_select_related = ["series"]
    search_fields = ["series__source", "series__metric"]
    ordering = ["-id"]

    @admin.display(description="minute (UTC)")
    def minute(self, rollup: Rollup) -> str:
        """The start of the step as a time."""
        return slot_time(rollup.at).strftime("%Y-%m-%d %H:%M")
