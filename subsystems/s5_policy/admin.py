"""Admin of policy: weights, thresholds and limits are rows that people change here."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db import models, transaction
from django.http import HttpRequest

from subsystems.kernel.telemetry_events import emit
from subsystems.messaging.admin import HistoryAdmin
from subsystems.s5_policy.models import AlertPolicy, Decision, ViabilityPolicy


class PolicyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Policy that people change; each change is told."""

    def save_model(self, request: HttpRequest, obj: models.Model, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        about = {"policy": str(obj._meta.verbose_name), "actor": request.user.get_username()}
        transaction.on_commit(lambda: emit("vsm.s5.policy.update", {"count": 1}, about))


@admin.register(ViabilityPolicy)
class ViabilityPolicyAdmin(PolicyAdmin):
    list_display = ["system", "viability_threshold", "critical_threshold"]
    search_fields = ["system__slug", "system__name"]
    list_select_related = ["system"]
    fieldsets = [
        (None, {"fields": ["system"]}),
        ("Thresholds", {"fields": ["viability_threshold", "critical_threshold"]}),
        ("Weights", {"fields": ["weight_s1", "weight_s2", "weight_s3", "weight_s4", "weight_s5"]}),
    ]


@admin.register(AlertPolicy)
class AlertPolicyAdmin(PolicyAdmin):
    list_display = [
        "system",
        "max_alerts_per_hour",
        "answer_critical_within_seconds",
        "answer_warning_within_seconds",
    ]
    search_fields = ["system__slug", "system__name"]
    list_select_related = ["system"]


@admin.register(Decision)
class DecisionAdmin(HistoryAdmin):
    list_display = ["system", "fingerprint", "asked_at", "due_at", "answered_at"]
    list_filter = ["system", ("answered_at", admin.EmptyFieldListFilter)]
    search_fields = ["fingerprint"]
    list_select_related = ["system"]
    date_hierarchy = "asked_at"
