"""What goes in and out of the API about policy: versions, goals, identity, decisions."""

from __future__ import annotations

from typing import Any

import django_filters
from django.db.models import QuerySet
from django.utils import timezone
from rest_framework import serializers

from subsystems.s5_policy import queries
from subsystems.s5_policy.models import Decision, Policy
from subsystems.s5_policy.terms import Kind
from vsm_site.api.fields import FiniteField, MomentField, SystemField
from vsm_site.api.filters import InSystem
from vsm_site.api.serializers import Plain

KINDS = [(each.value, each.value) for each in Kind]
SHARE = "0 to 1; null is unknown"


class PolicyFilter(InSystem):
    kind = django_filters.MultipleChoiceFilter(choices=KINDS, label="One or more kinds")

    class Meta:
        model = Policy
        fields = ["name"]


class ImportPoliciesSerializer(Plain):
    text = serializers.CharField(max_length=500_000, trim_whitespace=False, help_text="YAML or JSON, as exported")
    reason = serializers.CharField(max_length=500, help_text="Kept with each version")
    dry_run = serializers.BooleanField(default=False, help_text="Say what would become of it, and keep nothing")
    system = SystemField(required=False)


class PolicyVersionSerializer(Plain):
    """Never changed: who thinks otherwise writes the next one."""

    version = serializers.IntegerField()
    fields = serializers.JSONField(help_text="All fields of the kind")  # type: ignore[assignment]
    changed = serializers.JSONField(help_text="By field: what it was and what it is")
    values = serializers.ListField(child=serializers.CharField(), help_text="Declared values that it is to serve")
    judgement = serializers.FloatField(allow_null=True, help_text="How well it serves them, as a person judged")
    reason = serializers.CharField()
    author = serializers.CharField()
    made_at = serializers.DateTimeField()
    effective_at = serializers.DateTimeField()

    def to_representation(self, instance: Any) -> dict[str, Any]:
        return instance if isinstance(instance, dict) else queries.version_body(instance)


class SystemPolicySerializer(Plain):
    """What is in force; version 0 is what is documented."""

    id = serializers.IntegerField()
    system = serializers.SlugField()
    kind = serializers.CharField(help_text="viability, alerts, emergency, acting, goal, value")
    name = serializers.CharField(help_text="Of goals, values and kinds of acts; of the others there is one each")
    title = serializers.CharField()
    version = serializers.IntegerField()
    newest_version = serializers.IntegerField(help_text="Which may not be in force yet")
    fields = serializers.JSONField()  # type: ignore[assignment]
    values = serializers.ListField(child=serializers.CharField())
    judgement = serializers.FloatField(allow_null=True, help_text=SHARE)
    effective_at = serializers.DateTimeField(allow_null=True)
    coming = PolicyVersionSerializer(many=True)

    def to_representation(self, instance: Policy) -> dict[str, Any]:
        return queries.policy_body(instance, now=timezone.now())


class AmendSerializer(Plain):
    """A change of policy. What *fields* leaves out stays as it is."""

    system = SystemField(required=False, allow_null=True)
    kind = serializers.CharField(max_length=20, help_text="viability, alerts, emergency, acting, goal, value")
    name = serializers.CharField(
        required=False,
        allow_blank=True,
        max_length=80,
        help_text="Of acting the kind of act; empty: a new goal or value",
    )
    fields = serializers.DictField()  # type: ignore[assignment]
    reason = serializers.CharField(max_length=500)
    values = serializers.ListField(child=serializers.CharField(max_length=80), required=False, max_length=50)
    judgement = FiniteField(required=False, allow_null=True, min_value=0, max_value=1)
    effective_at = MomentField(required=False)
    expected_version = serializers.IntegerField(
        required=False, min_value=0, help_text="The newest that you have seen: 409 when there is a newer one"
    )


class RevertPolicySerializer(Plain):
    version = serializers.IntegerField(min_value=1, max_value=1_000_000)
    reason = serializers.CharField(max_length=500, required=False, allow_blank=True)


class GoalSerializer(Plain):
    """A goal as it stands."""

    id = serializers.IntegerField()
    name = serializers.CharField()
    title = serializers.CharField()
    description = serializers.CharField()
    source = serializers.CharField(help_text="metric or person")  # type: ignore[assignment]
    metric = serializers.CharField()
    unit = serializers.CharField()
    aggregation = serializers.CharField()
    window_seconds = serializers.IntegerField()
    baseline = serializers.FloatField()
    target = serializers.FloatField()
    due_on = serializers.CharField(help_text="A date, or empty")
    weight = serializers.FloatField()
    active = serializers.BooleanField()
    value = serializers.FloatField(allow_null=True)
    valued_at = serializers.DateTimeField(allow_null=True)
    progress = serializers.FloatField(allow_null=True, help_text=SHARE)


