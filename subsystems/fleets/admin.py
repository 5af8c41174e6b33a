"""Fleets in the admin: what should be there, how long detectors wait, and what they found."""

from __future__ import annotations

from django.contrib import admin

from subsystems.fleets.models import (
    BlindSpell,
    DetectionRules,
    EndedTasks,
    ExceptionGroup,
    ExpectedWorkers,
    HistoryRules,
    Listening,
    QueueState,
    Redelivery,
    StuckFinding,
    Task,
    TaskCount,
    TaskRetry,
    TaskRollUp,
    WorkerState,
)
from subsystems.messaging.admin import HistoryAdmin


@admin.register(ExpectedWorkers)
class ExpectedWorkersAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ["fleet", "role", "queue", "workers"]
    list_filter = ["fleet"]
    list_select_related = ["fleet"]
    search_fields = ["role", "queue"]


@admin.register(DetectionRules)
class DetectionRulesAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ["fleet", "stalled_seconds", "unread_seconds", "starved_seconds", "lost_seconds", "redeliveries"]
    list_select_related = ["fleet"]
    search_fields = ["fleet__name"]


@admin.register(StuckFinding)
class FindingAdmin(HistoryAdmin):
    list_display = ["summary", "kind", "fleet", "confidence", "found_at", "ended_at"]
    list_filter = ["kind", "fleet"]
    list_select_related = ["fleet"]
    search_fields = ["subject", "summary"]


class FleetHistoryAdmin(HistoryAdmin):
    """What a fleet was heard to do. Rows may outnumber what one wants counted for a page."""

    show_full_result_count = False
    list_per_page = 50
    list_filter = ["fleet"]
    list_select_related = ["fleet"]


@admin.register(Task)
class TaskAdmin(FleetHistoryAdmin):
    list_display = ["name", "uuid", "fleet", "state", "worker", "queue", "runtime_seconds", "retries"]
    list_filter = ["fleet", "state"]
    search_fields = ["=uuid", "name"]


@admin.register(TaskRetry)
class TaskRetryAdmin(FleetHistoryAdmin):
    list_display = ["uuid", "fleet", "at", "worker", "exception"]
    search_fields = ["=uuid", "exception"]


@admin.register(ExceptionGroup)
class ExceptionGroupAdmin(FleetHistoryAdmin):
    list_display = ["type", "message", "task_name", "fleet", "count", "last_seen_at"]
    search_fields = ["type", "message", "task_name"]


@admin.register(TaskRollUp)
class TaskRollUpAdmin(FleetHistoryAdmin):
    list_display = ["at", "fleet", "name", "queue", "succeeded", "failed", "others", "retried"]
    search_fields = ["name", "queue"]
    exclude = ["runtimes", "waits"]  # sketches: they say nothing to a reader


@admin.register(TaskCount)
class TaskCountAdmin(FleetHistoryAdmin):
    list_display = ["name", "fleet", "event", "role", "queue", "exception", "n"]
    search_fields = ["name", "role", "queue", "exception"]


@admin.register(EndedTasks)
class EndedTasksAdmin(FleetHistoryAdmin):
    list_display = ["pk", "fleet"]
    search_fields = ["fleet__name"]


@admin.register(BlindSpell)
class BlindSpellAdmin(FleetHistoryAdmin):
    list_display = ["fleet", "reason", "began_at", "ended_at", "lost", "dropped"]
    list_filter = ["fleet", "reason", "lost"]
    search_fields = ["fleet__name"]


@admin.register(Listening)
class ListeningAdmin(FleetHistoryAdmin):
    list_display = ["fleet", "written_at", "since", "events", "tasks", "missed", "lag_seconds"]
    search_fields = ["fleet__name"]


@admin.register(HistoryRules)
class HistoryRulesAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ["fleet", "keep_days", "max_tasks", "ask_events"]
    list_select_related = ["fleet"]
    search_fields = ["fleet__name"]


@admin.register(WorkerState)
class WorkerStateAdmin(FleetHistoryAdmin):
    list_display = ["name", "role", "fleet", "observed_at", "pool", "pool_size", "prefetch", "processed"]
    search_fields = ["name", "role"]


@admin.register(QueueState)
class QueueStateAdmin(FleetHistoryAdmin):
    list_display = ["name", "fleet", "observed_at", "ready", "unacked", "consumers", "oldest_age_seconds"]
    search_fields = ["name"]


@admin.register(Redelivery)
class RedeliveryAdmin(FleetHistoryAdmin):
    list_display = ["uuid", "name", "fleet", "worker", "count", "last_at"]
    search_fields = ["=uuid", "name"]
