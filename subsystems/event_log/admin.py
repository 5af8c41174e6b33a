"""Admin of the event log: all of it to read, none of it to change."""

from __future__ import annotations

from django.contrib import admin

from subsystems.event_log.models import ChainHead, Event, EventCheckpoint, EventCount, HandlerPosition, PendingEvent
from subsystems.event_log.streams import Stream
from subsystems.recursion.administering import HistoryAdmin, among

StreamFilter = among("stream", *Stream)


@admin.register(Event)
class EventAdmin(HistoryAdmin):
    list_display = ["position", "stream", "sequence", "type", "system_id", "actor", "at"]
    about = "All that happened, sealed in one chain: never changed, never deleted. Its page verifies the chain."
    list_filter = [StreamFilter, "at"]
    search_fields = ["=type", "=message_id", "=correlation_id"]
    exclude = ["hash"]
    readonly_fields = ["hash_in_hex"]

    @admin.display(description="hash")
    def hash_in_hex(self, event: Event) -> str:
        return bytes(event.hash).hex()


@admin.register(PendingEvent)
class PendingEventAdmin(HistoryAdmin):
    list_display = ["number", "stream", "type", "system_id", "actor", "at"]
    list_filter = [StreamFilter]


@admin.register(EventCheckpoint)
class EventCheckpointAdmin(HistoryAdmin):
    list_display = ["position", "at", "signature"]
    exclude = ["hash"]


@admin.register(HandlerPosition)
class HandlerPositionAdmin(HistoryAdmin):
    list_display = ["name", "position", "failures", "last_error", "retry_at", "replay_seen_at", "updated_at"]


@admin.register(EventCount)
class EventCountAdmin(HistoryAdmin):
    list_display = ["at", "system_id", "stream", "type", "count"]
    list_filter = [StreamFilter]


@admin.register(ChainHead)
class ChainHeadAdmin(HistoryAdmin):
    list_display = ["position", "checkpoint_position", "checkpoint_at"]
    exclude = ["hash"]
