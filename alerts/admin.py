"""Admin of alert rules and alerts. Rules go through the same verbs as everywhere, so that their alerts follow."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from alerts import bulk, exchange, looking, queries, services
from alerts.checks import admin as checks_admin
from alerts.models import Alert, AlertRule, RuleVersion
from alerts.notices import admin as notices_admin
from alerts.notices import services as notices
from alerts.people import admin as people_admin
from alerts.rule_forms import meant
from subsystems.kernel.documents import Imported
from subsystems.kernel.errors import Invalid
from subsystems.recursion.administering import ExchangeAdmin, HistoryAdmin
from subsystems.recursion.models import System

__all__ = ["AlertAdmin", "AlertRuleAdmin", "checks_admin", "notices_admin", "people_admin"]
PREVIEW_LINES = 20


class RuleForm(forms.ModelForm):  # type: ignore[type-arg]
    """The fields of a rule, refused here as they would be at the API. What a form leaves out stays as it is."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, field in self.fields.items():
            field.required = field.required and name in ("system", "name", "comparison", "threshold", "severity")

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = super().clean() or self.cleaned_data
        fields = {name: meant(self, name, value) for name, value in given.items()}
        if self.errors:
            return fields
        wanted = copy(self.instance)
        for name, value in fields.items():
            setattr(wanted, name, value)
        try:
            services.check_rule(wanted)
        except Invalid as error:
            self.add_error(error.field if error.field in self.fields else None, error.detail)
        return {name: getattr(wanted, name) for name in fields}


@admin.register(AlertRule)
class AlertRuleAdmin(ExchangeAdmin):
    asks_why = False
    form = RuleForm
    list_display = ["name", "system", "condition", "for_seconds", "severity", "enabled", "live_preview"]
    list_filter = ["enabled", "severity", "kind", "system"]
    search_fields = ["name", "metric", "unit__name"]
    list_select_related = ["system", "unit"]
    autocomplete_fields = ["system", "unit", "owner"]
    readonly_fields = ["current_values", "created_at", "updated_at"]
    actions = ["enable", "disable", "rehearse"]
    about = "Conditions that are watched. While one holds for long enough, an alert fires and people are told."

    @admin.display(description="Condition")
    def condition(self, rule: AlertRule) -> str:
        return f"{queries.what(rule)} {rule.get_comparison_display()} {rule.threshold:g}"

    @admin.display(description="Now")
    def live_preview(self, rule: AlertRule) -> SafeString:
        """Link to the current values of what the rule watches."""
        return format_html('<a href="{}#current">values</a>', reverse("admin:alerts_alertrule_change", args=[rule.pk]))

    @admin.display(description="Current values")
    def current_values(self, rule: AlertRule) -> str:
        """Return the current value of each series that the rule watches, those that meet its condition first."""
        if rule.pk is None:
            return "Shown once the rule is saved."
        rows = sorted(looking.lines(rule), key=lambda line: not line["matches"])[:PREVIEW_LINES]
        if not rows:
            return "No such series has been heard in the last hour."
        words = {True: "meets the condition", False: "does not", None: "is stale"}
        items = format_html_join(
            "", "<li>{}: {} {}</li>", ((r["subject"], f"{r['value']:g}", words[r["matches"]]) for r in rows)
        )
        return format_html('<ul id="current">{}</ul>', items)

    def save_model(self, request: HttpRequest, obj: AlertRule, form: Any, change: bool) -> None:
        """Save through the verbs: a changed condition ends the alerts it raised."""
        fields = {name: getattr(obj, name) for name in services.EDITABLE}
        if change:
            services.update_rule(obj, request.user if isinstance(request.user, User) else None, **fields)
            return
        obj.created_by = request.user if isinstance(request.user, User) else None
        services.add_rule(obj, **fields)

    def bring(self, system: System, by: User, text: str, *, reason: str, dry_run: bool) -> Imported:
        return exchange.import_rules(system, by, text, dry_run=dry_run, whole=True)

    def hand_out(self, system: System) -> str:
        return exchange.export_rules(system)

    def delete_model(self, request: HttpRequest, obj: AlertRule) -> None:
        services.delete_rule(obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[AlertRule]) -> None:
        for rule in queryset:
            services.delete_rule(rule)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """A rule's history goes with it, though nobody may delete from a history."""
        names, counts, lacking, protected = super().get_deleted_objects(objs, request)
        return names, counts, lacking - {RuleVersion._meta.verbose_name}, protected

    @admin.action(description="Enable the selected rules", permissions=["change"])
    def enable(self, request: HttpRequest, queryset: QuerySet[AlertRule]) -> None:
        self.each(
            request, _off(queryset, True), lambda rule, by: services.update_rule(rule, by, enabled=True), "enabled"
        )

    @admin.action(description="Disable the selected rules and end their alerts", permissions=["change"])
    def disable(self, request: HttpRequest, queryset: QuerySet[AlertRule]) -> HttpResponse | None:
        asked = self.confirmed(
            request, queryset, title="Disable these rules?",
            consequence="Their open alerts end, and nobody is told of what they watch until they are enabled again.",
        )  # fmt: skip
        if asked is None:
            switched = _off(queryset, False)
            self.each(request, switched, lambda rule, by: services.update_rule(rule, by, enabled=False), "disabled")
        return asked

    @admin.action(description="Rehearse the selected rule on its page", permissions=["view"])
    def rehearse(self, request: HttpRequest, queryset: QuerySet[AlertRule]) -> HttpResponse | None:
        """Go where a rule is tried on what was measured in the last days: one at a time."""
        rules = list(queryset.select_related("system")[:2])
        if len(rules) != 1:
            self.message_user(request, "Choose one rule to rehearse.", messages.WARNING)
            return None
        return redirect(f"{self.view_on_site(rules[0])}#rehearse")


