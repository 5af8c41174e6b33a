"""Admin of schedules: django-celery-beat's, with the platform's policies beside each, and the record of runs."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from celery import current_app
from django import forms
from django.contrib import admin
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django_celery_beat.admin import PeriodicTaskAdmin, PeriodicTaskForm
from django_celery_beat.models import (
    ClockedSchedule,
    CrontabSchedule,
    IntervalSchedule,
    PeriodicTask,
    SolarSchedule,
)

from subsystems.recursion.administering import HistoryAdmin, HouseAdmin, ServiceAdmin, person
from subsystems.s2_coordination import damping, services
from subsystems.s2_coordination.models import (
    BeatLease,
    BeatProcess,
    Clearing,
    CoordinationFinding,
    CoordinationReading,
    Damper,
    DampingRules,
    Schedule,
    ScheduleRun,
    TenantShare,
)
from subsystems.s2_coordination.monitor.services import set_weight

admin.site.unregister(SolarSchedule)  # they are not run here
admin.site.unregister([PeriodicTask, CrontabSchedule, IntervalSchedule, ClockedSchedule])


class StewardedForm(PeriodicTaskForm):  # type: ignore[misc]
    """A periodic task that a worker of the platform knows, with arguments that Celery can send."""

    class Meta(PeriodicTaskForm.Meta):  # type: ignore[misc]
        exclude = ("solar",)

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean()
        if data.get("task") not in current_app.tasks:
            self.add_error("task", "No worker of the platform knows a task of this name.")
        for field, kind, word in (
            ("args", list, "a list"),
            ("kwargs", dict, "an object"),
            ("headers", dict, "an object"),
        ):
            if data.get(field) and not _holds(data[field], kind):
                self.add_error(field, f"This is not {word} in JSON.")
        return data


def _holds(text: str, kind: type) -> bool:
    try:
        return isinstance(json.loads(text), kind)
    except ValueError:
        return False


class PolicyForm(forms.ModelForm):  # type: ignore[type-arg]
    """Policies, kept also where nothing was changed: each schedule has a row."""

    class Meta:
        model = Schedule
        fields = ("overlap", "catch_up", "catch_up_limit", "grace_seconds", "longest_run_seconds")

    def has_changed(self) -> bool:
        return self.instance.pk is None or super().has_changed()

    def save(self, commit: bool = True) -> Schedule:
        if self.instance.pk is None:
            now = timezone.now()
            self.instance.anchor_at, self.instance.decided_until = now.replace(microsecond=0), now
            self.instance.enabled_seen = self.instance.task.enabled
        saved: Schedule = super().save(commit)
        return saved


class PolicyInline(admin.StackedInline):  # type: ignore[type-arg]
    model = Schedule
    form = PolicyForm
    can_delete = False
    extra = 1
    max_num = 1


def _without(*left_out: str) -> list[Any]:
    """Return django-celery-beat's groups of fields without some of them."""
    return [
        (title, {**options, "fields": [field for field in options["fields"] if field not in left_out]})
        for title, options in PeriodicTaskAdmin.fieldsets
    ]


@admin.register(PeriodicTask)
class ScheduleAdmin(HouseAdmin, PeriodicTaskAdmin):  # type: ignore[misc]
    """django-celery-beat's page without what does not hold here: solar schedules, and runs that leave no record."""

    form = StewardedForm
    inlines = [PolicyInline]
    change_form_template = None  # its own writes a script into the page, which the content policy refuses
    about = "What runs when. Policies say what becomes of runs that overlap or were missed; a pause ends by itself."
    list_display = ["name", "task", "scheduler", "enabled", "last_run_at", "one_off"]
    list_filter = ["enabled", "one_off"]
    search_fields = ["name", "task"]
    actions = ["switch_on", "switch_off", "pause_for_an_hour", "resume"]
    readonly_fields = ("last_run_at",)
    fieldsets = _without("solar", "crontab_translation")

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """List them, without the warning of a scheduler that is not django-celery-beat's own."""
        shown = {**self.told_of_list(), **(extra_context or {})}
        return admin.ModelAdmin.changelist_view(self, request, shown)

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return admin.ModelAdmin.changeform_view(self, request, *args, **kwargs)

    @admin.action(description="Enable the selected schedules", permissions=["change"])
    def switch_on(self, request: HttpRequest, queryset: QuerySet[PeriodicTask]) -> None:
        self._stewarded(request, queryset.filter(enabled=False), _switched(on=True), "enabled")

    @admin.action(description="Disable the selected schedules", permissions=["change"])
    def switch_off(self, request: HttpRequest, queryset: QuerySet[PeriodicTask]) -> None:
        self._stewarded(request, queryset.filter(enabled=True), _switched(on=False), "disabled")

    @admin.action(description="Pause the selected schedules for an hour", permissions=["change"])
    def pause_for_an_hour(self, request: HttpRequest, queryset: QuerySet[PeriodicTask]) -> None:
        now = timezone.now()

        def pause(schedule: Schedule, by: User) -> None:
            services.pause(schedule, now + timedelta(hours=1), by=by, reason="Paused in the admin", now=now)

        self._stewarded(request, queryset, pause, "paused for an hour")

    @admin.action(description="End the pause of the selected schedules", permissions=["change"])
    def resume(self, request: HttpRequest, queryset: QuerySet[PeriodicTask]) -> None:
        now = timezone.now()
        self._stewarded(request, queryset, lambda row, by: services.resume(row, by=by, now=now), "go on")

    def delete_model(self, request: HttpRequest, obj: PeriodicTask) -> None:
        services.delete(services.steward(obj, now=timezone.now()), by=person(request), now=timezone.now())

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[PeriodicTask]) -> None:
        for task in queryset:
            self.delete_model(request, task)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """A schedule's runs go with it, though nobody may delete from a history."""
        names, counts, lacking, protected = super().get_deleted_objects(objs, request)
        return names, counts, lacking - {model._meta.verbose_name for model in (Schedule, ScheduleRun)}, protected

    def _stewarded(
        self, request: HttpRequest, tasks: QuerySet[PeriodicTask], verb: Callable[[Schedule, User], object], said: str
    ) -> None:
        now = timezone.now()
        rows = tasks.select_related("interval", "crontab", "clocked", "steward")
        self.each(request, rows, lambda task, by: verb(services.steward(task, now=now), by), said)


