"""Admin of variety: what it is judged by, and what operations are expected to take."""

from __future__ import annotations

from django.contrib import admin

from subsystems.messaging.admin import HistoryAdmin
from subsystems.variety.models import (
    Batch,
    EventCursor,
    Operation,
    Reading,
    Subject,
    UnitVariety,
    VarietyPolicy,
)


@admin.register(VarietyPolicy)
class VarietyPolicyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ["system", "critical_below", "sufficient_from", "excess_above", "buffer_bits", "goal_bits"]
    list_select_related = ["system"]
    search_fields = ["system__name"]


@admin.register(Operation)
class OperationAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ["unit", "name", "system", "count", "success", "p95", "expected_ms"]
    list_filter = ["system"]
    list_select_related = ["system"]
    search_fields = ["unit", "name"]
    fields = ["expected_ms"]

    def has_add_permission(self, request: object) -> bool:
        """Refuse: what was measured is not written by hand."""
        return False


@admin.register(Batch)
class BatchAdmin(HistoryAdmin):
    list_display = ["replica", "number", "system", "at", "merged"]
    list_filter = ["system", "merged"]
    list_select_related = ["system"]
    search_fields = ["replica"]
    exclude = ["body"]  # packed: it says nothing to a reader


@admin.register(Subject)
class SubjectAdmin(HistoryAdmin):
    list_display = ["name", "system"]
    list_filter = ["system"]
    list_select_related = ["system"]
    search_fields = ["name"]
    exclude = ["state"]


@admin.register(UnitVariety)
class UnitVarietyAdmin(HistoryAdmin):
    list_display = ["unit", "system", "at", "best_rate", "capability", "potentiality"]
    list_filter = ["system"]
    list_select_related = ["system"]
    search_fields = ["unit"]
    exclude = ["state", "body"]


@admin.register(Reading)
class ReadingAdmin(HistoryAdmin):
    list_display = ["slot", "system", "at"]
    list_filter = ["system"]
    list_select_related = ["system"]
    search_fields = ["=slot"]
    exclude = ["body"]


@admin.register(EventCursor)
class EventCursorAdmin(HistoryAdmin):
    list_display = ["pk", "position"]
    search_fields = ["=position"]
