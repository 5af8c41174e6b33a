"""What goes in and out: input is validated here, output is what each room's queries say."""

from __future__ import annotations

import time
from typing import Any

from django.contrib.auth.models import User
from drf_spectacular.utils import extend_schema_serializer
from rest_framework import serializers

from alerts import queries as alert_queries
from alerts.conditions import KINDS
from alerts.models import Alert, AlertRule, RuleVersion, Severity
from subsystems.health import queries as health_queries
from subsystems.kernel.health import Health
from subsystems.recursion.models import ApiToken, Membership, System
from subsystems.s1_operations import queries as operations_queries
from subsystems.s1_operations.models import Unit
from subsystems.s3_control import queries as control_queries
from subsystems.s3_control.models import TaskRun
from subsystems.telemetry.models import Series
from vsm_site.api.fields import FiniteField, MomentField, SystemField, UnitField

HOUR = 3600.0
Plain = serializers.Serializer[Any]


class SystemSerializer(serializers.ModelSerializer[System]):
    parent = serializers.SlugField(source="parent.slug", read_only=True, allow_null=True, default=None)  # type: ignore[assignment]

    class Meta:
        model = System
        fields = ["slug", "name", "parent", "created_at"]


# --- S1 -------------------------------------------------------------------------------------------------------------
class UnitSerializer(Plain):
    id = serializers.IntegerField()
    system = serializers.SlugField()
    name = serializers.CharField()
    kind = serializers.CharField()
    state = serializers.ChoiceField(choices=Unit.State.choices)
    health = serializers.ChoiceField(choices=[band.value for band in Health])
    score = serializers.FloatField(allow_null=True, help_text="0 to 1; null is unknown")
    score_percent = serializers.FloatField(allow_null=True)
    parts = serializers.DictField(child=serializers.FloatField(allow_null=True))
    fleet = serializers.CharField(allow_null=True, help_text="Name of the fleet it is of")
    last_seen_at = serializers.DateTimeField(allow_null=True)
    last_error = serializers.CharField()

    def to_representation(self, instance: Unit) -> dict[str, Any]:
        body = operations_queries.unit_body(instance)
        return {**body, "system": instance.system.slug, "score_percent": percent(instance.score)}


class NewUnitSerializer(Plain):
    kind = serializers.CharField(max_length=40, help_text="`http` or `agent`, or the name of an installed adapter")
    name = serializers.CharField(max_length=200)
    config = serializers.DictField(required=False, default=dict, help_text="As the adapter wants it, such as `url`")
    system = SystemField(required=False, allow_null=True)


class FleetSerializer(Plain):
    id = serializers.IntegerField()
    system = serializers.SlugField()
    name = serializers.CharField()
    own = serializers.BooleanField()
    broker = serializers.CharField(help_text="Without name and password, which are never shown")
    enabled = serializers.BooleanField()
    connected_at = serializers.DateTimeField(allow_null=True)
    last_error = serializers.CharField()

    def to_representation(self, instance: Any) -> dict[str, Any]:
        return {**operations_queries.fleet_body(instance), "system": instance.system.slug}


class NewFleetSerializer(Plain):
    url = serializers.CharField(max_length=1000, help_text="Broker URL of the Celery application")
    name = serializers.CharField(max_length=120, required=False, default="", allow_blank=True)
    system = SystemField(required=False, allow_null=True)


# --- Telemetry ------------------------------------------------------------------------------------------------------
class SeriesSerializer(serializers.ModelSerializer[Series]):
    system = serializers.SlugRelatedField[System](slug_field="slug", read_only=True)
    labels = serializers.DictField(child=serializers.CharField(), read_only=True)

    class Meta:
        model = Series
        fields = ["id", "system", "source", "metric", "labels", "kind", "created_at"]


class RangeSerializer(Plain):
    """A range of time that ends now and is an hour long unless told."""

    def get_fields(self) -> dict[str, Any]:
        """Add `from`, which is no name in Python."""
        moments = {"from": MomentField(required=False), "to": MomentField(required=False)}
        return {**super().get_fields(), **moments}

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        end = attrs.pop("to", None)
        attrs["end"] = time.time() if end is None else end
        attrs["start"] = attrs.pop("from", attrs["end"] - HOUR)
        return attrs


class SamplesQuerySerializer(RangeSerializer):
    metric = serializers.CharField(max_length=120)


class SamplesLineSerializer(Plain):
    labels = serializers.CharField(help_text='As text: `queue="mail"`')
    points = serializers.ListField(child=serializers.ListField(child=serializers.FloatField()))


class SamplesSerializer(Plain):
    unit = serializers.IntegerField()
    metric = serializers.CharField()
    series = SamplesLineSerializer(many=True)


