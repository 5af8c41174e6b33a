"""What goes in and out of the API about coordination."""

from __future__ import annotations

from typing import Any

import django_filters
from django.utils import timezone
from rest_framework import serializers

from subsystems.s2_coordination.dampers import DampingTerms
from subsystems.s2_coordination.models import Damper, DampingRules
from subsystems.s2_coordination.monitor import queries
from subsystems.s2_coordination.monitor.models import CoordinationFinding
from vsm_site.api.fields import FiniteField
from vsm_site.api.filters import InSystem

Plain = serializers.Serializer[Any]
LONGEST = 7 * 86_400


class CoordinationFindingFilter(InSystem):
    open = django_filters.BooleanFilter(
        field_name="ended_at", lookup_expr="isnull", label="Those that are so now, or those that are over"
    )
    kind = django_filters.MultipleChoiceFilter(choices=CoordinationFinding.Kind.choices, label="One or more kinds")

    class Meta:
        model = CoordinationFinding
        fields = ["area"]


class DamperFilter(InSystem):
    class Meta:
        model = Damper
        fields = ["subject"]


class CoordinationFindingSerializer(Plain):
    id = serializers.IntegerField()
    system = serializers.SlugField()
    kind = serializers.ChoiceField(choices=CoordinationFinding.Kind.choices)
    area = serializers.CharField(help_text="workers, queue, acts, alerts, retries, fleets or schedules")
    subject = serializers.CharField()
    title = serializers.CharField()
    summary = serializers.CharField()
    suggestion = serializers.CharField()
    measure = serializers.CharField(help_text="What S2 did about it; empty: nothing by itself")
    evidence = serializers.DictField()
    signal = serializers.CharField(allow_null=True, help_text="The pain it became")
    found_at = serializers.DateTimeField()
    seen_at = serializers.DateTimeField()
    ended_at = serializers.DateTimeField(allow_null=True)
    ended_why = serializers.CharField()

    def to_representation(self, instance: CoordinationFinding) -> dict[str, Any]:
        return queries.finding_body(instance)


class DamperSerializer(Plain):
    id = serializers.IntegerField()
    subject = serializers.CharField()
    in_force = serializers.BooleanField()
    refused = serializers.ListField(child=serializers.DictField(), help_text="What would be refused, until when, why")
    last_direction = serializers.IntegerField(help_text="1 added, -1 took away, 0 nothing yet")
    acted_at = serializers.DateTimeField(allow_null=True)
    reversals = serializers.IntegerField(help_text="That count now; each doubles the wait")
    returns_seconds = serializers.FloatField(
        allow_null=True, help_text="So long after it was needed last something was wanted back, at most; null: never"
    )
    period_seconds = serializers.FloatField(allow_null=True, help_text="With which the demand for it swings")
    leased_to = serializers.CharField(allow_null=True, help_text="Who acts on it now")
    leased_until = serializers.DateTimeField(allow_null=True)
    asked_at = serializers.DateTimeField(allow_null=True)

    def to_representation(self, instance: Damper) -> dict[str, Any]:
        known: dict[int, DampingTerms] = self.context["terms"]
        terms = known.get(instance.system_id, DampingTerms())
        return queries.damper_body(instance, terms, now=timezone.now())


def _help(name: str) -> str:
    return str(getattr(DampingRules._meta.get_field(name), "help_text", ""))


class DampingSerializer(Plain):
    """How a system's acts are damped."""

    enabled = serializers.BooleanField(required=False, help_text="Off: only two writers at once are kept apart")

    def get_fields(self) -> dict[str, Any]:
        numbers = {
            name: FiniteField(required=False, max_value=LONGEST, help_text=_help(name)) for name in DampingRules.NUMBERS
        }
        return {**super().get_fields(), **numbers}


class CoordinationSerializer(Plain):
    """All that is known of how a system is coordinated; null is unknown."""

    system = serializers.SlugField()
    at = serializers.DateTimeField()
    window_seconds = serializers.FloatField()
    lag = serializers.JSONField(help_text="From sender to receiver, by channel and pair; unanswered questions apart")
    efficiency = serializers.JSONField(help_text="Acts that met no other writer, over all acts asked for")
    fairness = serializers.JSONField(help_text="Jain's index for each broker that is shared with other systems")
    damping = DampingSerializer()
    dampers = DamperSerializer(many=True)
    channels = serializers.JSONField(help_text="Offered, capacity, utilisation, backlog, age of the oldest")
    boundaries = serializers.JSONField(help_text="Variety in, out and absorbed, in bits, with the devices named for it")
    open_findings = serializers.DictField(child=serializers.IntegerField(), help_text="By kind")
