"""Checks and pings on the wire."""

from __future__ import annotations

from typing import Any

import django_filters
from django.utils import timezone
from rest_framework import serializers

from alerts.checks import queries
from alerts.checks.models import Check, Ping
from alerts.checks.timing import Shown
from alerts.models import Severity
from vsm_site.api.fields import SystemField
from vsm_site.api.filters import InSystem
from vsm_site.api.serializers import Plain


class CheckSerializer(Plain):
    id = serializers.IntegerField(read_only=True)
    system = SystemField(required=False, allow_null=True)
    name = serializers.CharField(max_length=120)
    every_seconds = serializers.IntegerField(min_value=10, max_value=366 * 86_400, required=False, allow_null=True)
    crontab = serializers.CharField(max_length=320, required=False, allow_blank=True)
    time_zone = serializers.CharField(max_length=60, required=False)
    grace_seconds = serializers.IntegerField(min_value=10, max_value=366 * 86_400, required=False)
    severity = serializers.ChoiceField(choices=Severity.choices, required=False)
    tags = serializers.ListField(child=serializers.CharField(max_length=260), required=False)
    enabled = serializers.BooleanField(required=False)
    status = serializers.ChoiceField(choices=[str(each) for each in Shown], read_only=True)
    reason = serializers.CharField(read_only=True)
    running = serializers.BooleanField(read_only=True)
    pings = serializers.IntegerField(read_only=True)
    pinged_at = serializers.DateTimeField(read_only=True, allow_null=True)
    started_at = serializers.DateTimeField(read_only=True, allow_null=True)
    expected_at = serializers.DateTimeField(read_only=True, allow_null=True)
    down_at = serializers.DateTimeField(read_only=True, allow_null=True, help_text="Unless something is heard before")
    changed_at = serializers.DateTimeField(read_only=True)
    duration_seconds = serializers.FloatField(read_only=True, allow_null=True)
    ping_url = serializers.CharField(read_only=True, allow_null=True, help_text="Only for those who may operate it")

    def to_representation(self, instance: Check) -> dict[str, Any]:
        operated = self.context.get("operated", frozenset())
        return queries.check_body(instance, now=timezone.now(), with_address=instance.system_id in operated)


class PingSerializer(Plain):
    number = serializers.IntegerField()
    kind = serializers.ChoiceField(choices=Ping.Kind.choices)
    exit_code = serializers.IntegerField(allow_null=True)
    at = serializers.DateTimeField()
    duration_seconds = serializers.FloatField(allow_null=True)
    method = serializers.CharField()
    remote = serializers.CharField()
    agent = serializers.CharField()
    body = serializers.CharField(help_text="With its secrets hidden")

    def to_representation(self, instance: Ping) -> dict[str, Any]:
        return queries.ping_body(instance)


class CheckFilter(InSystem):
    search = django_filters.CharFilter(field_name="name", lookup_expr="icontains", label="Part of the name")

    class Meta:
        model = Check
        fields = ["status", "enabled"]
