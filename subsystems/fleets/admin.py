"""Fleets in the admin: what should be there, how long detectors wait, and what they found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib import admin
from django.contrib.auth.models import User

from subsystems.fleets import services, topology
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
from subsystems.recursion.administering import HistoryAdmin, HouseAdmin, ServiceAdmin


@admin.register(ExpectedWorkers)
class ExpectedWorkersAdmin(ServiceAdmin):
    about = "How many workers of a role should read a queue. Fewer are reported as missing workers."
    owner = "fleet"
    list_display = ["fleet", "role", "queue", "workers"]
    list_filter = ["fleet"]
    search_fields = ["role", "queue"]
    autocomplete_fields = ["fleet"]

    def keep(self, row: ExpectedWorkers, by: User, fields: Mapping[str, Any]) -> ExpectedWorkers:
        return topology.declare(row.fleet, **{"role": row.role, "queue": row.queue, **fields})

    def get_readonly_fields(self, request: Any, obj: Any = None) -> list[str]:
        return [*super().get_readonly_fields(request, obj), *(["role", "queue"] if obj else [])]


@admin.register(DetectionRules)
class DetectionRulesAdmin(HouseAdmin):
    list_display = ["fleet", "stalled_seconds", "unread_seconds", "starved_seconds", "lost_seconds", "redeliveries"]
    search_fields = ["fleet__name"]
    autocomplete_fields = ["fleet"]


@admin.register(StuckFinding)
class StuckFindingAdmin(HistoryAdmin):
    list_display = ["summary", "kind", "fleet", "confidence", "found_at", "ended_at"]
    list_filter = ["kind", "found_at", ("ended_at", admin.EmptyFieldListFilter), "fleet"]
    search_fields = ["subject", "summary"]


@admin.register(Task)
class TaskAdmin(HistoryAdmin):
    list_display = ["name", "uuid", "fleet", "state", "worker", "queue", "runtime_seconds", "retries"]
    list_filter = ["state", "fleet"]
    search_fields = ["=uuid", "=name"]
    ordering = ["-pk"]


@admin.register(TaskRetry)
class TaskRetryAdmin(HistoryAdmin):
    list_display = ["uuid", "fleet", "at", "worker", "exception"]
    list_filter = ["fleet"]
    search_fields = ["=uuid", "exception"]
    ordering = ["-pk"]


@admin.register(ExceptionGroup)
class ExceptionGroupAdmin(HistoryAdmin):
    list_display = ["type", "message", "task_name", "fleet", "count", "last_seen_at"]
    list_filter = ["fleet"]
    search_fields = ["type", "message", "task_name"]


@admin.register(TaskRollUp)
class TaskRollUpAdmin(HistoryAdmin):
    list_display = ["at", "fleet", "name", "queue", "succeeded", "failed", "others", "retried"]
    list_filter = ["fleet"]
    search_fields = ["name", "queue"]
    ordering = ["-pk"]
    exclude = ["runtimes", "waits"]  # sketches: they say nothing to a reader


@admin.register(TaskCount)
class TaskCountAdmin(HistoryAdmin):
    list_display = ["name", "fleet", "event", "role", "queue", "exception", "n"]
    list_filter = ["fleet"]
    search_fields = ["name", "role", "queue", "exception"]


@admin.register(EndedTasks)
class EndedTasksAdmin(HistoryAdmin):
    list_display = ["pk", "fleet"]
    list_filter = ["fleet"]
    search_fields = ["fleet__name"]


@admin.register(BlindSpell)
class BlindSpellAdmin(HistoryAdmin):
    list_display = ["fleet", "reason", "began_at", "ended_at", "lost", "dropped"]
    list_filter = ["lost", "fleet"]
    search_fields = ["fleet__name"]


@admin.register(Listening)
class ListeningAdmin(HistoryAdmin):
    list_display = ["fleet", "written_at", "since", "events", "tasks", "missed", "lag_seconds"]
    search_fields = ["fleet__name"]


@admin.register(HistoryRules)
class HistoryRulesAdmin(ServiceAdmin):
    owner = "fleet"
    list_display = ["fleet", "keep_days", "max_tasks", "ask_events", "result_backend_display"]
    search_fields = ["fleet__name"]
    autocomplete_fields = ["fleet"]

    def keep(self, row: HistoryRules, by: User, fields: Mapping[str, Any]) -> HistoryRules:
        return services.set_rules(row.fleet, **fields)


@admin.register(WorkerState)
class WorkerStateAdmin(HistoryAdmin):
    list_display = ["name", "role", "fleet", "observed_at", "pool", "pool_size", "prefetch", "processed"]
    list_filter = ["fleet"]
    search_fields = ["name", "role"]


@admin.register(QueueState)
class QueueStateAdmin(HistoryAdmin):
    list_display = ["name", "fleet", "observed_at", "ready", "unacked", "consumers", "oldest_age_seconds"]
    list_filter = ["fleet"]
    search_fields = ["name"]


@admin.register(Redelivery)
class RedeliveryAdmin(HistoryAdmin):
    list_display = ["uuid", "name", "fleet", "worker", "count", "last_at"]
    list_filter = ["fleet"]
    search_fields = ["=uuid", "name"]