# --- Health ---------------------------------------------------------------------------------------------------------
class PartSerializer(Plain):
    subsystem = serializers.CharField()
    score = serializers.FloatField(allow_null=True)
    status = serializers.CharField()
    weight = serializers.FloatField()
    contribution = serializers.FloatField(allow_null=True)


class ViabilitySerializer(Plain):
    system = serializers.SlugField()
    score = serializers.FloatField(allow_null=True, help_text="0 to 1; null is unknown")
    score_percent = serializers.FloatField(allow_null=True)
    status = serializers.CharField()
    parts = PartSerializer(many=True)
    weakest_link = serializers.JSONField(allow_null=True)
    geometric = serializers.FloatField(allow_null=True)
    structural = serializers.JSONField()
    subsystems = serializers.JSONField()
    counterfactual = serializers.JSONField(help_text="What the score would be if one part alone were healthy")
    assessed_at = serializers.DateTimeField(allow_null=True)


class AssessmentSerializer(Plain):
    id = serializers.IntegerField()
    system = serializers.SlugField()
    slot = serializers.IntegerField(help_text="Start of the slot, epoch seconds")
    assessed_at = serializers.DateTimeField()
    score = serializers.FloatField(allow_null=True)
    score_percent = serializers.FloatField(allow_null=True)
    status = serializers.CharField()
    overall_health = serializers.FloatField(allow_null=True)
    parts = PartSerializer(many=True)
    subsystems = serializers.JSONField()
    weakest_link = serializers.JSONField(allow_null=True)
    geometric = serializers.FloatField(allow_null=True)
    structural = serializers.JSONField()
    details = serializers.JSONField()

    def to_representation(self, instance: Any) -> dict[str, Any]:
        return health_queries.assessment_body(instance)


# --- Alerts ---------------------------------------------------------------------------------------------------------
class AlertRuleSerializer(serializers.ModelSerializer[AlertRule]):
    system = SystemField(required=False)
    unit = UnitField(required=False, allow_null=True)
    kind = serializers.ChoiceField(choices=list(KINDS), default="threshold", help_text="What the number is")
    params = serializers.DictField(required=False, default=dict, help_text="Settings of this kind; see kinds/")
    metric = serializers.CharField(max_length=120, required=False, allow_blank=True, default="")
    threshold = FiniteField(required=False, allow_null=True, default=None)
    recover_threshold = FiniteField(required=False, allow_null=True, default=None)
    severity_steps = serializers.ListField(child=serializers.DictField(), required=False, default=list)
    owner = serializers.SlugRelatedField(
        slug_field="username", queryset=User.objects.all(), required=False, allow_null=True,
        error_messages={"does_not_exist": "Nobody here has this name."},
    )  # fmt: skip  # type: ignore[var-annotated]
    labels = serializers.DictField(child=serializers.CharField(allow_blank=True), required=False, default=dict)
    annotations = serializers.DictField(child=serializers.CharField(allow_blank=True), required=False, default=dict)
    runbook_url = serializers.CharField(required=False, allow_blank=True, max_length=500, help_text="http or https")
    created_by = serializers.CharField(source="created_by.username", read_only=True, allow_null=True, default=None)

    class Meta:
        model = AlertRule
        fields = [
            "id", "system", "name", "kind", "params", "metric", "unit", "unit_kind", "match", "subtree", "aggregation",
            "window_seconds", "across", "at_least", "comparison", "threshold", "recover_threshold", "severity_steps",
            "for_seconds", "keep_firing_seconds", "stale_seconds", "no_data_policy", "error_policy",
            "interval_seconds", "severity", "cooldown_seconds", "enabled", "labels", "annotations", "runbook_url",
            "owner", "version", "error", "error_since", "created_by", "created_at", "updated_at",
        ]  # fmt: skip
        read_only_fields = ["version", "error", "error_since", "created_at", "updated_at"]
        validators: list[Any] = []  # the name's uniqueness is the service's to explain


class PreviewQuerySerializer(Plain):
    metric = serializers.CharField(max_length=120, required=False, default="", allow_blank=True)
    unit_kind = serializers.CharField(max_length=40, required=False, default="", allow_blank=True)
    unit = UnitField(required=False)
    comparison = serializers.ChoiceField(choices=AlertRule.Comparison.choices, default="gt")
    threshold = FiniteField(required=False)
    system = SystemField(required=False)
    kind = serializers.ChoiceField(choices=list(KINDS), default="threshold")
    aggregation = serializers.ChoiceField(choices=AlertRule.Aggregation.choices, default="last")
    window_seconds = serializers.IntegerField(min_value=0, max_value=3600, default=0)
    stale_seconds = serializers.IntegerField(min_value=5, max_value=3600, default=30)
    match = serializers.CharField(max_length=500, required=False, default="", allow_blank=True)
    subtree = serializers.BooleanField(default=False)
    params = serializers.JSONField(required=False, default=dict)


