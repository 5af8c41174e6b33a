"""Admin of policy: what was said, decided and done, to read. Policy is changed on its page, which keeps versions."""

from __future__ import annotations

from django.contrib import admin

from subsystems.messaging.admin import HistoryAdmin
from subsystems.s5_policy.models import Decision, Emergency, GoalValue, Policy, PolicyVersion


@admin.register(Policy)
class PolicyAdmin(HistoryAdmin):
    list_display = ["system", "kind", "name", "made_at"]
    list_filter = ["kind", "system"]
    search_fields = ["name", "kind", "system__slug", "system__name"]
    list_select_related = ["system"]


@admin.register(PolicyVersion)
class PolicyVersionAdmin(HistoryAdmin):
    list_display = ["policy", "version", "author", "reason", "made_at", "effective_at"]
    list_filter = ["policy__kind", "policy__system"]
    search_fields = ["policy__name", "policy__kind", "author", "reason"]
    list_select_related = ["policy"]
    date_hierarchy = "made_at"


@admin.register(GoalValue)
class GoalValueAdmin(HistoryAdmin):
    list_display = ["goal", "value", "author", "at"]
    search_fields = ["goal__name", "author", "note"]
    list_select_related = ["goal"]


@admin.register(Decision)
class DecisionAdmin(HistoryAdmin):
    list_display = ["system", "title", "fingerprint", "asked_at", "due_at", "answered_at", "outcome"]
    list_filter = ["system", ("answered_at", admin.EmptyFieldListFilter), "outcome"]
    search_fields = ["fingerprint", "title"]
    list_select_related = ["system"]
    date_hierarchy = "asked_at"


@admin.register(Emergency)
class EmergencyAdmin(HistoryAdmin):
    list_display = ["system", "began_at", "ended_at", "mode", "score"]
    list_filter = ["system", "mode"]
    search_fields = ["system__slug", "system__name"]
    list_select_related = ["system"]
