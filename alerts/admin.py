"""Admin of alert rules and alerts. Rules go through the same verbs as everywhere, so that their alerts follow."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from alerts import queries, services
from alerts.models import Alert, AlertRule
from subsystems.kernel.errors import Invalid, Refused
from subsystems.messaging.admin import HistoryAdmin

PREVIEW_LINES = 20


class RuleForm(forms.ModelForm):  # type: ignore[type-arg]
    """The fields of a rule, refused here as they would be at the API."""

    def clean(self) -> dict[str, Any]:
        fields: dict[str, Any] = super().clean() or self.cleaned_data
        if self.errors:
            return fields
        wanted = copy(self.instance)
        for name, value in fields.items():
            setattr(wanted, name, value)
        try:
            services.check_rule(wanted)
        except Invalid as error:
            self.add_error(error.field if error.field in self.fields else None, error.detail)
        return fields


@admin.register(AlertRule)
class AlertRuleAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    form = RuleForm
    list_display = ["name", "system", "condition", "for_seconds", "severity", "enabled", "live_preview"]
    list_filter = ["enabled", "severity", "system", "unit_kind"]
    search_fields = ["name", "metric", "unit__name"]
    list_select_related = ["system", "unit"]
    autocomplete_fields = ["system", "unit"]
    readonly_fields = ["current_values", "created_at", "updated_at"]
    actions = ["enable", "disable"]

    @admin.display(description="Condition")
    def condition(self, rule: AlertRule) -> str:
        return f"{rule.metric} {rule.get_comparison_display()} {rule.threshold:g}"

    @admin.display(description="Now")
    def live_preview(self, rule: AlertRule) -> SafeString:
        """Link to the current values of what the rule watches."""
        return format_html('<a href="{}#current">values</a>', reverse("admin:alerts_alertrule_change", args=[rule.pk]))

    @admin.display(description="Current values")
    def current_values(self, rule: AlertRule) -> str:
        """Return the current value of each series that the rule watches, those that meet its condition first."""
        if rule.pk is None:
            return "Shown once the rule is saved."
        lines = queries.preview(rule.system, rule.metric, rule.unit_kind, rule.unit_id, rule.comparison, rule.threshold)
        rows = sorted(lines, key=lambda line: not line["matches"])[:PREVIEW_LINES]
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
            services.update_rule(obj, **fields)
            return
        obj.created_by = request.user if isinstance(request.user, User) else None
        services.add_rule(obj, **fields)

    def delete_model(self, request: HttpRequest, obj: AlertRule) -> None:
        services.delete_rule(obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[AlertRule]) -> None:
        for rule in queryset:
            services.delete_rule(rule)

    @admin.action(description="Enable the selected rules", permissions=["change"])
    def enable(self, request: HttpRequest, queryset: QuerySet[AlertRule]) -> None:
        self._switch(queryset, on=True)

    @admin.action(description="Disable the selected rules and end their alerts", permissions=["change"])
    def disable(self, request: HttpRequest, queryset: QuerySet[AlertRule]) -> None:
        self._switch(queryset, on=False)

    def _switch(self, rules: QuerySet[AlertRule], *, on: bool) -> None:
        for rule in rules:
            services.update_rule(rule, enabled=on)


@admin.register(Alert)
class AlertAdmin(HistoryAdmin):
    """Alerts are history; what people do with them are actions, never edits."""

    list_display = ["title", "system", "severity", "state", "value", "fired_at", "acknowledged_by", "suppressed"]
    list_filter = ["state", "severity", "type", "suppressed", "system"]
    search_fields = ["title", "subject", "fingerprint"]
    list_select_related = ["system", "acknowledged_by"]
    date_hierarchy = "pending_at"
    actions = ["acknowledge", "resolve"]

    def has_operate_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("alerts.change_alert")

    @admin.action(description="Acknowledge the selected alerts", permissions=["operate"])
    def acknowledge(self, request: HttpRequest, queryset: QuerySet[Alert]) -> None:
        self._each(request, queryset, services.acknowledge)

    @admin.action(description="Resolve the selected alerts", permissions=["operate"])
    def resolve(self, request: HttpRequest, queryset: QuerySet[Alert]) -> None:
        self._each(request, queryset, services.resolve)

    def _each(self, request: HttpRequest, alerts: QuerySet[Alert], verb: Callable[[Alert, User], Alert]) -> None:
        assert isinstance(request.user, User)  # nobody else has the permission
        for alert in alerts:
            try:
                verb(alert, request.user)
            except Refused as error:
                self.message_user(request, f"{alert.title}: {error.detail}", messages.WARNING)
