"""Admin of assessments: history, to read."""

from __future__ import annotations

from django.contrib import admin

from subsystems.health.models import Assessment, ScoreSheet
from subsystems.messaging.admin import HistoryAdmin


@admin.register(Assessment)
class AssessmentAdmin(HistoryAdmin):
    list_display = ["system", "assessed_at", "status", "score", "overall_health", "geometric"]
    list_filter = ["status", "system"]
    search_fields = ["system__slug", "system__name"]
    list_select_related = ["system"]
    date_hierarchy = "assessed_at"


@admin.register(ScoreSheet)
class ScoreSheetAdmin(HistoryAdmin):
    list_display = ["system", "at"]
    search_fields = ["system__slug", "system__name"]
    list_select_related = ["system"]
