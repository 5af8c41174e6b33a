"""Admin of triggered runs and of steering: history to read, and rules about who may steer what."""

from __future__ import annotations

from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpRequest

from subsystems.kernel.errors import Refused
from subsystems.messaging.admin import HistoryAdmin
from subsystems.s3_control import services
from subsystems.s3_control.models import (
    Action,
    ActionItem,
    ActionPolicy,
    AuditRun,
    CapturedTask,
    Confirmation,
    Finding,
    FleetAudit,
    Hold,
    Recommendation,
    ScalingPolicy,
    StandingOrder,
    SteeringRule,
    TaskRun,
)


@admin.register(TaskRun)
class TaskRunAdmin(HistoryAdmin):
    list_display = ["name", "state", "worker", "requested_by", "requested_at", "finished_at"]
    list_filter = ["state", "name"]
    search_fields = ["id", "name", "worker", "error"]
    list_select_related = ["requested_by"]
    date_hierarchy = "requested_at"
    actions = ["again"]

    @admin.action(description="Trigger the same again", permissions=["view"])
    def again(self, request: HttpRequest, queryset: QuerySet[TaskRun]) -> None:
        """Trigger each selected run once more, with the same arguments."""
        if not isinstance(request.user, User) or not request.user.is_superuser:
            self.message_user(request, "Only a superuser may trigger tasks here.", messages.ERROR)
            return
        for run in queryset:
            try:
                services.trigger(run.name, run.arguments, by=request.user)
            except Refused as error:
                self.message_user(request, f"{run.name}: {error.detail}", messages.ERROR)


@admin.register(Action)
class ActionAdmin(HistoryAdmin):
    list_display = ["requested_at", "kind", "fleet_name", "target", "actor", "state", "done", "total", "detail"]
    list_filter = ["state", "kind", "dry_run"]
    search_fields = ["target", "actor", "reason", "detail", "fleet_name"]
    date_hierarchy = "requested_at"


@admin.register(ActionItem)
class ActionItemAdmin(HistoryAdmin):
    list_display = ["action", "key", "state", "result"]
    list_filter = ["state"]
    list_select_related = ["action"]
    search_fields = ["key", "result"]


@admin.register(StandingOrder)
class StandingOrderAdmin(HistoryAdmin):
    list_display = ["kind", "key", "fleet", "since", "until", "ended_at"]
    list_filter = ["kind", ("ended_at", admin.EmptyFieldListFilter)]
    list_select_related = ["fleet"]
    search_fields = ["key", "fleet__name"]


@admin.register(Confirmation)
class ConfirmationAdmin(HistoryAdmin):
    list_display = ["node", "order", "at", "value", "former"]
    list_select_related = ["order"]
    search_fields = ["node", "order__key"]


@admin.register(CapturedTask)
class CapturedTaskAdmin(HistoryAdmin):
    list_display = ["published_at", "name", "task_id", "fleet", "queue"]
    list_filter = ["fleet"]
    list_select_related = ["fleet"]
    search_fields = ["name", "task_id", "queue"]
    exclude = ["message"]  # sealed: it says nothing to a reader


@admin.register(SteeringRule)
class SteeringRuleAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Policy: acts that are left to a group. A change holds at once."""

    list_display = ["system", "kind", "target", "group"]
    list_filter = ["system", "group"]
    list_select_related = ["system", "group"]


@admin.register(Recommendation)
class RecommendationAdmin(HistoryAdmin):
    list_display = ["created_at", "title", "subject", "source", "state", "decided_by", "score"]
    list_filter = ["state", "kind", "source", "automatic"]
    search_fields = ["title", "subject", "author", "decided_by"]
    date_hierarchy = "created_at"


@admin.register(ActionPolicy)
class ActionPolicyAdmin(HistoryAdmin):
    list_display = ["system", "kind", "mode", "set_by", "set_at"]
    list_filter = ["mode", "kind"]
    list_select_related = ["system"]


@admin.register(ScalingPolicy)
class ScalingPolicyAdmin(HistoryAdmin):
    list_display = ["fleet", "queue", "mode", "enabled", "size", "desired", "looked_at"]
    list_filter = ["mode", "enabled"]
    list_select_related = ["fleet"]
    search_fields = ["queue", "fleet__name"]


@admin.register(Hold)
class HoldAdmin(HistoryAdmin):
    list_display = ["subject", "system", "since", "failures", "released_at", "released_by"]
    list_filter = [("released_at", admin.EmptyFieldListFilter)]
    list_select_related = ["system"]
    search_fields = ["subject", "reason"]


@admin.register(FleetAudit)
class FleetAuditAdmin(HistoryAdmin):
    list_display = ["fleet", "score", "audited_at", "next_at", "error"]
    list_select_related = ["fleet"]


@admin.register(AuditRun)
class AuditRunAdmin(HistoryAdmin):
    list_display = ["fleet", "at", "score", "found_count", "new_count", "fixed_count", "error"]
    list_filter = ["fleet"]
    list_select_related = ["fleet"]
    date_hierarchy = "at"


@admin.register(Finding)
class FindingAdmin(HistoryAdmin):
    list_display = ["fleet", "rule", "subject", "severity", "state", "first_seen_at", "last_seen_at"]
    list_filter = ["state", "severity", "rule"]
    search_fields = ["rule", "subject"]
    list_select_related = ["fleet"]
