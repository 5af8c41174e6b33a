"""Admin of messages: what left, what waits, and which slots were worked. All of it is history."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from subsystems.messaging import services
from subsystems.messaging.limit_policy import Layer
from subsystems.messaging.models import DeadLetter, Delivery, Message, MessageTally, RateLimit, SlotRun
from subsystems.recursion.administering import HistoryAdmin, HistoryInline, HouseAdmin


class DeliveryInline(HistoryInline):
    model = Delivery
    fields = ("handler", "state", "attempts", "history", "at")


@admin.register(Message)
class MessageAdmin(HistoryAdmin):
    list_display = ["number", "channel", "sender", "recipient", "type", "state", "created_at", "sends", "attempts"]
    about = "What the rooms told each other: an outbox row until it is sent, its story afterwards."
    list_filter = ["state", "created_at"]
    search_fields = ["=id", "=correlation_id"]
    exclude = ["batch"]
    inlines = [DeliveryInline]


@admin.register(Delivery)
class DeliveryAdmin(HistoryAdmin):
    list_display = ["message", "handler", "state", "attempts", "at"]
    list_filter = ["state"]
    search_fields = ["=message__id"]
    ordering = ["-pk"]


@admin.register(MessageTally)
class MessageTallyAdmin(HistoryAdmin):
    list_display = ["system_id", "channel", "sender", "recipient", "count", "up_to"]
    search_fields = ["channel", "sender", "recipient"]


@admin.register(DeadLetter)
class DeadLetterAdmin(HistoryAdmin):
    about = "Messages that could not be delivered or read, and why. What holds a message of ours can be sent again."
    list_display = ["created_at", "reason", "message", "queue", "detail", "replayed_at", "replayed_by"]
    list_filter = [("replayed_at", admin.EmptyFieldListFilter), "created_at"]
    search_fields = ["=message__id", "detail", "queue"]
    ordering = ["-pk"]
    exclude = ["body"]
    actions = ["replay"]

    @admin.action(description="Send again, with three new tries", permissions=["operate"])
    def replay(self, request: HttpRequest, queryset: QuerySet[DeadLetter]) -> None:
        """Replay the chosen letters; those that hold no message of ours stay."""
        now = timezone.now()

        def again(letter: DeadLetter, by: User) -> bool:
            return services.replay(letter, by=by.get_username(), now=now)

        self.each(request, queryset.select_related("message"), again, "sent again")


@admin.register(SlotRun)
class SlotRunAdmin(HistoryAdmin):
    list_display = ["job", "slot", "period_seconds", "started_at", "finished_at"]
    list_filter = [("finished_at", admin.EmptyFieldListFilter)]
    search_fields = ["job"]
    ordering = ["-pk"]


@admin.register(RateLimit)
class RateLimitAdmin(HouseAdmin):
    about = "Limits on what may be said that differ from the documented ones. A change holds within a second."

    list_display = ["layer", "key", "system", "limit", "period_seconds", "burst", "enabled"]
    list_filter = ["layer", "enabled"]
    search_fields = ["key", "system__slug"]
    autocomplete_fields = ["system"]

    def has_change_permission(self, request: HttpRequest, obj: RateLimit | None = None) -> bool:
        """Refuse what a bargain set: it ends when what is held is given back."""
        return not _is_bargained(obj) and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: RateLimit | None = None) -> bool:
        return not _is_bargained(obj) and super().has_delete_permission(request, obj)


def _is_bargained(row: RateLimit | None) -> bool:
    return row is not None and row.layer == Layer.BARGAIN
