"""How people are reached, on the wire."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from alerts.models import Target
from alerts.notices import queries
from vsm_site.api.serializers import Plain


class ContactMethodSerializer(Plain):
    id = serializers.IntegerField()
    name = serializers.CharField()
    kind = serializers.CharField()
    config = serializers.DictField(child=serializers.CharField())
    secrets = serializers.DictField(
        child=serializers.CharField(), help_text="Which are set; their values are not shown"
    )
    enabled = serializers.BooleanField()
    failures = serializers.IntegerField(help_text="In a row")
    last_error = serializers.CharField()
    last_sent_at = serializers.DateTimeField(allow_null=True)

    def to_representation(self, instance: Target) -> dict[str, Any]:
        body = queries.target_body(instance)
        return {name: value for name, value in body.items() if name in self.fields}


class NewContactMethodSerializer(Plain):
    name = serializers.CharField(max_length=120)
    kind = serializers.CharField(max_length=40, help_text="email, ntfy, telegram, webhook, slack, …")
    settings = serializers.DictField(help_text="As the kind wants them; secrets are kept where they are not given")
    enabled = serializers.BooleanField(required=False)


class QuietHoursSerializer(Plain):
    days = serializers.ListField(child=serializers.CharField(), required=False, default=list)
    until = serializers.CharField(help_text="07:00")

    def get_fields(self) -> dict[str, Any]:
        return {**super().get_fields(), "from": serializers.CharField(help_text="22:00")}


class ContactStepSerializer(Plain):
    after_minutes = serializers.IntegerField(min_value=0, default=0)
    method = serializers.CharField(max_length=120, help_text="The name of one of your methods")


class ContactRulesSerializer(Plain):
    time_zone = serializers.CharField(max_length=60)
    quiet_hours = QuietHoursSerializer(many=True, help_text="In which other than critical waits until they end")
    critical = ContactStepSerializer(many=True)
    other = ContactStepSerializer(many=True)
