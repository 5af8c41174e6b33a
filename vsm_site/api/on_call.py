"""Teams, rotas and escalations on the wire."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from django.utils import timezone
from rest_framework import serializers

from alerts.models import EscalationPolicy, EscalationRun, EscalationStep, Page, Rota, RotaOverride, Team
from alerts.people import planning, queries
from vsm_site.api.fields import SystemField
from vsm_site.api.notices import AwareField
from vsm_site.api.people import NOBODY
from vsm_site.api.serializers import Plain


class TeamSerializer(Plain):
    id = serializers.IntegerField(read_only=True)
    system = SystemField(required=False, allow_null=True)
    name = serializers.CharField(max_length=120)
    members = serializers.ListField(child=serializers.CharField(max_length=150), help_text="Names of users")

    def to_representation(self, instance: Team) -> dict[str, Any]:
        return queries.team_body(instance)


class RotaSerializer(Plain):
    id = serializers.IntegerField(read_only=True)
    system = SystemField(required=False, allow_null=True)
    name = serializers.CharField(max_length=120)
    time_zone = serializers.CharField(max_length=60, default="UTC")
    layers = serializers.ListField(
        child=serializers.DictField(),
        help_text='The lowest first: `{"name", "participants": [names], "turn": 1, "unit": "hours|days|weeks", '
        '"handover": "09:00", "weekday": "mon", "starts_on": "2026-11-23", "hours": [{"days", "from", "until"}]}`',
    )
    tell_handover = serializers.BooleanField(default=False, help_text="Tell those whose shift begins or ends")
    on_call = serializers.CharField(read_only=True, allow_null=True)
    handover_at = serializers.DateTimeField(read_only=True, allow_null=True)
    next = serializers.CharField(read_only=True, allow_null=True, help_text="Who is on call then")

    def to_representation(self, instance: Rota) -> dict[str, Any]:
        return queries.rota_bodies([instance], now=timezone.now())[0]


class OnCallSerializer(Plain):
    rota = serializers.CharField()
    at = serializers.DateTimeField()
    user = serializers.CharField(allow_null=True)
    handover_at = serializers.DateTimeField(allow_null=True)
    next = serializers.CharField(allow_null=True)


class ShiftsQuerySerializer(Plain):
    start = AwareField(required=False, help_text="Now, unless given")
    end = AwareField(required=False, help_text="Four weeks later, unless given; 92 days at most")


class AtSerializer(Plain):
    at = AwareField(required=False, help_text="Now, unless given")


class ShiftSerializer(Plain):
    user = serializers.CharField()
    starts_at = serializers.DateTimeField()
    ends_at = serializers.DateTimeField()
    layer = serializers.CharField(help_text="Empty for an override")
    override = serializers.BooleanField()


class OverrideSerializer(Plain):
    id = serializers.IntegerField()
    user = serializers.CharField()
    starts_at = serializers.DateTimeField()
    ends_at = serializers.DateTimeField()
    created_by = serializers.CharField(allow_null=True)

    def to_representation(self, instance: RotaOverride) -> dict[str, Any]:
        return queries.override_body(instance)


class NewOverrideSerializer(Plain):
    user = serializers.SlugRelatedField(
        slug_field="username", queryset=User.objects.filter(is_active=True), required=False,
        help_text="Yourself, unless somebody else is named",
        error_messages={"does_not_exist": NOBODY, "invalid": NOBODY},
    )  # fmt: skip  # type: ignore[var-annotated]
    starts_at = AwareField()
    ends_at = AwareField()


class PolicySerializer(Plain):
    id = serializers.IntegerField(read_only=True)
    system = SystemField(required=False, allow_null=True)
    name = serializers.CharField(max_length=120)
    enabled = serializers.BooleanField(default=True)
    steps = serializers.ListField(
        child=serializers.DictField(),
        help_text='In order: `{"notify": {"user"|"team"|"rota"|"target": name}}`, `{"wait": "5m"}`, `{"repeat": 3}`, '
        '`{"stop": true}`; each perhaps with `"only_if": {"severity": "critical", "hours": […], "time_zone": …}`',
    )

    def to_representation(self, instance: EscalationPolicy) -> dict[str, Any]:
        return planning.policy_body(instance)


class EscalationPageSerializer(Plain):
    user = serializers.CharField(allow_null=True)
    method = serializers.CharField(allow_null=True)
    state = serializers.ChoiceField(choices=Page.State.choices)
    cause = serializers.CharField(help_text="Why it waits or was withheld: quiet_hours, acknowledged, no_contact, …")
    due_at = serializers.DateTimeField()
    at = serializers.DateTimeField(allow_null=True)
    notification = serializers.UUIDField(allow_null=True)
    sent = serializers.CharField(allow_null=True, help_text="The state of the notification")


class EscalationStepSerializer(Plain):
    round = serializers.IntegerField()
    number = serializers.IntegerField()
    what = serializers.CharField()
    outcome = serializers.ChoiceField(choices=EscalationStep.Outcome.choices)
    cause = serializers.CharField(help_text="Why it was skipped: condition, nobody_on_call, gone")
    at = serializers.DateTimeField()
    pages = EscalationPageSerializer(many=True)


class EscalationSerializer(Plain):
    id = serializers.IntegerField()
    system = serializers.SlugField()
    policy = serializers.CharField()
    title = serializers.CharField()
    state = serializers.ChoiceField(choices=EscalationRun.State.choices)
    round = serializers.IntegerField()
    step = serializers.IntegerField(help_text="How many of them are behind")
    of = serializers.IntegerField()
    due_at = serializers.DateTimeField(allow_null=True)
    started_at = serializers.DateTimeField()
    ended_at = serializers.DateTimeField(allow_null=True)
    steps = EscalationStepSerializer(many=True)

    def to_representation(self, instance: EscalationRun) -> dict[str, Any]:
        return planning.run_body(instance)
