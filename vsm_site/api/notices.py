"""Silences, windows, targets, routing and the log of notifications on the wire."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import django_filters
from django.utils import timezone
from rest_framework import serializers

from alerts.models import AlertNotice, MaintenanceWindow, Notification, Severity, Silence, Target
from alerts.notices import queries
from alerts.notices.silencing import Cause
from vsm_site.api.fields import MomentField, SystemField
from vsm_site.api.filters import IdFilter, InSystem, MomentFilter
from vsm_site.api.serializers import Plain

MATCHERS_HELP = 'As text, `severity="info", unit=~"web-.+"`, or as a list of texts or of objects'


class AwareField(MomentField):
    """A moment whose value is an aware datetime."""

    def to_internal_value(self, data: Any) -> Any:
        try:
            return datetime.fromtimestamp(super().to_internal_value(data), UTC)
        except (OverflowError, ValueError, OSError):
            self.fail("invalid")


class MatcherSerializer(Plain):
    name = serializers.CharField()
    value = serializers.CharField(allow_blank=True)
    isRegex = serializers.BooleanField()
    isEqual = serializers.BooleanField()


class SilenceSerializer(Plain):
    id = serializers.IntegerField()
    system = serializers.SlugField()
    matchers = MatcherSerializer(many=True)
    text = serializers.CharField(help_text="The matchers as one text")
    starts_at = serializers.DateTimeField()
    ends_at = serializers.DateTimeField()
    state = serializers.ChoiceField(choices=["pending", "active", "expired"])
    created_by = serializers.CharField()
    comment = serializers.CharField()
    created_at = serializers.DateTimeField()

    def to_representation(self, instance: Silence) -> dict[str, Any]:
        return queries.silence_body(instance, timezone.now())


class NewSilenceSerializer(Plain):
    matchers = serializers.JSONField(help_text=MATCHERS_HELP)
    starts_at = AwareField(required=False)
    ends_at = AwareField()
    comment = serializers.CharField(max_length=500)
    system = SystemField(required=False, allow_null=True)


class HiddenQuerySerializer(Plain):
    matchers = serializers.CharField(max_length=5000, help_text=MATCHERS_HELP)


class HiddenAlertSerializer(Plain):
    id = serializers.IntegerField()
    title = serializers.CharField()
    severity = serializers.CharField()
    state = serializers.CharField()
    labels = serializers.DictField(child=serializers.CharField())


class HiddenSerializer(Plain):
    count = serializers.IntegerField()
    alerts = HiddenAlertSerializer(many=True, help_text="The first hundred")
    hides_all = serializers.BooleanField()


class WindowSerializer(Plain):
    id = serializers.IntegerField(read_only=True)
    system = SystemField(required=False, allow_null=True)
    name = serializers.CharField(max_length=120)
    matchers = serializers.CharField(max_length=5000, required=False, allow_blank=True, default="")
    starts_at = AwareField()
    duration_seconds = serializers.IntegerField(min_value=60, max_value=14 * 86_400)
    time_zone = serializers.CharField(max_length=60, required=False, default="UTC")
    recurrence = serializers.CharField(max_length=300, required=False, allow_blank=True, default="")
    enabled = serializers.BooleanField(required=False, default=True)
    comment = serializers.CharField(max_length=500, required=False, allow_blank=True, default="")
    open_until = serializers.DateTimeField(read_only=True, allow_null=True)
    next = serializers.ListField(child=serializers.DateTimeField(), read_only=True, allow_null=True)

    def to_representation(self, instance: MaintenanceWindow) -> dict[str, Any]:
        return queries.window_body(instance, timezone.now())


class TargetSerializer(Plain):
    id = serializers.IntegerField()
    system = serializers.SlugField()
    name = serializers.CharField()
    kind = serializers.CharField()
    config = serializers.DictField(child=serializers.CharField())
    secrets = serializers.DictField(
        child=serializers.CharField(), help_text="Which are set; their values are not shown"
    )
    fallback = serializers.CharField(allow_null=True)
    enabled = serializers.BooleanField()
    failures = serializers.IntegerField(help_text="In a row")
    rests_until = serializers.DateTimeField(allow_null=True)
    last_error = serializers.CharField()
    last_sent_at = serializers.DateTimeField(allow_null=True)

    def to_representation(self, instance: Target) -> dict[str, Any]:
        return queries.target_body(instance)


class NewTargetSerializer(Plain):
    name = serializers.CharField(max_length=120)
    kind = serializers.CharField(
        max_length=40, help_text="email, webhook, slack, teams, discord, telegram, pagerduty, …"
    )
    settings = serializers.DictField(help_text="As the kind wants them; secrets are kept where they are not given")
    fallback = serializers.CharField(max_length=120, required=False, allow_blank=True, help_text="Who stands in for it")
    enabled = serializers.BooleanField(required=False)
    system = SystemField(required=False, allow_null=True)


class RoutingSerializer(Plain):
    document = serializers.JSONField(help_text="`route`, `receivers` and `inhibit_rules` in Alertmanager's words")
    version = serializers.IntegerField(read_only=True)
    own = serializers.BooleanField(read_only=True, help_text="False where the system has written none")


class TryRoutingSerializer(Plain):
    labels = serializers.DictField(child=serializers.CharField(max_length=1024))


class TriedSerializer(Plain):
    receiver = serializers.CharField()
    targets = serializers.ListField(child=serializers.CharField())
    escalation = serializers.CharField(help_text="The escalation policy that would start; empty for none")
    group = serializers.DictField(child=serializers.CharField())
    group_wait = serializers.FloatField()
    group_interval = serializers.FloatField()
    repeat_interval = serializers.FloatField()


class NotificationSerializer(Plain):
    id = serializers.UUIDField()
    system = serializers.SlugField()
    title = serializers.CharField()
    target = serializers.CharField()
    kind = serializers.CharField()
    receiver = serializers.CharField()
    reason = serializers.CharField()
    severity = serializers.CharField()
    state = serializers.ChoiceField(choices=Notification.State.choices)
    firing = serializers.IntegerField()
    resolved = serializers.IntegerField()
    created_at = serializers.DateTimeField()
    sent_at = serializers.DateTimeField(allow_null=True)
    attempts = serializers.IntegerField()
    next_try_at = serializers.DateTimeField(allow_null=True)
    last_error = serializers.CharField()
    stands_in_for = serializers.UUIDField(allow_null=True)

    def to_representation(self, instance: Notification) -> dict[str, Any]:
        return queries.notification_body(instance)


class NotificationDetailSerializer(NotificationSerializer):
    body = serializers.DictField(help_text="Alertmanager's webhook body, version 4")

    def to_representation(self, instance: Notification) -> dict[str, Any]:
        return {**super().to_representation(instance), "body": instance.body}


class NoticeLineSerializer(Plain):
    alert_id = serializers.IntegerField()
    alert = serializers.CharField()
    system = serializers.SlugField()
    outcome = serializers.ChoiceField(choices=AlertNotice.Outcome.choices)
    cause = serializers.CharField()
    cause_id = serializers.IntegerField(allow_null=True, help_text="Of the silence, the window or the other alert")
    detail = serializers.CharField()
    at = serializers.DateTimeField()
    notification = serializers.UUIDField(allow_null=True)
    target = serializers.CharField(allow_null=True)
    state = serializers.CharField(allow_null=True)

    def to_representation(self, instance: AlertNotice) -> dict[str, Any]:
        return queries.line_body(instance)


class SilenceFilter(InSystem):
    ends_after = MomentFilter(field_name="ends_at", lookup_expr="gt", label="Those that end later")

    class Meta:
        model = Silence
        fields: list[str] = []


class NotificationFilter(InSystem):
    alert = IdFilter(field_name="lines__alert_id", label="Id of an alert that it tells of")
    target = django_filters.CharFilter(field_name="target_name", label="Name of the target")
    severity = django_filters.ChoiceFilter(choices=Severity.choices)
    after = MomentFilter(field_name="created_at", lookup_expr="gt")

    class Meta:
        model = Notification
        fields = ["state", "kind", "reason"]


class NoticeLineFilter(django_filters.FilterSet):  # type: ignore[misc]
    system = django_filters.CharFilter(field_name="alert__system__slug", label="Slug of the system")
    alert = IdFilter(field_name="alert_id", label="Id of the alert")
    cause = django_filters.ChoiceFilter(choices=[(str(each), str(each)) for each in Cause])

    class Meta:
        model = AlertNotice
        fields = ["outcome"]
