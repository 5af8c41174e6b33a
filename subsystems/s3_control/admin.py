"""Admin of triggered runs and of steering: history to read, and rules about who may steer what."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from subsystems.recursion.administering import HistoryAdmin, HouseAdmin
from subsystems.s3_control import recommending, services
from subsystems.s3_control.audit import services as audit
from subsystems.s3_control.models import (
    Action,
    ActionItem,
    ActionPolicy,
    Allocation,
    AuditRun,
    Bargain,
    CapturedTask,
    Confirmation,
    Finding,
    FleetAudit,
    Hold,
    LaunchedProcess,
    Launcher,
    PoolUnit,
    Recommendation,
    ResentTask,
    ResourcePool,
    ScalingPolicy,
    StandingOrder,
    SteeringRule,
    TaskRun,
    Webhook,
)
from subsystems.s3_control.scaling import services as scaling


@admin.register(TaskRun)
class TaskRunAdmin(HistoryAdmin):
    list_display = ["name", "state", "worker", "requested_by", "requested_at", "finished_at"]
    about = "Tasks of the platform that people and schedules triggered, from request to result."
    list_filter = ["state", "requested_at"]
    search_fields = ["=name", "worker"]
    actions = ["again"]

    def has_trigger_permission(self, request: HttpRequest) -> bool:
        """Return whether whoever asks may trigger tasks, most of which act on every system."""
        return request.user.is_superuser

    @admin.action(description="Trigger the same again", permissions=["trigger"])
    def again(self, request: HttpRequest, queryset: QuerySet[TaskRun]) -> None:
        """Trigger each selected run once more, with the same arguments."""
        self.each(
            request, queryset, lambda run, by: services.trigger(run.name, run.arguments, by=by), "triggered again"
        )


@admin.register(Action)
class ActionAdmin(HistoryAdmin):
    list_display = ["requested_at", "kind", "fleet_name", "target", "actor", "state", "done", "total", "detail"]
    about = "Acts of steering: who did what to what, why, and what came of it. An act is undone on its page."
    list_filter = ["state", "dry_run", "requested_at", "system"]
    search_fields = ["target", "actor", "reason", "fleet_name"]


@admin.register(ActionItem)
class ActionItemAdmin(HistoryAdmin):
    list_display = ["action", "key", "state", "result"]
    list_filter = ["state"]
    search_fields = ["key"]
    ordering = ["-pk"]


@admin.register(StandingOrder)
class StandingOrderAdmin(HistoryAdmin):
    list_display = ["kind", "key", "fleet", "since", "until", "ended_at"]
    list_filter = ["kind", ("ended_at", admin.EmptyFieldListFilter), "fleet"]
    search_fields = ["key", "fleet__name"]


@admin.register(Confirmation)
class ConfirmationAdmin(HistoryAdmin):
    list_display = ["node", "order", "at", "value", "former"]
    search_fields = ["node", "order__key"]


@admin.register(CapturedTask)
class CapturedTaskAdmin(HistoryAdmin):
    list_display = ["published_at", "name", "task_id", "fleet", "queue"]
    list_filter = ["fleet"]
    search_fields = ["name", "task_id", "queue"]
    exclude = ["message"]  # sealed: it says nothing to a reader


@admin.register(ResentTask)
class ResentTaskAdmin(HistoryAdmin):
    list_display = ["task_id", "new_id", "fleet", "action", "at"]
    about = "Lost tasks that were sent again, each once."
    search_fields = ["task_id", "new_id"]
    ordering = ["-pk"]


@admin.register(SteeringRule)
class SteeringRuleAdmin(HouseAdmin):
    about = "Acts in a system that are left to the members of a group, beyond the role of operator. It holds at once."
    search_fields = ["kind", "target", "group__name"]
    autocomplete_fields = ["system", "group"]
    list_display = ["system", "kind", "target", "group"]
    list_filter = ["system", "group"]


@admin.register(Recommendation)
class RecommendationAdmin(HistoryAdmin):
    list_display = ["created_at", "title", "subject", "source", "state", "decided_by", "score"]
    about = "What is advised, what became of it, and whether it brought what was promised. Decided on its page."
    list_filter = ["state", "automatic", "created_at", "system"]
    search_fields = ["title", "subject", "author", "decided_by"]


@admin.register(ActionPolicy)
class ActionPolicyAdmin(HistoryAdmin):
    list_display = ["system", "kind", "mode", "set_by", "set_at"]
    list_filter = ["mode", "system"]
    search_fields = ["kind", "set_by"]


@admin.register(ScalingPolicy)
class ScalingPolicyAdmin(HistoryAdmin):
    list_display = ["fleet", "queue", "mode", "enabled", "size", "desired", "looked_at"]
    list_filter = ["mode", "enabled", "fleet"]
    search_fields = ["queue", "fleet__name"]
    actions = ["enable", "disable"]

    @admin.action(description="Enable: scale these queues", permissions=["operate"])
    def enable(self, request: HttpRequest, queryset: QuerySet[ScalingPolicy]) -> None:
        self._switch(request, queryset.filter(enabled=False), on=True)

    @admin.action(description="Disable: leave these queues as they are", permissions=["operate"])
    def disable(self, request: HttpRequest, queryset: QuerySet[ScalingPolicy]) -> None:
        self._switch(request, queryset.filter(enabled=True), on=False)

    def _switch(self, request: HttpRequest, policies: QuerySet[ScalingPolicy], *, on: bool) -> None:
        def save(row: ScalingPolicy, by: User) -> None:
            scaling.save_policy(row.fleet, {"enabled": on}, by=by.get_username(), policy=row)

        self.each(request, policies.select_related("fleet"), save, "enabled" if on else "disabled")


@admin.register(Launcher)
class LauncherAdmin(HistoryAdmin):
    about = "How workers of a fleet are started and stopped. A launcher is written on its page, where it is checked."
    list_display = ["name", "fleet", "kind", "enabled", "least", "most", "changed_by", "changed_at"]
    list_filter = ["kind", "enabled", "fleet"]
    search_fields = ["name", "fleet__name"]


@admin.register(LaunchedProcess)
class LaunchedProcessAdmin(HistoryAdmin):
    list_display = ["name", "launcher", "host", "pid"]
    search_fields = ["name", "host"]
    ordering = ["-pk"]


@admin.register(Webhook)
class WebhookAdmin(HistoryAdmin):
    list_display = ["name", "fleet", "enabled", "changed_by", "changed_at"]
    about = "Addresses outside to which acts are handed; written on their own page, their secrets shown nowhere."
    search_fields = ["name", "changed_by"]
    exclude = ["url", "undo_url"]  # their queries may carry a key
    ordering = ["-pk"]


@admin.register(Hold)
class HoldAdmin(HistoryAdmin):
    list_display = ["subject", "system", "since", "failures", "released_at", "released_by"]
    about = "Subjects that are left alone after corrections failed again and again, until a person lets them go."
    list_filter = [("released_at", admin.EmptyFieldListFilter), "system"]
    search_fields = ["subject", "reason"]
    actions = ["release"]

    @admin.action(description="Let these subjects be corrected again", permissions=["operate"])
    def release(self, request: HttpRequest, queryset: QuerySet[Hold]) -> None:
        self.each(request, queryset, lambda hold, by: recommending.release(hold, by=by), "released")


@admin.register(FleetAudit)
class FleetAuditAdmin(HistoryAdmin):
    list_display = ["fleet", "score", "audited_at", "next_at", "error"]
    search_fields = ["fleet__name"]
    actions = ["audit_now"]

    @admin.action(description="Audit these fleets now", permissions=["operate"])
    def audit_now(self, request: HttpRequest, queryset: QuerySet[FleetAudit]) -> None:
        """Each is looked at with the next turn of the audit."""
        now = timezone.now()
        rows = queryset.select_related("fleet")
        self.each(request, rows, lambda row, by: audit.request(row, now=now), "looked at within a minute")


@admin.register(AuditRun)
class AuditRunAdmin(HistoryAdmin):
    list_display = ["fleet", "at", "score", "found_count", "new_count", "fixed_count", "error"]
    list_filter = ["at", "fleet"]
    search_fields = ["fleet__name"]
    ordering = ["-pk"]


@admin.register(Finding)
class FindingAdmin(HistoryAdmin):
    list_display = ["fleet", "rule", "subject", "severity", "state", "first_seen_at", "last_seen_at"]
    list_filter = ["state", "severity", "fleet"]
    search_fields = ["rule", "subject"]
    actions = ["reopen"]

    @admin.action(description="Take the acceptance of these findings back", permissions=["operate"])
    def reopen(self, request: HttpRequest, queryset: QuerySet[Finding]) -> None:
        now = timezone.now()
        self.each(request, queryset, lambda row, by: audit.reopen(row, by=by, now=now), "open again")


@admin.register(ResourcePool)
class ResourcePoolAdmin(HistoryAdmin):
    list_display = ["name", "system", "kind", "fleet", "limit", "capacity", "strategy", "mode", "enabled", "why"]
    about = "What units share and bargain about with S3. Changed on its page."
    list_filter = ["kind", "strategy", "enabled", "system"]
    search_fields = ["name"]
    list_select_related = ["system", "fleet"]


@admin.register(PoolUnit)
class PoolUnitAdmin(HistoryAdmin):
    list_display = ["name", "pool", "system", "weight", "guarantee", "ceiling", "used", "performance", "measured_at"]
    about = "Who shares a pool, on which terms, and what was last measured of it."
    list_filter = ["automatic", "system"]
    search_fields = ["name", "pool__name"]
    list_select_related = ["pool", "system"]


@admin.register(Bargain)
class BargainAdmin(HistoryAdmin):
    list_display = ["asked_at", "pool", "unit", "wanted", "priority", "state", "offered", "origin", "asked_by", "why"]
    about = "Each request of a unit, what S3 offered, and what was answered. Kept for 30 days after its end."
    list_filter = ["state", "origin", "asked_at", "system"]
    search_fields = ["pool__name", "unit__name", "message_id", "reason"]
    list_select_related = ["pool", "unit"]


@admin.register(Allocation)
class AllocationAdmin(HistoryAdmin):
    list_display = ["since", "ended_at", "pool", "unit", "amount", "strategy", "imposed", "mean_used", "efficiency"]
    about = "What a unit held for a time, and how much of it was used."
    list_filter = ["imposed", "since", "system"]
    search_fields = ["pool__name", "unit__name"]
    list_select_related = ["pool", "unit"]
    ordering = ["-pk"]
