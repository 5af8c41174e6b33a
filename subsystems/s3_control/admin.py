"""Admin of triggered runs: history, and a way to ask for the same again."""

from __future__ import annotations

from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpRequest

from subsystems.kernel.errors import Refused
from subsystems.messaging.admin import HistoryAdmin
from subsystems.s3_control import services
from subsystems.s3_control.models import TaskRun


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
