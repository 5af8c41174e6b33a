"""Scaling policies as they come in and go out."""

from __future__ import annotations

from typing import Any

import django_filters
from rest_framework import serializers

from subsystems.s3_control.scaling import queries
from subsystems.s3_control.scaling.models import ScalingPolicy
from vsm_site.api.fields import FiniteField, SystemField
from vsm_site.api.filters import InSystem
from vsm_site.api.steering import OperatedFleetField

Plain = serializers.Serializer[Any]


class ScalingFieldsSerializer(serializers.ModelSerializer[ScalingPolicy]):
    """What can be changed of a policy."""

    class Meta:
        model = ScalingPolicy
        fields = list(queries.SETTINGS)


class NewScalingPolicySerializer(ScalingFieldsSerializer):
    fleet = OperatedFleetField("operate", help_text="Name of the fleet")
    queue = serializers.CharField(max_length=200)
    system = SystemField(required=False)

    class Meta(ScalingFieldsSerializer.Meta):
        fields = ["fleet", "queue", "system", *queries.SETTINGS]
        validators: list[Any] = []  # one policy for each queue and role is told by the verb itself


class DriverSerializer(Plain):
    name = serializers.CharField()
    value = serializers.FloatField(allow_null=True, help_text="null: not known")
    threshold = serializers.FloatField()
    wants = serializers.IntegerField(allow_null=True, help_text="Slots; null: no more than there are")
    quiet = serializers.BooleanField(help_text="It would do with fewer")


class ScalingPolicySerializer(ScalingFieldsSerializer):
    fleet = serializers.CharField()
    drivers = DriverSerializer(many=True, read_only=True)

    class Meta(ScalingFieldsSerializer.Meta):
        fields = ["id", "fleet", "queue", *queries.SETTINGS, "size", "desired", "why", "drivers", "looked_at"]

    def to_representation(self, instance: ScalingPolicy) -> dict[str, Any]:
        return queries.policy_body(instance)


class KedaSerializer(Plain):
    desired = serializers.IntegerField(help_text="Slots that should be there; `valueLocation: desired`")
    size = serializers.IntegerField(allow_null=True)
    least = serializers.IntegerField()
    most = serializers.IntegerField()
    age_seconds = serializers.FloatField()


class ColumnsSerializer(Plain):
    """Each a list, row by row. What is wrong with them is told by the verb, by column and row."""

    at = serializers.ListField(help_text="When each step begins: epoch seconds or RFC 3339, evenly spaced")
    arrivals = serializers.ListField(help_text="How many messages arrived in it")
    service_seconds = serializers.ListField(help_text="How long one takes, on average; null: as in the row before")


class TrialAskedSerializer(Plain):
    """The load: of the last hours, or as columns, or as the text of a CSV or JSON file with these columns."""

    hours = FiniteField(required=False, default=24.0, min_value=0.1, max_value=queries.MOST_HOURS)
    columns = ColumnsSerializer(required=False)
    text = serializers.CharField(required=False, trim_whitespace=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if "columns" in attrs and "text" in attrs:
            raise serializers.ValidationError({"text": "Give columns or text, not both."})
        return attrs


class TrialSerializer(Plain):
    step_seconds = serializers.FloatField()
    outs = serializers.IntegerField()
    ins = serializers.IntegerField()
    reversals = serializers.IntegerField()
    slot_seconds = serializers.FloatField()
    worst_backlog = serializers.FloatField()
    mean_backlog = serializers.FloatField()
    arrivals = serializers.ListField(child=serializers.FloatField(), help_text="Messages a second")
    sizes = serializers.ListField(child=serializers.IntegerField())
    backlog = serializers.ListField(child=serializers.FloatField())


class TrialsSerializer(Plain):
    with_s2 = TrialSerializer()
    without_s2 = TrialSerializer()
    at_the_most = TrialSerializer(help_text="The largest size all the time")


class ScalingPolicyFilter(InSystem):
    fleet = django_filters.CharFilter(field_name="fleet__name", label="Name of the fleet")

    class Meta:
        model = ScalingPolicy
        fields = ["queue", "enabled", "mode"]
