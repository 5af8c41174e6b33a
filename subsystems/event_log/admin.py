"""Admin of the event log: all of it to read, none of it to change."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from subsystems.event_log.models import Event, EventCheckpoint, EventCount, HandlerPosition, PendingEvent


class ReadOnlyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Rows that nobody adds, changes or deletes by hand."""

    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Event)
class EventAdmin(ReadOnlyAdmin):
    list_display = ["position", "stream", "sequence", "type", "system_id", "actor", "at"]
    list_filter = ["stream"]
    search_fields = ["=type", "=message_id", "=correlation_id", "=actor"]
    exclude = ["hash"]
    readonly_fields = ["hash_in_hex"]

    @admin.display(description="hash")
    def hash_in_hex(self, event: Event) -> str:
        return bytes(event.hash).hex()


@admin.register(PendingEvent)
class PendingEventAdmin(ReadOnlyAdmin):
    list_display = ["number", "stream", "type", "system_id", "actor", "at"]
    list_filter = ["stream"]


@admin.register(EventCheckpoint)
class EventCheckpointAdmin(ReadOnlyAdmin):
    list_display = ["position", "at", "signature"]
    exclude = ["hash"]


@admin.register(HandlerPosition)
class HandlerPositionAdmin(ReadOnlyAdmin):
    list_display = ["name", "position", "failures", "last_error", "retry_at", "replay_seen_at", "updated_at"]


@admin.register(EventCount)
class EventCountAdmin(ReadOnlyAdmin):
    list_display = ["hour", "stream", "type", "count"]
    list_filter = ["stream"]
