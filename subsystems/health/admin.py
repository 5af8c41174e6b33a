"""Admin of assessments: history, to read."""

from __future__ import annotations

from django.contrib import admin

from subsystems.health.models import Assessment, ScoreSheet
from subsystems.recursion.administering import HistoryAdmin, among


@admin.register(Assessment)
class AssessmentAdmin(HistoryAdmin):
    list_display = ["system", "assessed_at", "status", "score", "overall_health", "geometric"]
    list_filter = [among("status", "normal", "warning", "critical", "unknown"), "assessed_at", "system"]
    search_fields = ["system__slug", "system__name"]
    about = "The health of a system every half minute, from what was really measured; never made up, never edited."
    ordering = ["-pk"]


@admin.register(ScoreSheet)
class ScoreSheetAdmin(HistoryAdmin):
    list_display = ["system", "at"]
    search_fields = ["system__slug", "system__name"]
