"""Where metrics are exported to, people and their groups, and who did what in the admin itself."""

from __future__ import annotations

from typing import Any

from axes.admin import AccessAttempt, AccessFailureLog, AccessLog
from django import forms
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from django.db.models import QuerySet
from django.http import HttpRequest

from subsystems.kernel.errors import Invalid
from subsystems.recursion.administering import HistoryAdmin, HouseAdmin, refused_at
from subsystems.telemetry.models import ExportTarget
from vsm_site.dashboard.models import ChosenColumns, Preferences, SavedView
from vsm_site.exporters.services import check_target

HELP = "One to a line, such as Authorization: Bearer … They are encrypted and never shown again; empty: they stay."
admin.site.unregister([User, Group, AccessAttempt, AccessFailureLog, AccessLog])


class ExportTargetForm(forms.ModelForm):  # type: ignore[type-arg]
    """A target with its headers, which can be given and taken away, but not read."""

    headers = forms.CharField(
        required=False, widget=forms.Textarea(attrs={"rows": 3}), help_text=HELP, max_length=5_000
    )
    no_headers = forms.BooleanField(required=False, label="Forget the headers")

    class Meta:
        model = ExportTarget
        fields = ["name", "kind", "address", "system", "period_seconds", "prefixes", "enabled"]
        help_texts = {
            "name": "By which it is told from others.",
            "kind": "What the other side speaks.",
            "period_seconds": "How often the numbers are sent.",
            "enabled": "Off: nothing is sent.",
        }

    def clean(self) -> dict[str, Any]:
        found = super().clean() or {}
        if self.errors:
            return found
        for field in set(found) - {"headers", "no_headers"}:
            setattr(self.instance, field, found[field])
        text = "" if found.get("no_headers") else found.get("headers") or None
        try:
            check_target(self.instance, text)
        except Invalid as error:
            refused_at(self, error)
        return found


@admin.register(ExportTarget)
class ExportTargetAdmin(HouseAdmin):
    about = "Where what /metrics shows is sent as well, and how that goes. After failures a target rests for a while."
    form = ExportTargetForm
    list_display = ["name", "kind", "address", "enabled", "sent_at", "last_error", "sent_samples", "dropped_samples"]
    list_filter = ["kind", "enabled"]
    search_fields = ["name", "address"]
    autocomplete_fields = ["system"]
    readonly_fields = [
        "header_names", "sent_at", "last_error", "failures", "retry_at", "sent_samples", "dropped_samples",
    ]  # fmt: skip
    actions = ["enable", "disable"]

    @admin.action(description="Enable: send numbers to these", permissions=["change"])
    def enable(self, request: HttpRequest, queryset: QuerySet[ExportTarget]) -> None:
        self.each(request, queryset.filter(enabled=False), _switched(on=True), "enabled")

    @admin.action(description="Disable: send nothing to these", permissions=["change"])
    def disable(self, request: HttpRequest, queryset: QuerySet[ExportTarget]) -> None:
        self.each(request, queryset.filter(enabled=True), _switched(on=False), "disabled")


def _switched(*, on: bool) -> Any:
    def save(target: ExportTarget, by: User) -> None:
        target.enabled = on
        target.save(update_fields=["enabled"])

    return save


@admin.register(User)
class PersonAdmin(HouseAdmin, UserAdmin):  # type: ignore[type-arg]
    about = "People who may log in. What one may do where is said by roles in systems; staff may open this admin."
    list_display = ["username", "email", "is_active", "is_staff", "is_superuser", "last_login"]
    list_filter = ["is_active", "is_staff", "is_superuser"]


@admin.register(Group)
class PeopleGroupAdmin(HouseAdmin, GroupAdmin):
    about = "People who share rights in this admin, and to whom steering rules may leave acts."
    list_display = ["name"]


@admin.register(LogEntry)
class LogEntryAdmin(HistoryAdmin):
    about = "What was done in this admin, by whom. The event log has the same, sealed, in its stream audit."
    list_display = ["action_time", "user", "content_type", "object_repr", "action_flag", "change_message"]
    list_filter = ["action_flag", "action_time"]
    search_fields = ["object_repr", "change_message", "user__username"]
    ordering = ["-pk"]


@admin.register(SavedView)
class SavedViewAdmin(HistoryAdmin):
    about = "Pages with their filters that people keep under a name; renamed and deleted on their own page."
    list_display = ["name", "system", "owner", "path", "shared", "created_at", "deleted_at"]
    list_filter = ["shared", "system"]
    search_fields = ["name", "path", "owner__username"]
    ordering = ["-pk"]


@admin.register(Preferences)
class PreferencesAdmin(HistoryAdmin):
    about = "How each person wants the pages; changed by themselves, on their own page."
    list_display = ["user", "time_zone", "theme", "overview", "first_view", "single_keys", "changed_at"]
    list_filter = ["theme", "single_keys"]
    search_fields = ["user__username", "time_zone"]
    ordering = ["-pk"]


@admin.register(ChosenColumns)
class ChosenColumnsAdmin(HistoryAdmin):
    about = "Which columns of the lists people want to see; chosen above each list."
    list_display = ["person", "table", "names"]
    search_fields = ["table", "person__username"]
    ordering = ["-pk"]


class AccessAdmin(HistoryAdmin):
    """Who tried to get in; passwords are never kept."""

    search_fields = ["username", "=ip_address"]
    ordering = ["-pk"]


@admin.register(AccessAttempt)
class AccessAttemptAdmin(AccessAdmin):
    about = (
        "Names and addresses from which logging in failed. Too many failures lock them out for a quarter of an hour."
    )
    list_display = ["attempt_time", "username", "ip_address", "user_agent", "failures_since_start"]


@admin.register(AccessFailureLog)
class AccessFailureAdmin(AccessAdmin):
    about = "Each time that logging in failed."
    list_display = ["attempt_time", "username", "ip_address", "user_agent", "locked_out"]


@admin.register(AccessLog)
class AccessLogAdmin(AccessAdmin):
    about = "Each time that somebody logged in, and out."
    list_display = ["attempt_time", "username", "ip_address", "user_agent", "logout_time"]
