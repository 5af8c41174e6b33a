"""What goes out of the API about scores and emergencies."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from subsystems.s5_policy import queries
from subsystems.s5_policy.models import Emergency
from vsm_site.api.filters import InSystem
from vsm_site.api.serializers import Plain


class ScoreSerializer(Plain):
    """One score, what it means, and what it was made from."""

    name = serializers.CharField()
    card = serializers.CharField(help_text="s1 to s5, overall")
    title = serializers.CharField()
    means = serializers.CharField()
    unit = serializers.CharField()
    metric = serializers.CharField(help_text="Under which /metrics shows it")
    value = serializers.FloatField(allow_null=True, help_text="null is unknown")
    reason = serializers.CharField()
    inputs = serializers.JSONField()


class ScoresSerializer(Plain):
    system = serializers.SlugField()
    at = serializers.DateTimeField(allow_null=True)
    scores = ScoreSerializer(many=True)


class SettingSerializer(Plain):
    part = serializers.CharField()
    name = serializers.CharField()
    value = serializers.JSONField()
    default = serializers.JSONField()
    variable = serializers.CharField(help_text="Of the environment; empty where nothing sets it")
    text = serializers.CharField()
    changed = serializers.BooleanField(help_text="Whether the value is another than the default")


class ConfigurationSerializer(Plain):
    configuration = serializers.JSONField(help_text="By part and name: the values")
    settings = SettingSerializer(many=True)


class ComponentsSerializer(Plain):
    overall = serializers.CharField(help_text="healthy, degraded, unhealthy: the worst of them")
    components = serializers.JSONField(help_text="By name: status and reason")
    timestamp = serializers.DateTimeField()


class EmergencyFilter(InSystem):
    class Meta:
        model = Emergency
        fields = ["mode"]


class EmergencySerializer(Plain):
    """A time in which the whole of a system was unhealthy, and what S5 made of it."""

    id = serializers.IntegerField()
    system = serializers.SlugField()
    began_at = serializers.DateTimeField()
    responded_at = serializers.DateTimeField(allow_null=True)
    ended_at = serializers.DateTimeField(allow_null=True)
    mode = serializers.CharField(help_text="off, advise, act; empty before the response")
    score = serializers.FloatField(allow_null=True, help_text="Health of the whole when it began")
    checklist = serializers.JSONField(help_text="What to do, why, the recommendation, and who has done it")

    def to_representation(self, instance: Emergency) -> dict[str, Any]:
        return queries.emergency_body(instance)


class TickSerializer(Plain):
    number = serializers.IntegerField(min_value=0, max_value=1000, help_text="Of the line, from 0")
    done = serializers.BooleanField(default=True)
