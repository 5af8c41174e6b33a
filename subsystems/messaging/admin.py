"""Admin of messages: what left, what waits, and which slots were worked. All of it is history."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from subsystems.messaging import services
from subsystems.messaging.models import InboxMessage, OutboxMessage, SlotRun


class HistoryAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Rows that the platform writes and people only read."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(OutboxMessage)
class OutboxMessageAdmin(HistoryAdmin):
    list_display = ["type", "id", "created_at", "sent_at", "attempts", "last_error"]
    list_filter = ["type", ("sent_at", admin.EmptyFieldListFilter)]
    search_fields = ["id", "type"]
    date_hierarchy = "created_at"
    actions = ["sweep"]

    @admin.action(description="Send now whatever still waits", permissions=["view"])
    def sweep(self, request: HttpRequest, queryset: QuerySet[OutboxMessage]) -> None:
        """Send what was left behind; receivers are idempotent, so that once too often does no harm."""
        if not request.user.is_superuser:
            self.message_user(request, "Only a superuser may send messages.", level="ERROR")
            return
        self.message_user(request, f"{services.sweep()} messages left.")


@admin.register(InboxMessage)
class InboxMessageAdmin(HistoryAdmin):
    list_display = ["message_id", "receiver", "received_at"]
    list_filter = ["receiver"]
    search_fields = ["message_id"]


@admin.register(SlotRun)
class SlotRunAdmin(HistoryAdmin):
    list_display = ["job", "slot", "period_seconds", "started_at", "finished_at"]
    list_filter = ["job", ("finished_at", admin.EmptyFieldListFilter)]
    search_fields = ["job"]
