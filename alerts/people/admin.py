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
from subsystems.recursion.administering import HistoryAdmin


@admin.register(AlertComment)
class AlertCommentAdmin(HistoryAdmin):
    """What people wrote about alerts."""

    list_display = ["alert", "author_name", "text", "at"]
    list_filter = ["at", "alert__system"]
    search_fields = ["text", "author_name", "alert__title"]


@admin.register(Team)
class TeamAdmin(HistoryAdmin):
    list_display = ["name", "system", "created_at"]
    list_filter = ["system"]
    search_fields = ["name"]


@admin.register(Rota)
class RotaAdmin(HistoryAdmin):
    list_display = ["name", "system", "time_zone", "tell_handover", "created_at"]
    list_filter = ["system"]
    search_fields = ["name"]


@admin.register(RotaOverride)
class RotaOverrideAdmin(HistoryAdmin):
    list_display = ["rota", "user", "starts_at", "ends_at", "created_by"]
    list_filter = ["rota__system"]
    search_fields = ["rota__name", "user__username"]


@admin.register(ContactSettings)
class ContactSettingsAdmin(HistoryAdmin):
    """How people want to be reached: theirs to say."""

    list_display = ["user", "time_zone", "updated_at"]
    search_fields = ["user__username"]


@admin.register(EscalationPolicy)
class EscalationPolicyAdmin(HistoryAdmin):
    list_display = ["name", "system", "enabled", "created_at"]
    list_filter = ["enabled", "system"]
    search_fields = ["name"]


@admin.register(EscalationRun)
class EscalationRunAdmin(HistoryAdmin):
    list_display = ["policy_name", "title", "system", "state", "round", "step", "due_at", "started_at", "ended_at"]
    list_filter = ["state", "system"]
    search_fields = ["policy_name", "title"]


@admin.register(EscalationStep)
class EscalationStepAdmin(HistoryAdmin):
    list_display = ["run", "round", "number", "words", "outcome", "cause", "at"]
    list_filter = ["outcome"]
    search_fields = ["words", "run__policy_name"]


@admin.register(Page)
class PageAdmin(HistoryAdmin):
    """Who was reached by what, and who was not and why."""

    list_display = ["user", "method", "state", "cause", "due_at", "at"]
    list_filter = ["state"]
    search_fields = ["user__username"]
