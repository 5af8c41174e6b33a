"""What goes in and out of the API about configuration audits."""

from __future__ import annotations

from typing import Any

import django_filters
from rest_framework import serializers

from subsystems.s3_control.audit import queries
from subsystems.s3_control.audit.models import AuditRun, Finding, FleetAudit
from vsm_site.api.fields import MomentField
from vsm_site.api.filters import InSystem

Plain = serializers.Serializer[Any]


class FleetAuditFilter(InSystem):
    fleet = django_filters.CharFilter(field_name="fleet__name", label="Name of the fleet")

    class Meta:
        model = FleetAudit
        fields: list[str] = []


class FindingFilter(InSystem):
    fleet = django_filters.CharFilter(field_name="fleet__name", label="Name of the fleet")
    state = django_filters.MultipleChoiceFilter(choices=Finding.State.choices, label="One or more states")
    severity = django_filters.MultipleChoiceFilter(choices=Finding.Severity.choices, label="One or more severities")

    class Meta:
        model = Finding
        fields = ["rule"]


class AuditRunFilter(FleetAuditFilter):
    class Meta:
        model = AuditRun
        fields: list[str] = []


class FleetAuditSerializer(Plain):
    id = serializers.IntegerField(help_text="Of the fleet")
    fleet = serializers.CharField()
    own = serializers.BooleanField(help_text="The platform's own workers")
    system = serializers.SlugField()
    score = serializers.FloatField(allow_null=True, help_text="0 to 1; null is unknown")
    audited_at = serializers.DateTimeField(allow_null=True, help_text="The last time somebody answered")
    next_at = serializers.DateTimeField()
    error = serializers.CharField(help_text="Why the last audit learned nothing")
    worker_count = serializers.IntegerField()
    open = serializers.IntegerField()
    accepted = serializers.IntegerField()
    fixed = serializers.IntegerField()
    kept = serializers.ListField(child=serializers.CharField(), help_text="Rules that apply and are not broken")
    not_applicable = serializers.ListField(child=serializers.CharField())

    def to_representation(self, instance: dict[str, Any]) -> dict[str, Any]:
        return instance


class AuditFindingSerializer(Plain):
    id = serializers.IntegerField()
    fleet = serializers.CharField()
    system = serializers.SlugField()
    rule = serializers.CharField()
    subject = serializers.CharField(help_text="Workers, a queue, a setting or the broker")
    severity = serializers.ChoiceField(choices=Finding.Severity.choices)
    title = serializers.CharField()
    reason = serializers.CharField()
    fix = serializers.CharField()
    link = serializers.CharField()
    evidence = serializers.DictField()
    state = serializers.ChoiceField(choices=Finding.State.choices)
    first_seen_at = serializers.DateTimeField()
    last_seen_at = serializers.DateTimeField()
    times_seen = serializers.IntegerField()
    times_returned = serializers.IntegerField(help_text="Seen again after it was fixed")
    fixed_at = serializers.DateTimeField(allow_null=True)
    accepted_at = serializers.DateTimeField(allow_null=True)
    accepted_until = serializers.DateTimeField(allow_null=True)
    accepted_by = serializers.CharField(allow_null=True)
    accepted_reason = serializers.CharField()

    def to_representation(self, instance: Finding) -> dict[str, Any]:
        return queries.finding_body(instance)


class AuditRunSerializer(Plain):
    id = serializers.IntegerField()
    fleet = serializers.CharField()
    system = serializers.SlugField()
    at = serializers.DateTimeField()
    score = serializers.FloatField(allow_null=True)
    worker_count = serializers.IntegerField()
    found = serializers.IntegerField()
    new = serializers.IntegerField()
    fixed = serializers.IntegerField()
    error = serializers.CharField()

    def to_representation(self, instance: AuditRun) -> dict[str, Any]:
        return queries.run_body(instance)


class AuditRuleSerializer(Plain):
    id = serializers.CharField()
    severity = serializers.ChoiceField(choices=Finding.Severity.choices)
    weight = serializers.IntegerField(help_text="What one open finding takes from a score of 100")
    title = serializers.CharField()
    reason = serializers.CharField()
    fix = serializers.CharField()
    link = serializers.CharField()


class AcceptSerializer(Plain):
    reason = serializers.CharField(max_length=500)
    until = MomentField(required=False)
