"""Admin of policy: what was said, decided and done, to read. Policy is changed on its page, which keeps versions."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.auth.models import User

from subsystems.kernel.documents import Imported
from subsystems.recursion.administering import ExchangeAdmin, HistoryAdmin
from subsystems.recursion.models import System
from subsystems.s5_policy import exchange
from subsystems.s5_policy.models import Decision, Emergency, GoalValue, Policy, PolicyVersion


@admin.register(Policy)
class PolicyAdmin(HistoryAdmin, ExchangeAdmin):
    list_display = ["system", "kind", "name", "made_at"]
    about = "What S5 has said of a system. It is changed on its page, or by a file; each change is a version."
    list_filter = ["kind", "system"]
    search_fields = ["name", "kind", "system__slug", "system__name"]

    def bring(self, system: System, by: User, text: str, *, reason: str, dry_run: bool) -> Imported:
        return exchange.import_policies(system, by, text, reason=reason, dry_run=dry_run)

    def hand_out(self, system: System) -> str:
        return exchange.export_policies(system)


@admin.register(PolicyVersion)
class PolicyVersionAdmin(HistoryAdmin):
    list_display = ["policy", "version", "author", "reason", "made_at", "effective_at"]
    list_filter = ["made_at", "policy__system"]
    search_fields = ["policy__name", "policy__kind", "author", "reason"]
    ordering = ["-pk"]


@admin.register(GoalValue)
class GoalValueAdmin(HistoryAdmin):
    list_display = ["goal", "value", "author", "at"]
    search_fields = ["goal__name", "author", "note"]
    ordering = ["-pk"]


@admin.register(Decision)
class DecisionAdmin(HistoryAdmin):
    list_display = ["system", "title", "fingerprint", "asked_at", "due_at", "answered_at", "outcome"]
    list_filter = ["asked_at", ("answered_at", admin.EmptyFieldListFilter), "outcome", "system"]
    search_fields = ["fingerprint", "title"]
    ordering = ["-pk"]


@admin.register(Emergency)
class EmergencyAdmin(HistoryAdmin):
    list_display = ["system", "began_at", "ended_at", "mode", "score"]
    list_filter = ["began_at", "system"]
    search_fields = ["system__slug", "system__name"]
