"""What goes in and out of the API about signals, and which of them are asked for."""

from __future__ import annotations

from typing import Any

import django_filters
from django.db.models import QuerySet
from rest_framework import serializers

from subsystems.algedonic import queries
from subsystems.algedonic.lifecycle import MAX_COMMENT
from subsystems.algedonic.models import OPEN_STATES, Signal
from subsystems.algedonic.services import MAX_DESCRIPTION, MAX_SOURCE
from subsystems.messaging.channels import Party
from vsm_site.api.fields import FiniteField, SystemField
from vsm_site.api.filters import InSystem

Plain = serializers.Serializer[Any]
ORIGINS = [str(party) for party in (Party.OPERATOR, Party.S1, Party.S2, Party.S3, Party.S3_STAR, Party.S4)]


class SignalFilter(InSystem):
    state = django_filters.MultipleChoiceFilter(choices=Signal.State.choices, label="One or more states")
    severity = django_filters.MultipleChoiceFilter(choices=Signal.Severity.choices, label="One or more severities")
    source = django_filters.CharFilter(max_length=MAX_SOURCE, label="Where it was felt")
    since = django_filters.IsoDateTimeFilter(field_name="raised_at", lookup_expr="gte", label="Not raised before")
    open = django_filters.BooleanFilter(method="that_are_open", label="Neither resolved nor a false alarm")

    class Meta:
        model = Signal
        fields = ["type", "aggregate", "origin"]

    def that_are_open(self, queryset: QuerySet[Signal], name: str, value: bool) -> QuerySet[Signal]:
        return queryset.filter(state__in=OPEN_STATES) if value else queryset.exclude(state__in=OPEN_STATES)


class RouteSerializer(Plain):
    party = serializers.CharField()
    level = serializers.IntegerField()
    told_at = serializers.DateTimeField()
    heard_at = serializers.DateTimeField(allow_null=True)


class SignalSerializer(Plain):
    id = serializers.CharField(help_text="32 upper-case hexadecimal digits")
    system = serializers.SlugField()
    type = serializers.ChoiceField(choices=Signal.Type.choices)
    severity = serializers.ChoiceField(choices=Signal.Severity.choices)
    intensity = serializers.FloatField()
    source = serializers.CharField()  # type: ignore[assignment]
    origin = serializers.CharField()
    description = serializers.CharField()
    data = serializers.DictField()  # type: ignore[assignment]
    state = serializers.ChoiceField(choices=Signal.State.choices)
    raised_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField()
    received_at = serializers.DateTimeField(allow_null=True)
    last_seen_at = serializers.DateTimeField()
    times_seen = serializers.IntegerField(help_text="Identical critical signals are one that counts them")
    suppressed_count = serializers.IntegerField(help_text="Similar ones that the rate limit refused since")
    acknowledged_by = serializers.CharField(allow_null=True)
    acknowledged_at = serializers.DateTimeField(allow_null=True)
    ended_at = serializers.DateTimeField(allow_null=True)
    deadline_at = serializers.DateTimeField(allow_null=True)
    escalation_level = serializers.IntegerField()
    aggregate = serializers.BooleanField()
    pattern_count = serializers.IntegerField(allow_null=True)
    child_signal = serializers.CharField(allow_null=True)
    route = RouteSerializer(many=True)

    def to_representation(self, instance: Signal) -> dict[str, Any]:
        return queries.signal_body(instance)


class SignalNoteSerializer(Plain):
    at = serializers.DateTimeField()
    by = serializers.CharField(allow_null=True, help_text="null: the platform itself")
    comment = serializers.CharField()

    def get_fields(self) -> dict[str, Any]:
        """Add `from`, which is no name in Python."""
        states = {name: serializers.ChoiceField(choices=Signal.State.choices) for name in ("from", "to")}
        return {**super().get_fields(), **states}

    def to_representation(self, instance: dict[str, Any]) -> dict[str, Any]:
        return instance


class SignalDetailSerializer(SignalSerializer):
    """A signal with its history."""

    notes = SignalNoteSerializer(many=True)

    def to_representation(self, instance: Signal) -> dict[str, Any]:
        return {**super().to_representation(instance), "notes": queries.note_bodies(instance)}


class FeltSerializer(Plain):
    """What a signal is about; without a severity the intensity decides, and whether it is felt at all."""

    type = serializers.ChoiceField(choices=Signal.Type.choices)
    severity = serializers.CharField(
        max_length=10, required=False, allow_null=True, default=None,
        help_text="critical (or emergency), high, medium or low",
    )  # fmt: skip
    intensity = FiniteField(required=False, allow_null=True, default=None, min_value=0, max_value=1)
    origin = serializers.ChoiceField(choices=ORIGINS, required=False, default="operator")
    system = SystemField(required=False)


class NewSignalSerializer(FeltSerializer):
    source = serializers.CharField(max_length=MAX_SOURCE)  # type: ignore[assignment]
    description = serializers.CharField(max_length=MAX_DESCRIPTION, required=False, default="", allow_blank=True)
    data = serializers.DictField(required=False, default=dict)  # type: ignore[assignment]


class CommentSerializer(Plain):
    comment = serializers.CharField(max_length=MAX_COMMENT, required=False, default="", allow_blank=True)


class LimitSerializer(Plain):
    layer = serializers.CharField()
    limit = serializers.FloatField()
    period_seconds = serializers.FloatField()


class DryRunSerializer(Plain):
    """Where a signal would go; only the first two fields when it would not be raised."""

    raised = serializers.BooleanField()
    reason = serializers.CharField()
    severity = serializers.ChoiceField(choices=Signal.Severity.choices, required=False)
    intensity = serializers.FloatField(required=False)
    recipients = serializers.ListField(child=serializers.CharField(), required=False)
    queue = serializers.CharField(required=False, allow_null=True)
    priority = serializers.IntegerField(required=False)
    time_to_live_seconds = serializers.FloatField(required=False)
    answer_within_seconds = serializers.FloatField(required=False, allow_null=True)
    escalation_path = serializers.ListField(child=serializers.CharField(), required=False)
    limits = LimitSerializer(many=True, required=False, help_text="That it must find room in, most specific first")
    passed_on_to = serializers.CharField(required=False, allow_null=True, help_text="The parent system that hears it")


class LatencySerializer(Plain):
    p50 = serializers.FloatField(allow_null=True)
    p99 = serializers.FloatField(allow_null=True)


class LaneSerializer(Plain):
    failing = serializers.BooleanField()
    failing_since = serializers.DateTimeField(allow_null=True)
    latency_seconds = LatencySerializer(help_text="Of the canaries of the last hour")
    answered_at = serializers.DateTimeField(allow_null=True)
    age_seconds = serializers.FloatField(allow_null=True)
    lost_total = serializers.IntegerField()
    waiting = serializers.IntegerField()
    period_seconds = serializers.IntegerField()
    failed_after_seconds = serializers.FloatField()
