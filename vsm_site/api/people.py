"""What people do with alerts, on the wire."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.models import User
from django.utils import timezone
from rest_framework import serializers

from alerts.models import AlertComment
from alerts.queries import comment_body
from vsm_site.api.notices import AwareField
from vsm_site.api.serializers import Plain

NOBODY = "Nobody of this name may operate this system."


class AcknowledgeSerializer(Plain):
    comment = serializers.CharField(max_length=500, required=False, default="", allow_blank=True)
    timeout_seconds = serializers.IntegerField(
        min_value=60, max_value=7 * 86_400, required=False, allow_null=True, default=None,
        help_text="After so long it is nobody's again; without one it stays acknowledged",
    )  # fmt: skip

    def timeout(self) -> timedelta | None:
        seconds = self.validated_data["timeout_seconds"]
        return None if seconds is None else timedelta(seconds=seconds)


class AssignSerializer(Plain):
    to = serializers.SlugRelatedField(
        slug_field="username", queryset=User.objects.filter(is_active=True), allow_null=True,
        help_text="The name of somebody who may operate the system; null for nobody",
        error_messages={"does_not_exist": NOBODY, "invalid": NOBODY},
    )  # fmt: skip  # type: ignore[var-annotated]


class SnoozeSerializer(Plain):
    until = AwareField(required=False, help_text="Until then nobody is told; or say `seconds`")
    seconds = serializers.IntegerField(min_value=60, max_value=30 * 86_400, required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if ("until" in attrs) == ("seconds" in attrs):
            raise serializers.ValidationError({"until": "Say until when, or for how many seconds."})
        return attrs

    def end(self) -> datetime:
        given = self.validated_data
        return given["until"] if "until" in given else timezone.now() + timedelta(seconds=given["seconds"])


class ResolveSerializer(Plain):
    false_alarm = serializers.BooleanField(default=False, help_text="There was nothing: counted against the rule")
    comment = serializers.CharField(max_length=2000, required=False, default="", allow_blank=True)


class NewAlertCommentSerializer(Plain):
    text = serializers.CharField(max_length=2000)


class AlertCommentSerializer(Plain):
    id = serializers.IntegerField()
    by = serializers.CharField()
    text = serializers.CharField()
    at = serializers.DateTimeField()

    def to_representation(self, instance: AlertComment) -> dict[str, Any]:

        return comment_body(instance)