class PreviewSerializer(Plain):
    subject = serializers.CharField()
    unit_id = serializers.IntegerField(allow_null=True)
    value = serializers.FloatField(allow_null=True)
    at = serializers.DateTimeField(allow_null=True)
    stale = serializers.BooleanField(help_text="Not heard for over 30 s")
    matches = serializers.BooleanField(allow_null=True, help_text="null when it is stale or there is no threshold")


class RuleVersionSerializer(serializers.ModelSerializer[RuleVersion]):
    by = serializers.CharField(source="by.username", read_only=True, allow_null=True, default=None)

    class Meta:
        model = RuleVersion
        fields = ["version", "fields", "changed", "by", "at"]

    def get_fields(self) -> dict[str, Any]:
        """The method of this name is the framework's; the column is asked for by its own."""
        return {**super().get_fields(), "fields": serializers.JSONField(read_only=True)}


class RehearsalQuerySerializer(Plain):
    days = serializers.FloatField(min_value=0.01, max_value=30, default=7)


class EpisodeSerializer(Plain):
    subject = serializers.CharField()
    pending_at = serializers.DateTimeField()
    fired_at = serializers.DateTimeField()
    ended_at = serializers.DateTimeField(allow_null=True)
    seconds = serializers.FloatField()
    severity = serializers.ChoiceField(choices=Severity.choices)


class RehearsalSerializer(Plain):
    to = serializers.DateTimeField()
    step_seconds = serializers.FloatField(help_text="Between two looks at the past")
    tiers = serializers.ListField(child=serializers.CharField())
    complete = serializers.BooleanField()
    series = serializers.IntegerField()
    fired = serializers.IntegerField()
    firing_seconds = serializers.FloatField()
    longest_seconds = serializers.FloatField()
    told = serializers.IntegerField(help_text="Of the alerts, how many people would have been told of")
    withheld = serializers.DictField(child=serializers.IntegerField(), help_text="How many not, by reason")
    notifications = serializers.IntegerField(help_text="Messages, after routing, grouping and repetition")
    reasons = serializers.DictField(child=serializers.IntegerField(), help_text="Messages by why they are sent")
    receivers = serializers.DictField(child=serializers.IntegerField(), help_text="Messages by receiver")
    episodes = EpisodeSerializer(many=True)

    def get_fields(self) -> dict[str, Any]:
        """The range's start has a name that Python keeps for itself."""
        return {"from": serializers.DateTimeField(), **super().get_fields()}


class ImportSerializer(Plain):
    text = serializers.CharField(max_length=500_000, trim_whitespace=False, help_text="YAML")
    dry_run = serializers.BooleanField(default=False, help_text="Say what would become of it, and keep nothing")
    whole = serializers.BooleanField(
        default=False, help_text="All of it or nothing, and change what has a name of the file"
    )
    system = SystemField(required=False)


class RefusedRuleSerializer(Plain):
    name = serializers.CharField()
    reason = serializers.CharField()
    line = serializers.IntegerField(required=False, help_text="Of the file, where it is known")


class ImportedSerializer(Plain):
    added = serializers.ListField(child=serializers.CharField())
    changed = serializers.JSONField(help_text="By name and field: what it was and what it is")
    unchanged = serializers.ListField(child=serializers.CharField())
    refused = RefusedRuleSerializer(many=True)
    kept = serializers.BooleanField(help_text="False: tried, or refused as a whole")


class ExportSerializer(Plain):
    text = serializers.CharField(help_text="YAML")


class PackSerializer(Plain):
    name = serializers.CharField()
    title = serializers.CharField()
    about = serializers.CharField()
    rules = serializers.ListField(child=serializers.CharField())


class InstallSerializer(Plain):
    name = serializers.CharField(max_length=40)
    system = SystemField(required=False)


class RevertSerializer(Plain):
    version = serializers.IntegerField(min_value=1)


class ExplanationSerializer(Plain):
    subject = serializers.CharField()
    state = serializers.CharField()
    value = serializers.FloatField(allow_null=True)
    threshold = serializers.FloatField()
    rule_version = serializers.IntegerField()
    because = serializers.ListField(child=serializers.CharField())
    would_change = serializers.ListField(child=serializers.CharField())


class KindSerializer(Plain):
    name = serializers.CharField()
    title = serializers.CharField()
    says = serializers.CharField()
    needs_metric = serializers.BooleanField()
    default_window = serializers.IntegerField()
    default_threshold = serializers.FloatField(allow_null=True)
    params = serializers.DictField(help_text="Its settings with their defaults")


