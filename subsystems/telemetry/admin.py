"""Series and the days of the archive to look at: they come from measurements, so nobody edits them."""

from __future__ import annotations

from django.contrib import admin

from subsystems.recursion.administering import HistoryAdmin
from subsystems.telemetry.models import ArchivedDay, Series


@admin.register(Series)
class SeriesAdmin(HistoryAdmin):
    """Which series exist."""

    list_display = ["source", "metric", "labels", "system", "created_at"]
    list_filter = ["system"]
    search_fields = ["source", "metric"]


@admin.register(ArchivedDay)
class ArchivedDayAdmin(HistoryAdmin):
    """How far each day of minutes has come on its way into the archive."""

    list_display = ["day", "state", "rows", "samples", "bytes", "written_at", "verified_at"]
    list_filter = ["state"]
    search_fields = ["path"]
