"""Admin of what people say and decide about alerts."""

from __future__ import annotations

from django.contrib import admin

from alerts.people.models import AlertComment, ContactSettings, Rota, RotaOverride, Team
from subsystems.messaging.admin import HistoryAdmin


@admin.register(AlertComment)
class AlertCommentAdmin(HistoryAdmin):
    """What people wrote about alerts."""

    list_display = ["alert", "author_name", "text", "at"]
    list_filter = ["alert__system"]
    search_fields = ["text", "author_name", "alert__title"]
    list_select_related = ["alert"]
    date_hierarchy = "at"


@admin.register(Team)
class TeamAdmin(HistoryAdmin):
    list_display = ["name", "system", "created_at"]
    list_filter = ["system"]
    search_fields = ["name"]
    list_select_related = ["system"]


@admin.register(Rota)
class RotaAdmin(HistoryAdmin):
    list_display = ["name", "system", "time_zone", "tell_handover", "created_at"]
    list_filter = ["system"]
    search_fields = ["name"]
    list_select_related = ["system"]


@admin.register(RotaOverride)
class RotaOverrideAdmin(HistoryAdmin):
    list_display = ["rota", "user", "starts_at", "ends_at", "created_by"]
    list_filter = ["rota__system"]
    search_fields = ["rota__name", "user__username"]
    list_select_related = ["rota", "user", "created_by"]


@admin.register(ContactSettings)
class ContactSettingsAdmin(HistoryAdmin):
    """How people want to be reached: theirs to say."""

    list_display = ["user", "time_zone", "updated_at"]
    search_fields = ["user__username"]
    list_select_related = ["user"]