class AlertSerializer(Plain):
    id = serializers.IntegerField()
    system = serializers.SlugField()
    title = serializers.CharField()
    type = serializers.CharField()
    severity = serializers.ChoiceField(choices=Severity.choices)
    state = serializers.ChoiceField(choices=Alert.State.choices)
    unit_id = serializers.IntegerField(allow_null=True)
    unit = serializers.CharField(allow_null=True)
    subject = serializers.CharField()
    metric = serializers.CharField(allow_null=True)
    comparison = serializers.CharField(allow_null=True)
    threshold = serializers.FloatField(allow_null=True)
    value = serializers.FloatField(allow_null=True)
    rule_id = serializers.IntegerField(allow_null=True)
    pending_at = serializers.DateTimeField()
    fired_at = serializers.DateTimeField(allow_null=True)
    recovering_at = serializers.DateTimeField(allow_null=True)
    resolved_at = serializers.DateTimeField(allow_null=True)
    resolved_by = serializers.CharField(allow_null=True)
    resolution = serializers.CharField()
    acknowledged_at = serializers.DateTimeField(allow_null=True)
    acknowledged_by = serializers.CharField(allow_null=True)
    acknowledged_until = serializers.DateTimeField(allow_null=True, help_text="Then it is nobody's again")
    comment = serializers.CharField()
    assigned_to = serializers.CharField(allow_null=True)
    snoozed_until = serializers.DateTimeField(allow_null=True, help_text="Until then nobody is told of it")
    snoozed_by = serializers.CharField(allow_null=True)
    suppressed = serializers.CharField(help_text="Why nobody is told of it now, e.g. silence or cooldown")
    repeats = serializers.IntegerField()
    no_data_since = serializers.DateTimeField(allow_null=True)
    escalation_level = serializers.IntegerField()
    labels = serializers.DictField(child=serializers.CharField())
    annotations = serializers.DictField(child=serializers.CharField())
    rule_version = serializers.IntegerField(allow_null=True)

    def to_representation(self, instance: Alert) -> dict[str, Any]:
        return {**alert_queries.alert_body(instance), "system": instance.system.slug}


# --- Tasks ----------------------------------------------------------------------------------------------------------
class TaskSerializer(Plain):
    name = serializers.CharField()
    summary = serializers.CharField()
    schema = serializers.DictField(help_text="JSON Schema of the arguments")


class TriggerSerializer(Plain):
    arguments = serializers.DictField(required=False, default=dict)


class ProgressSerializer(Plain):
    done = serializers.IntegerField()
    total = serializers.IntegerField()


class RunSerializer(Plain):
    id = serializers.UUIDField()
    name = serializers.CharField()
    arguments = serializers.DictField()
    state = serializers.ChoiceField(choices=TaskRun.State.choices)
    result = serializers.JSONField(allow_null=True)
    error = serializers.CharField()
    worker = serializers.CharField()
    progress = ProgressSerializer(allow_null=True)
    requested_by = serializers.CharField(allow_null=True)
    requested_at = serializers.DateTimeField()
    started_at = serializers.DateTimeField(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)

    def to_representation(self, instance: TaskRun) -> dict[str, Any]:
        return control_queries.run_body(instance)


# --- Access ---------------------------------------------------------------------------------------------------------
class TokenSerializer(serializers.ModelSerializer[ApiToken]):
    system = SystemField(required=False, allow_null=True, help_text="Bind the token to one system and all below it")
    scopes = serializers.ListField(
        child=serializers.ChoiceField(choices=ApiToken.Scope.choices), allow_empty=False, max_length=4
    )

    class Meta:
        model = ApiToken
        fields = ["id", "name", "scopes", "system", "prefix", "created_at", "last_used_at", "expires_at"]
        read_only_fields = ["prefix", "created_at", "last_used_at"]


@extend_schema_serializer(component_name="NewToken")
class NewTokenSerializer(TokenSerializer):
    """A token just made: the only answer that has its secret."""

    secret = serializers.CharField(read_only=True)

    class Meta(TokenSerializer.Meta):
        fields = [*TokenSerializer.Meta.fields, "secret"]


class MemberSerializer(serializers.ModelSerializer[Membership]):
    user = serializers.CharField(source="user.username", read_only=True)
    system = serializers.SlugRelatedField[System](slug_field="slug", read_only=True)

    class Meta:
        model = Membership
        fields = ["id", "user", "system", "role"]


class HeldSerializer(Plain):
    slug = serializers.SlugField()
    name = serializers.CharField()
    scopes = serializers.ListField(child=serializers.CharField())


class TokenFactsSerializer(Plain):
    name = serializers.CharField()
    scopes = serializers.ListField(child=serializers.CharField())
    system = serializers.SlugField(allow_null=True)


class MeSerializer(Plain):
    username = serializers.CharField()
    systems = HeldSerializer(many=True)
    token = TokenFactsSerializer(allow_null=True)


def percent(score: float | None) -> float | None:
    """Return a score in 0-100, as people read it (requirements 2-1)."""
    return None if score is None else round(score * 100, 1)
