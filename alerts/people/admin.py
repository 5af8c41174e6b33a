"""Admin of what people say and decide about alerts."""

from __future__ import annotations

from django.contrib import admin

from alerts.people.models import (
    AlertComment,
    ContactSettings,
    EscalationPolicy,
    EscalationRun,
    EscalationStep,
    Page,
    Rota,
    RotaOverride,
    Team,
)
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


@admin.register(EscalationPolicy)
class EscalationPolicyAdmin(HistoryAdmin):
    list_display = ["name", "system", "enabled", "created_at"]
    list_filter = ["enabled", "system"]
    search_fields = ["name"]
    list_select_related = ["system"]


@admin.register(EscalationRun)
class EscalationRunAdmin(HistoryAdmin):
    list_display = ["policy_name", "title", "system", "state", "round", "step", "due_at", "started_at", "ended_at"]
    list_filter = ["state", "system"]
    search_fields = ["policy_name", "title"]
    list_select_related = ["system"]


@admin.register(EscalationStep)
class EscalationStepAdmin(HistoryAdmin):
    list_display = ["run", "round", "number", "words", "outcome", "cause", "at"]
    list_filter = ["outcome", "cause"]
    search_fields = ["words", "run__policy_name"]
    list_select_related = ["run"]


@admin.register(Page)
class PageAdmin(HistoryAdmin):
    """Who was reached by what, and who was not and why."""

    list_display = ["user", "method", "state", "cause", "due_at", "at"]
    list_filter = ["state", "cause"]
    search_fields = ["user__username"]
    list_select_related = ["user", "method"]
