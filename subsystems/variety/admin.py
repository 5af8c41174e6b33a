"""Admin of variety: what it is judged by, and what operations are expected to take."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib import admin
from django.contrib.auth.models import User
from django.http import HttpRequest

from subsystems.recursion.administering import HistoryAdmin, ServiceAdmin
from subsystems.variety import services
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
class VarietyPolicyAdmin(HistoryAdmin):
    about = "What each system's variety is judged by. It is policy: changed on the page Policy, version by version."
    ordering = ["-pk"]
    list_display = ["system", "critical_below", "sufficient_from", "excess_above", "buffer_bits", "goal_bits"]
    search_fields = ["system__slug", "system__name"]


@admin.register(Operation)
class OperationAdmin(ServiceAdmin):
    about = "What the operations of each unit were measured to take, and what they are expected to take."
    owner = "pk"
    list_display = ["unit", "name", "system", "count", "success", "p95", "expected_ms"]
    list_filter = ["system"]
    search_fields = ["unit", "name"]
    fields = ["unit", "name", "system", "expected_ms"]
    readonly_fields = ["unit", "name", "system"]

    def keep(self, row: Operation, by: User, fields: Mapping[str, Any]) -> Operation:
        return services.expect(row, fields["expected_ms"])

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Refuse: what was measured is not written by hand."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Batch)
class BatchAdmin(HistoryAdmin):
    list_display = ["replica", "number", "system", "at", "merged"]
    list_filter = ["system"]
    ordering = ["-pk"]
    search_fields = ["replica"]
    exclude = ["body"]  # packed: it says nothing to a reader


@admin.register(Subject)
class SubjectAdmin(HistoryAdmin):
    list_display = ["name", "system"]
    list_filter = ["system"]
    search_fields = ["name"]
    exclude = ["state"]


@admin.register(UnitVariety)
class UnitVarietyAdmin(HistoryAdmin):
    list_display = ["unit", "system", "at", "best_rate", "capability", "potentiality"]
    list_filter = ["system"]
    search_fields = ["unit"]
    exclude = ["state", "body"]


@admin.register(Reading)
class ReadingAdmin(HistoryAdmin):
    ordering = ["-pk"]
    list_display = ["slot", "system", "at"]
    list_filter = ["system"]
    search_fields = ["=slot"]
    exclude = ["body"]


@admin.register(EventCursor)
class EventCursorAdmin(HistoryAdmin):
    list_display = ["pk", "position"]
    search_fields = ["=position"]
