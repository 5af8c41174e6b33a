"""Admin of schedules: django-celery-beat's, with the platform's policies beside each, and the record of runs."""

from __future__ import annotations

import json
from typing import Any

from celery import current_app
from django import forms
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django_celery_beat.admin import PeriodicTaskAdmin, PeriodicTaskForm
from django_celery_beat.models import PeriodicTask, SolarSchedule

from subsystems.messaging.admin import HistoryAdmin
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

admin.site.unregister(SolarSchedule)  # they are not run here
admin.site.unregister(PeriodicTask)


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
class ScheduleAdmin(PeriodicTaskAdmin):  # type: ignore[misc]
    """django-celery-beat's page without what does not hold here: solar schedules, and runs that leave no record."""

    form = StewardedForm
    inlines = [PolicyInline]
    change_form_template = None  # its own writes a script into the page, which the content policy refuses
    actions = ("enable_tasks", "disable_tasks", "toggle_tasks")
    readonly_fields = ("last_run_at",)
    fieldsets = _without("solar", "crontab_translation")

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """List them, without the warning of a scheduler that is not django-celery-beat's own."""
        return admin.ModelAdmin.changelist_view(self, request, extra_context)

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return admin.ModelAdmin.changeform_view(self, request, *args, **kwargs)


@admin.register(ScheduleRun)
class ScheduleRunAdmin(HistoryAdmin):
    list_display = ["schedule", "due_at", "state", "reason", "sent_at", "started_at", "finished_at", "worker"]
    list_filter = ["state", "reason", "late"]
    search_fields = ["schedule__task__name", "worker", "error"]
    list_select_related = ["schedule__task"]
    date_hierarchy = "due_at"


@admin.register(BeatProcess)
class BeatProcessAdmin(HistoryAdmin):
    list_display = ["name", "started_at", "seen_at"]


@admin.register(BeatLease)
class BeatLeaseAdmin(HistoryAdmin):
    list_display = ["holder", "epoch", "taken_at", "renewed_at", "expires_at"]


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
    list_select_related = ["system"]


@admin.register(Clearing)
class ClearingAdmin(HistoryAdmin):
    list_display = ["damper", "writer", "direction", "code", "times", "asked_at", "last_at", "retry_at", "done"]
    list_filter = ["code", "damper__system"]
    search_fields = ["damper__subject", "writer"]
    list_select_related = ["damper"]


@admin.register(DampingRules)
class DampingRulesAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ["system", "enabled", "relief_seconds", "retreat_seconds", "factor", "calm_seconds"]


@admin.register(CoordinationFinding)
class CoordinationFindingAdmin(HistoryAdmin):
    list_display = ["title", "system", "kind", "area", "found_at", "seen_at", "ended_at"]
    list_filter = ["kind", "area", "system"]
    search_fields = ["title", "subject"]
    list_select_related = ["system"]


@admin.register(CoordinationReading)
class CoordinationReadingAdmin(HistoryAdmin):
    list_display = ["system", "at"]
    list_filter = ["system"]
    list_select_related = ["system"]


@admin.register(TenantShare)
class TenantShareAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ["system", "weight"]
