"""Admin of what people say and decide about alerts."""

from __future__ import annotations

from django.contrib import admin

from alerts.people.models import AlertComment
from subsystems.messaging.admin import HistoryAdmin


@admin.register(AlertComment)
class AlertCommentAdmin(HistoryAdmin):
    """What people wrote about alerts."""

    list_display = ["alert", "author_name", "text", "at"]
    list_filter = ["alert__system"]
    search_fields = ["text", "author_name", "alert__title"]
    list_select_related = ["alert"]
    date_hierarchy = "at"
