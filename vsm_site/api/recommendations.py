"""Recommendations as they come in and go out, what is permitted, what is held, and which are asked for."""

from __future__ import annotations

from typing import Any

import django_filters
from django.db.models import QuerySet
from rest_framework import serializers

from subsystems.s3_control import queries
from subsystems.s3_control.models import ActionPolicy, Hold, Recommendation
from vsm_site.api.fields import FiniteField, SystemField
from vsm_site.api.filters import InSystem, MomentFilter
from vsm_site.api.steering import OperatedFleetField

Plain = serializers.Serializer[Any]


class EffectSerializer(Plain):
    """What is to change: a metric of a source (a unit's name), from one value to another."""

    metric = serializers.CharField(max_length=200)
    source = serializers.CharField(max_length=200)  # type: ignore[assignment]
    to = FiniteField()
    unit = serializers.CharField(max_length=40, required=False, allow_blank=True)

    def get_fields(self) -> dict[str, Any]:
        """Add `from`, which is no name in Python."""
        return {**super().get_fields(), "from": FiniteField()}


class ActAskedSerializer(Plain):
    kind = serializers.CharField(max_length=40, help_text="As in `actions/kinds/`")
    target = serializers.CharField(max_length=200, required=False, allow_blank=True)
    parameters = serializers.DictField(required=False)


class NewRecommendationSerializer(Plain):
    """Advice of a person; an act is done only when somebody approves it."""

    kind = serializers.ChoiceField(choices=Recommendation.Kind.choices)
    subject = serializers.CharField(max_length=200, help_text="What it is about; one correction of it at a time")
    title = serializers.CharField(max_length=200)
    reason = serializers.CharField(max_length=1000, required=False, allow_blank=True, default="")
    key = serializers.CharField(max_length=200, required=False, allow_blank=True, default="", help_text="Said once")
    system = SystemField(required=False)
    fleet = OperatedFleetField("operate", required=False, help_text="Name of the fleet that the act is done to")
    act = ActAskedSerializer(required=False)
    expected_effect = EffectSerializer(required=False)
    evidence = serializers.DictField(required=False)
    settle_seconds = FiniteField(required=False, min_value=1, max_value=86_400)
    expires_at = serializers.DateTimeField(required=False)


class RecommendationSerializer(Plain):
    id = serializers.UUIDField()
    kind = serializers.ChoiceField(choices=Recommendation.Kind.choices)
    source = serializers.ChoiceField(choices=Recommendation.Source.choices)  # type: ignore[assignment]
    author = serializers.CharField()
    subject = serializers.CharField()
    title = serializers.CharField()
    reason = serializers.CharField()
    evidence = serializers.DictField()
    expected_effect = EffectSerializer(allow_null=True)
    act = ActAskedSerializer(allow_null=True)
    fleet_id = serializers.IntegerField(allow_null=True)
    measured_at = serializers.DateTimeField(allow_null=True, help_text="The newest data that it rests on")
    created_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField()
    state = serializers.ChoiceField(choices=Recommendation.State.choices)
    deferred_until = serializers.DateTimeField(allow_null=True)
    decided_by = serializers.CharField()
    decided_at = serializers.DateTimeField(allow_null=True)
    decided_why = serializers.CharField()
    automatic = serializers.BooleanField(help_text="Approved by the platform, within what S5 permits")
    waits_for = serializers.CharField(help_text="Why the platform has not applied it by itself")
    action = serializers.UUIDField(allow_null=True)
    applied_at = serializers.DateTimeField(allow_null=True)
    outcome = serializers.DictField(help_text="before, after, predicted, realised; or why it is not known")
    score = serializers.FloatField(allow_null=True, help_text="realised / predicted; null is unknown")
    met = serializers.BooleanField(allow_null=True)
    settled_at = serializers.DateTimeField(allow_null=True)

    def to_representation(self, instance: Recommendation) -> dict[str, Any]:
        return queries.recommendation_body(instance)


class ReasonSerializer(Plain):
    reason = serializers.CharField(required=False, allow_blank=True, max_length=500, default="")


class RefusalSerializer(Plain):
    reason = serializers.CharField(max_length=500)


class DeferralSerializer(ReasonSerializer):
    until = serializers.DateTimeField(help_text="Within the next 30 days")


class ActionPolicySerializer(Plain):
    id = serializers.IntegerField()
    kind = serializers.CharField(help_text="Kind of act")
    mode = serializers.ChoiceField(choices=ActionPolicy.Mode.choices)
    limits = serializers.DictField(help_text="targets, per_hour, cooldown_seconds, most, stop_after")
    set_by = serializers.CharField()
    set_at = serializers.DateTimeField()
    reason = serializers.CharField()

    def to_representation(self, instance: ActionPolicy) -> dict[str, Any]:
        return queries.policy_body(instance)


class HoldSerializer(Plain):
    id = serializers.IntegerField()
    subject = serializers.CharField()
    since = serializers.DateTimeField()
    failures = serializers.IntegerField()
    reason = serializers.CharField()
    detail = serializers.CharField(help_text="What was undone, and what could not be")
    signal = serializers.CharField(allow_null=True, help_text="The pain that was raised")
    released_at = serializers.DateTimeField(allow_null=True)
    released_by = serializers.CharField()

    def to_representation(self, instance: Hold) -> dict[str, Any]:
        return queries.hold_body(instance)


class RecommendationFilter(InSystem):
    state = django_filters.MultipleChoiceFilter(choices=Recommendation.State.choices, label="One or more states")
    waiting = django_filters.BooleanFilter(method="that_wait", label="Waits for a decision, or is deferred")
    subject = django_filters.CharFilter(field_name="subject", lookup_expr="icontains", label="Part of the subject")

    class Meta:
        model = Recommendation
        fields = ["kind", "source", "automatic"]

    @classmethod
    def get_filters(cls) -> dict[str, Any]:
        """Add `from` and `to`, of which the first is no name in Python."""
        times = {
            "from": MomentFilter(field_name="created_at", lookup_expr="gte", label="Not before"),
            "to": MomentFilter(field_name="created_at", lookup_expr="lte", label="Not after"),
        }
        return {**super().get_filters(), **times}

    def that_wait(self, queryset: QuerySet[Recommendation], name: str, value: bool) -> QuerySet[Recommendation]:
        waiting = {"state__in": Recommendation.WAITING}
        return queryset.filter(**waiting) if value else queryset.exclude(**waiting)


class ActionPolicyFilter(InSystem):
    class Meta:
        model = ActionPolicy
        fields = ["kind", "mode"]


class HoldFilter(InSystem):
    open = django_filters.BooleanFilter(field_name="released_at", lookup_expr="isnull", label="Not released yet")

    class Meta:
        model = Hold
        fields: list[str] = []