class GoalsSerializer(Plain):
    system = serializers.SlugField()
    progress = serializers.FloatField(allow_null=True, help_text="Weighted mean of those that are known")
    goals = GoalSerializer(many=True)


class GoalValueSerializer(Plain):
    value = FiniteField()
    note = serializers.CharField(max_length=500, required=False, allow_blank=True)


class EnteredSerializer(Plain):
    goal = serializers.CharField()
    value = serializers.FloatField()
    note = serializers.CharField()
    author = serializers.CharField()
    at = serializers.DateTimeField()


class DeclaredValueSerializer(Plain):
    id = serializers.IntegerField()
    name = serializers.CharField()
    title = serializers.CharField()
    statement = serializers.CharField()
    weight = serializers.FloatField()
    active = serializers.BooleanField()


class IdentitySerializer(Plain):
    system = serializers.SlugField()
    alignment = serializers.FloatField(allow_null=True, help_text=SHARE)
    items = serializers.IntegerField(help_text="Policies in force, and decisions of 90 days")
    tagged = serializers.IntegerField(help_text="With a declared value")
    judged = serializers.IntegerField(help_text="By a person")
    values = DeclaredValueSerializer(many=True)


class DecisionFilter(InSystem):
    from_alert = django_filters.BooleanFilter(method="of_alerts", label="Asked by an alert")
    open = django_filters.BooleanFilter(field_name="answered_at", lookup_expr="isnull", label="Not answered yet")
    reviewed = django_filters.BooleanFilter(
        field_name="reviewed_at", lookup_expr="isnull", exclude=True, label="With a reviewed outcome"
    )

    class Meta:
        model = Decision
        fields = ["outcome"]

    def of_alerts(self, queryset: QuerySet[Decision], name: str, value: bool) -> QuerySet[Decision]:
        return queryset.filter(title="") if value else queryset.exclude(title="")


class DecisionSerializer(Plain):
    id = serializers.IntegerField()
    system = serializers.SlugField()
    fingerprint = serializers.CharField()
    from_alert = serializers.BooleanField()
    title = serializers.CharField()
    question = serializers.CharField()
    answer = serializers.CharField()
    criterion = serializers.CharField()
    asked_at = serializers.DateTimeField()
    due_at = serializers.DateTimeField()
    answered_at = serializers.DateTimeField(allow_null=True)
    review_by = serializers.DateTimeField(allow_null=True)
    reviewed_at = serializers.DateTimeField(allow_null=True)
    outcome = serializers.CharField(allow_null=True, help_text="met, not_met; null before its review")
    outcome_note = serializers.CharField()
    values = serializers.ListField(child=serializers.CharField())
    judgement = serializers.FloatField(allow_null=True, help_text=SHARE)
    asked_by = serializers.CharField(allow_null=True)
    approver = serializers.CharField(allow_null=True, help_text="Who alone may decide; null: whoever may operate")
    decided_by = serializers.CharField(allow_null=True)
    reviewed_by = serializers.CharField(allow_null=True)

    def to_representation(self, instance: Decision) -> dict[str, Any]:
        return queries.decision_body(instance)


class AskSerializer(Plain):
    system = SystemField(required=False, allow_null=True)
    title = serializers.CharField(max_length=200)
    question = serializers.CharField(max_length=10_000, required=False, allow_blank=True)
    criterion = serializers.CharField(max_length=500, required=False, allow_blank=True)
    due_at = MomentField()
    review_by = MomentField(required=False)
    approver = serializers.CharField(max_length=150, required=False, allow_blank=True, help_text="Who alone may decide")
    values = serializers.ListField(child=serializers.CharField(max_length=80), required=False, max_length=50)


class DecideSerializer(Plain):
    answer = serializers.CharField(max_length=10_000)
    criterion = serializers.CharField(max_length=500, required=False, allow_blank=True)
    review_by = MomentField(required=False)


class ReviewSerializer(Plain):
    outcome = serializers.ChoiceField(choices=Decision.Outcome.choices)
    note = serializers.CharField(max_length=500, required=False, allow_blank=True)
    criterion = serializers.CharField(max_length=500, required=False, allow_blank=True)
    judgement = FiniteField(required=False, allow_null=True, min_value=0, max_value=1)
