"""Event patterns and their detections on the wire."""

from __future__ import annotations

from typing import Any

import django_filters
from rest_framework import serializers

from subsystems.s4_intelligence.models import Pattern, PatternDetection
from subsystems.s4_intelligence.patterns import queries
from vsm_site.api.fields import FiniteField, SystemField
from vsm_site.api.filters import IdFilter, InSystem, MomentFilter
from vsm_site.api.serializers import Plain, RefusedRuleSerializer

MAX_TEXT = 20_000


class PatternFilter(InSystem):
    search = django_filters.CharFilter(field_name="name", lookup_expr="icontains", label="Part of the name")

    class Meta:
        model = Pattern
        fields = ["enabled"]


class DetectionFilter(InSystem):
    pattern = IdFilter(field_name="pattern_id", label="Id of the pattern")
    level = django_filters.NumberFilter(label="1 watch, 2 warn, 3 act")
    since = MomentFilter(field_name="began_at", lookup_expr="gte", label="Begun since")

    class Meta:
        model = PatternDetection
        fields = ["key", "verdict"]


class PatternStatisticsSerializer(Plain):
    detections = serializers.IntegerField()
    detections_24h = serializers.IntegerField()
    per_hour = serializers.FloatField(help_text="In the last 24 hours")
    early = serializers.IntegerField(help_text="Times that it came near and did not hold")
    true = serializers.IntegerField(help_text="Detections that people confirmed")
    false = serializers.IntegerField(help_text="False alarms")
    precision = serializers.FloatField(allow_null=True, help_text="Confirmed of judged; null is unknown")
    last_detection_at = serializers.DateTimeField(allow_null=True)
    level = serializers.CharField(allow_null=True, help_text="How far it has come now: watch, warn or act")
    heard = serializers.IntegerField(help_text="Events that met its conditions since it was begun; 0: it knows nothing")
    late = serializers.IntegerField(help_text="Events that came too late to be heard")
    evicted = serializers.IntegerField(help_text="Keys that gave way to others")
    doubted = serializers.IntegerField(help_text="Detections not told because too little was certain")


class PatternSerializer(Plain):
    id = serializers.IntegerField(read_only=True)
    system = SystemField(required=False, allow_null=True)
    name = serializers.CharField(read_only=True)
    description = serializers.CharField(read_only=True)
    text = serializers.CharField(max_length=MAX_TEXT, trim_whitespace=False, help_text="YAML or JSON")
    origin = serializers.CharField(read_only=True)
    enabled = serializers.BooleanField(required=False)
    version = serializers.IntegerField(read_only=True)
    changed_at = serializers.DateTimeField(read_only=True)
    changed_by = serializers.CharField(read_only=True, allow_null=True)
    statistics = PatternStatisticsSerializer(read_only=True)

    def to_representation(self, instance: dict[str, Any]) -> dict[str, Any]:
        return instance


class PatternDetectionSerializer(Plain):
    id = serializers.IntegerField()
    system = serializers.SlugField()
    pattern = serializers.CharField()
    pattern_id = serializers.IntegerField()
    version = serializers.IntegerField()
    key = serializers.CharField()
    level = serializers.CharField(help_text="watch, warn or act")
    began_at = serializers.DateTimeField()
    detected_at = serializers.DateTimeField(allow_null=True)
    last_at = serializers.DateTimeField()
    ended_at = serializers.DateTimeField(allow_null=True)
    share = serializers.FloatField()
    confidence = serializers.FloatField()
    times = serializers.IntegerField()
    verdict = serializers.CharField(allow_null=True, help_text="true, false or null")
    verdict_by = serializers.CharField(allow_null=True)
    verdict_at = serializers.DateTimeField(allow_null=True)
    comment = serializers.CharField()
    consequences = serializers.ListField(child=serializers.DictField())
    evidence = serializers.ListField(child=serializers.DictField(), help_text="The events that made it")

    def to_representation(self, instance: PatternDetection) -> dict[str, Any]:
        return queries.detection_body(instance)


class PatternTextSerializer(Plain):
    text = serializers.CharField(max_length=MAX_TEXT, trim_whitespace=False)


class RehearsedPatternSerializer(PatternTextSerializer):
    system = SystemField(required=False, allow_null=True)
    hours = FiniteField(required=False, default=24.0, help_text="How far back")


class InstallPatternsSerializer(Plain):
    system = SystemField(required=False, allow_null=True)
    names = serializers.ListField(
        child=serializers.CharField(max_length=60), required=False, max_length=50, help_text="Without it, all"
    )


class ImportedPatternsSerializer(Plain):
    added = serializers.ListField(child=serializers.CharField())
    changed = serializers.ListField(child=serializers.CharField())
    unchanged = serializers.ListField(child=serializers.CharField())
    refused = RefusedRuleSerializer(many=True, help_text="By their place in the file")


class PatternMistakeSerializer(Plain):
    field = serializers.CharField()
    line = serializers.IntegerField(help_text="0 where there is none")
    message = serializers.CharField()


class ValidatedPatternSerializer(Plain):
    valid = serializers.BooleanField()
    name = serializers.CharField(allow_null=True)
    events = serializers.ListField(child=serializers.CharField(), help_text="The events that it asks for")
    mistakes = PatternMistakeSerializer(many=True)


class ReadyMadePatternSerializer(Plain):
    name = serializers.CharField()
    title = serializers.CharField()
    needs = serializers.CharField(help_text="Whose events it waits for")
    text = serializers.CharField()


class PatternVerdictSerializer(Plain):
    verdict = serializers.ChoiceField(choices=PatternDetection.Verdict.choices)
    comment = serializers.CharField(max_length=500, required=False, allow_blank=True, default="")
