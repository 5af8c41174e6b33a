"""Admin of messages: what left, what waits, and which slots were worked. All of it is history."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from subsystems.messaging import services
from subsystems.messaging.models import DeadLetter, Delivery, Message, MessageTally, RateLimit, SlotRun


class HistoryAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Rows that the platform writes and people only read."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class DeliveryInline(admin.TabularInline):  # type: ignore[type-arg]
    model = Delivery
    extra = 0
    can_delete = False
    fields = ("handler", "state", "attempts", "history", "at")
    readonly_fields = ("handler", "state", "attempts", "history", "at")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Message)
class MessageAdmin(HistoryAdmin):
    list_display = ["number", "channel", "sender", "recipient", "type", "state", "created_at", "sends", "attempts"]
    list_filter = ["state", "channel", "sender", "recipient", "reply_state"]
    search_fields = ["id", "type", "correlation_id"]
    date_hierarchy = "created_at"
    exclude = ["batch"]
    inlines = [DeliveryInline]


@admin.register(Delivery)
class DeliveryAdmin(HistoryAdmin):
    list_display = ["message", "handler", "state", "attempts", "at"]
    list_filter = ["state", "handler"]
    search_fields = ["message__id", "handler"]
    list_select_related = ["message"]


@admin.register(MessageTally)
class MessageTallyAdmin(HistoryAdmin):
    list_display = ["system_id", "channel", "sender", "recipient", "count", "up_to"]
    list_filter = ["channel", "sender", "recipient"]
    search_fields = ["channel", "sender", "recipient"]


@admin.register(DeadLetter)
class DeadLetterAdmin(HistoryAdmin):
    list_display = ["created_at", "reason", "message", "queue", "detail", "replayed_at", "replayed_by"]
    list_filter = ["reason", ("replayed_at", admin.EmptyFieldListFilter)]
    search_fields = ["message__id", "detail", "queue"]
    exclude = ["body"]
    actions = ["replay"]

    @admin.action(description="Send again, with three new tries", permissions=["view"])
    def replay(self, request: HttpRequest, queryset: QuerySet[DeadLetter]) -> None:
        """Replay the chosen letters; those that hold no message of ours stay."""
        if not request.user.is_superuser:
            self.message_user(request, "Only a superuser may send messages.", level="ERROR")
            return
        chosen = list(queryset.filter(replayed_at=None, message__isnull=False).select_related("message"))
        sent = sum(services.replay(letter, by=str(request.user), now=timezone.now()) for letter in chosen)
        self.message_user(request, f"{sent} messages sent again.")


@admin.register(SlotRun)
class SlotRunAdmin(HistoryAdmin):
    list_display = ["job", "slot", "period_seconds", "started_at", "finished_at"]
    list_filter = ["job", ("finished_at", admin.EmptyFieldListFilter)]
    search_fields = ["job"]


@admin.register(RateLimit)
class RateLimitAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Policy: limits other than the documented ones. A change holds within a second."""

    list_display = ["layer", "key", "system", "limit", "period_seconds", "burst", "enabled"]
    list_filter = ["layer", "enabled"]
    list_select_related = ["system"]