def _off(rules: QuerySet[AlertRule], on: bool) -> QuerySet[AlertRule]:
    """Return those of *rules* that are not yet as they are to be."""
    return rules.filter(enabled=not on).select_related("system", "unit", "owner")


@admin.register(RuleVersion)
class RuleVersionAdmin(HistoryAdmin):
    """What each rule said, and who changed it."""

    list_display = ["rule", "version", "changed", "by", "at"]
    list_filter = ["at", "rule__system"]
    search_fields = ["rule__name"]


@admin.register(Alert)
class AlertAdmin(HistoryAdmin):
    """Alerts are history; what people do with them are actions, never edits."""

    list_display = [
        "title", "system", "severity", "state", "value", "fired_at", "assigned_to", "acknowledged_by", "suppressed",
    ]  # fmt: skip
    list_filter = [
        "state",
        "severity",
        "pending_at",
        ("acknowledged_by", admin.EmptyFieldListFilter),
        "resolution",
        "system",
    ]
    search_fields = ["title", "subject", "=fingerprint"]
    about = "What a rule found at one subject, from when its condition began to hold until it was over."
    ordering = ["-pk"]
    actions = [
        "acknowledge", "unacknowledge", "snooze_for_an_hour", "unsnooze", "silence_for_an_hour", "resolve",
        "resolve_as_false_alarm",
    ]  # fmt: skip

    @admin.action(description="Acknowledge the selected alerts", permissions=["operate"])
    def acknowledge(self, request: HttpRequest, queryset: QuerySet[Alert]) -> None:
        self._each(request, queryset, services.acknowledge, "acknowledged")

    @admin.action(description="Resolve the selected alerts", permissions=["operate"])
    def resolve(self, request: HttpRequest, queryset: QuerySet[Alert]) -> None:
        self._each(request, queryset, services.resolve, "resolved")

    @admin.action(description="Let the selected alerts be nobody's again", permissions=["operate"])
    def unacknowledge(self, request: HttpRequest, queryset: QuerySet[Alert]) -> None:
        self._each(request, queryset, services.unacknowledge, "nobody's again")

    @admin.action(description="Snooze the selected alerts for an hour", permissions=["operate"])
    def snooze_for_an_hour(self, request: HttpRequest, queryset: QuerySet[Alert]) -> None:
        until = timezone.now() + timedelta(hours=1)
        self._each(request, queryset, lambda alert, by: services.snooze(alert, by, until), "snoozed for an hour")

    @admin.action(description="End the snooze of the selected alerts", permissions=["operate"])
    def unsnooze(self, request: HttpRequest, queryset: QuerySet[Alert]) -> None:
        self._each(request, queryset, services.unsnooze, "awake again")

    @admin.action(description="Silence the selected alerts for an hour", permissions=["operate"])
    def silence_for_an_hour(self, request: HttpRequest, queryset: QuerySet[Alert]) -> None:
        now = timezone.now()
        self._each(request, queryset, lambda alert, by: _silence(alert, by, now), "silenced for an hour")

    @admin.action(description="Resolve the selected alerts as false alarms", permissions=["operate"])
    def resolve_as_false_alarm(self, request: HttpRequest, queryset: QuerySet[Alert]) -> None:
        self._each(request, queryset, lambda alert, by: services.resolve(alert, by, false_alarm=True), "false alarms")

    def _each(
        self, request: HttpRequest, alerts: QuerySet[Alert], verb: Callable[[Alert, User], object], said: str
    ) -> None:
        self.each(request, alerts.select_related("system", "rule", "unit"), verb, said)


def _silence(alert: Alert, by: User, now: datetime) -> None:
    ends_at = now + timedelta(hours=1)
    notices.create_silence(alert.system, by, bulk.matchers_of(alert), ends_at, "Silenced in the admin", now=now)