def _switched(*, on: bool) -> Callable[[Schedule, User], object]:
    return lambda schedule, by: services.change(schedule, {"enabled": on}, by=by, now=timezone.now())


class MomentsAdmin(HouseAdmin):
    """When something is due; which task is due then is said at the schedule."""

    about = "Times that schedules share. Which task is due then is said at the schedule."


@admin.register(CrontabSchedule)
class CrontabAdmin(MomentsAdmin):
    list_display = ["human_readable", "minute", "hour", "day_of_month", "month_of_year", "day_of_week", "timezone"]
    search_fields = ["minute", "hour"]


@admin.register(IntervalSchedule)
class IntervalAdmin(MomentsAdmin):
    list_display = ["__str__", "every", "period"]
    search_fields = ["=every"]


@admin.register(ClockedSchedule)
class ClockedAdmin(MomentsAdmin):
    list_display = ["clocked_time"]
    search_fields = ["clocked_time"]


@admin.register(Schedule)
class SchedulePolicyAdmin(HistoryAdmin):
    about = "What the platform adds to a periodic task. It is edited with its task."
    list_display = ["task", "next_due_at", "overlap", "catch_up", "grace_seconds", "paused_until", "problem"]
    list_filter = ["overlap", "catch_up"]
    list_select_related = ["task__interval", "task__crontab", "task__clocked"]
    search_fields = ["task__name"]


@admin.register(ScheduleRun)
class ScheduleRunAdmin(HistoryAdmin):
    list_display = ["schedule", "due_at", "state", "reason", "sent_at", "started_at", "finished_at", "worker"]
    about = "Each due time of a schedule, and what became of it."
    list_filter = ["state", "late", "due_at"]
    search_fields = ["schedule__task__name", "worker", "error"]
    list_select_related = ["schedule__task"]


@admin.register(BeatProcess)
class BeatProcessAdmin(HistoryAdmin):
    list_display = ["name", "started_at", "seen_at"]
    search_fields = ["name"]


@admin.register(BeatLease)
class BeatLeaseAdmin(HistoryAdmin):
    list_display = ["holder", "epoch", "taken_at", "renewed_at", "expires_at"]
    search_fields = ["holder"]


@admin.register(Damper)
class DamperAdmin(HistoryAdmin):
    list_display = [
        "subject",
        "system",
        "direction",
        "acted_at",
        "reversals",
        "leased_to",
        "leased_until",
        "held_until",
    ]
    list_filter = ["system"]
    search_fields = ["subject"]
    actions = ["lift"]

    @admin.action(description="Let these subjects go", permissions=["operate"])
    def lift(self, request: HttpRequest, queryset: QuerySet[Damper]) -> None:
        """Forget the reversals and every hold of each."""
        now = timezone.now()
        self.each(request, queryset, lambda row, by: damping.lift(row, by=by, now=now), "free")


@admin.register(Clearing)
class ClearingAdmin(HistoryAdmin):
    ordering = ["-pk"]
    list_display = ["damper", "writer", "direction", "code", "times", "asked_at", "last_at", "retry_at", "done"]
    list_filter = ["damper__system"]
    search_fields = ["damper__subject", "writer"]


@admin.register(DampingRules)
class DampingRulesAdmin(HistoryAdmin):
    about = "How each system damps acts. It is policy: changed on the page Policy, with a reason, version by version."
    list_display = ["system", "enabled", "relief_seconds", "retreat_seconds", "factor", "calm_seconds"]
    list_filter = ["enabled"]
    search_fields = ["system__slug", "system__name"]
    ordering = ["-pk"]


@admin.register(CoordinationFinding)
class CoordinationFindingAdmin(HistoryAdmin):
    list_display = ["title", "system", "kind", "area", "found_at", "seen_at", "ended_at"]
    list_filter = ["kind", "found_at", ("ended_at", admin.EmptyFieldListFilter), "system"]
    search_fields = ["title", "subject"]


@admin.register(CoordinationReading)
class CoordinationReadingAdmin(HistoryAdmin):
    list_display = ["system", "at"]
    list_filter = ["at", "system"]
    search_fields = ["system__slug"]
    ordering = ["-pk"]


@admin.register(TenantShare)
class TenantShareAdmin(ServiceAdmin):
    about = "How much of what it shares a system may claim beside others; a system that is not listed has 1."
    list_display = ["system", "weight"]
    search_fields = ["system__slug", "system__name"]
    autocomplete_fields = ["system"]

    def keep(self, row: TenantShare, by: User, fields: Mapping[str, Any]) -> TenantShare:
        return set_weight(row.system, by=by, now=timezone.now(), **fields)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Refuse: a share of 1 is what a system without a row has, and giving it that is recorded."""
        return False
