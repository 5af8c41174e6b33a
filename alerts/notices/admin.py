"""Admin of notices: the log and the works, to be read; what people decide goes through the API and the pages."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from alerts.notices import services
from alerts.notices.models import (
    AlertNotice,
    ExternalAlert,
    Group,
    GroupMember,
    GroupTold,
    Incoming,
    MaintenanceWindow,
    Notification,
    Routing,
    Silence,
    Target,
)
from subsystems.kernel.errors import Refused
from subsystems.recursion.administering import HistoryAdmin

MOST_TESTED = 5


@admin.register(Routing)
class RoutingAdmin(HistoryAdmin):
    list_display = ["system", "version", "updated_at", "updated_by"]
    search_fields = ["system__slug"]


@admin.register(Target)
class TargetAdmin(HistoryAdmin):
    about = "Addresses that are told of alerts. After failures in a row one rests for a while; secrets are never shown."
    list_display = ["name", "system", "kind", "enabled", "failures", "rests_until", "last_sent_at"]
    list_filter = ["kind", "enabled", "system"]
    search_fields = ["name", "last_error"]
    exclude = ["secrets_sealed"]
    actions = ["enable", "disable", "test"]

    @admin.action(description="Enable: send to these again", permissions=["operate"])
    def enable(self, request: HttpRequest, queryset: QuerySet[Target]) -> None:
        self._switch(request, queryset.filter(enabled=False), on=True)

    @admin.action(description="Disable: send nothing to these", permissions=["operate"])
    def disable(self, request: HttpRequest, queryset: QuerySet[Target]) -> None:
        self._switch(request, queryset.filter(enabled=True), on=False)

    @admin.action(description="Send a test now (to at most five)", permissions=["operate"])
    def test(self, request: HttpRequest, queryset: QuerySet[Target]) -> None:
        """Each may take some seconds to answer, and whoever asks waits."""
        self.each(request, queryset.select_related("system", "owner")[:MOST_TESTED], _test, "reached by a test")

    def _switch(self, request: HttpRequest, targets: QuerySet[Target], *, on: bool) -> None:
        rows = targets.select_related("system", "owner", "fallback")
        said = "enabled" if on else "disabled"
        self.each(request, rows, lambda target, by: services.save_target(target, by, enabled=on), said)


@admin.register(Silence)
class SilenceAdmin(HistoryAdmin):
    about = "Alerts that nobody is told of until the silence ends; it always ends. Made beside alerts on their page."
    list_display = ["matchers", "system", "starts_at", "ends_at", "author_name", "comment"]
    list_filter = ["system"]
    search_fields = ["matchers", "comment", "author_name"]
    actions = ["expire"]

    @admin.action(description="End these silences now", permissions=["operate"])
    def expire(self, request: HttpRequest, queryset: QuerySet[Silence]) -> None:
        now = timezone.now()
        rows = queryset.select_related("system")
        self.each(request, rows, lambda silence, by: services.expire_silence(silence, by, now=now), "ended")


@admin.register(MaintenanceWindow)
class MaintenanceWindowAdmin(HistoryAdmin):
    list_display = ["name", "system", "starts_at", "duration_seconds", "recurrence", "time_zone", "enabled"]
    list_filter = ["enabled", "system"]
    search_fields = ["name", "comment"]


@admin.register(Group)
class GroupAdmin(HistoryAdmin):
    list_display = ["receiver", "labels", "system", "due_at", "flushed"]
    search_fields = ["receiver", "key"]


@admin.register(Notification)
class NotificationAdmin(HistoryAdmin):
    list_display = ["title", "system", "target_name", "kind", "reason", "state", "attempts", "created_at", "sent_at"]
    list_filter = ["state", "created_at", "system"]
    search_fields = ["title", "target_name"]


@admin.register(AlertNotice)
class AlertNoticeAdmin(HistoryAdmin):
    list_display = ["alert", "outcome", "cause", "detail", "at"]
    list_filter = ["outcome", "at"]
    ordering = ["-pk"]
    search_fields = ["alert__title", "fingerprint"]


@admin.register(Incoming)
class IncomingAdmin(HistoryAdmin):
    list_display = ["alert", "rank", "fired"]
    search_fields = ["alert__title"]


@admin.register(GroupMember)
class GroupMemberAdmin(HistoryAdmin):
    list_display = ["alert", "group", "firing", "cause"]
    search_fields = ["alert__title"]


@admin.register(GroupTold)
class GroupToldAdmin(HistoryAdmin):
    list_display = ["group", "target", "at"]
    search_fields = ["target__name"]


@admin.register(ExternalAlert)
class ExternalAlertAdmin(HistoryAdmin):
    list_display = ["alert", "starts_at", "ends_at", "timeout", "received_at"]
    search_fields = ["alert__title"]


def _test(target: Target, by: User) -> None:
    """Send a test to *target*. Raises Refused with what its address answered."""
    told = services.test_target(target, by, now=timezone.now())
    if told.state != Notification.State.SENT:
        raise Refused(told.last_error or "It did not arrive.")
