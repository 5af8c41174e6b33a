"""Admin of notices: the log and the works, to be read; what people decide goes through the API and the pages."""

from __future__ import annotations

from django.contrib import admin

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
from subsystems.messaging.admin import HistoryAdmin


@admin.register(Routing)
class RoutingAdmin(HistoryAdmin):
    list_display = ["system", "version", "updated_at", "updated_by"]
    list_select_related = ["system", "updated_by"]
    search_fields = ["system__slug"]


@admin.register(Target)
class TargetAdmin(HistoryAdmin):
    list_display = ["name", "system", "kind", "enabled", "failures", "rests_until", "last_sent_at"]
    list_filter = ["kind", "enabled", "system"]
    list_select_related = ["system"]
    search_fields = ["name"]
    exclude = ["secrets_sealed"]


@admin.register(Silence)
class SilenceAdmin(HistoryAdmin):
    list_display = ["matchers", "system", "starts_at", "ends_at", "author_name", "comment"]
    list_filter = ["system"]
    list_select_related = ["system"]
    search_fields = ["matchers", "comment", "author_name"]


@admin.register(MaintenanceWindow)
class MaintenanceWindowAdmin(HistoryAdmin):
    list_display = ["name", "system", "starts_at", "duration_seconds", "recurrence", "time_zone", "enabled"]
    list_filter = ["enabled", "system"]
    list_select_related = ["system"]
    search_fields = ["name", "comment"]


@admin.register(Group)
class GroupAdmin(HistoryAdmin):
    list_display = ["receiver", "labels", "system", "due_at", "flushed"]
    list_select_related = ["system"]
    search_fields = ["receiver", "key"]


@admin.register(Notification)
class NotificationAdmin(HistoryAdmin):
    list_display = ["title", "system", "target_name", "kind", "reason", "state", "attempts", "created_at", "sent_at"]
    list_filter = ["state", "kind", "reason", "system"]
    list_select_related = ["system"]
    search_fields = ["title", "target_name"]
    date_hierarchy = "created_at"


@admin.register(AlertNotice)
class AlertNoticeAdmin(HistoryAdmin):
    list_display = ["alert", "outcome", "cause", "detail", "at"]
    list_filter = ["outcome", "cause"]
    list_select_related = ["alert"]
    search_fields = ["alert__title", "fingerprint"]


@admin.register(Incoming)
class IncomingAdmin(HistoryAdmin):
    list_display = ["alert", "rank", "fired"]
    list_select_related = ["alert"]
    search_fields = ["alert__title"]


@admin.register(GroupMember)
class GroupMemberAdmin(HistoryAdmin):
    list_display = ["alert", "group", "firing", "cause"]
    list_select_related = ["alert", "group"]
    search_fields = ["alert__title"]


@admin.register(GroupTold)
class GroupToldAdmin(HistoryAdmin):
    list_display = ["group", "target", "at"]
    list_select_related = ["group", "target"]
    search_fields = ["target__name"]


@admin.register(ExternalAlert)
class ExternalAlertAdmin(HistoryAdmin):
    list_display = ["alert", "starts_at", "ends_at", "timeout", "received_at"]
    list_select_related = ["alert"]
    search_fields = ["alert__title"]
