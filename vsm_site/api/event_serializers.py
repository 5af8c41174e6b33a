"""What goes in and out about events."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from subsystems.event_log import queries
from subsystems.event_log.event_types import document
from subsystems.event_log.models import Event
from subsystems.event_log.streams import Stream

Plain = serializers.Serializer[Any]
LARGEST = 2**63 - 1


class EventSerializer(Plain):
    position = serializers.IntegerField(help_text="In the whole log, from 1, without gaps")
    stream = serializers.ChoiceField(choices=[str(each) for each in Stream])
    sequence = serializers.IntegerField(help_text="In its stream, from 1, without gaps")
    type = serializers.CharField()
    version = serializers.IntegerField(help_text="Of its form, the newest that is known; older data is brought to it")
    system = serializers.SlugField(allow_null=True, help_text="null: of the platform, or of a system that is gone")
    data = serializers.DictField()  # type: ignore[assignment]
    metadata = serializers.DictField()
    message_id = serializers.CharField(allow_blank=True)
    correlation_id = serializers.CharField(allow_blank=True)
    actor = serializers.CharField(allow_blank=True)
    at = serializers.DateTimeField()
    hash = serializers.CharField(help_text="SHA-256 over the hash before it and every field")

    def to_representation(self, instance: Event) -> dict[str, Any]:
        found = document(queries.recorded(instance))
        return {
            "position": instance.position,
            "stream": instance.stream,
            "sequence": instance.sequence,
            "type": instance.type,
            "version": found["metadata"]["version"],
            "system": getattr(instance, "system_slug", None),
            "data": found["data"],
            "metadata": found["metadata"],
            "message_id": instance.message_id,
            "correlation_id": instance.correlation_id,
            "actor": instance.actor,
            "at": found["metadata"]["timestamp"],
            "hash": bytes(instance.hash).hex(),
        }


class VerifyQuerySerializer(Plain):
    """Which part of the chain; without bounds its first 200,000 events."""

    def get_fields(self) -> dict[str, Any]:
        """Add `from`, which is no name in Python."""
        bounds = {
            "from": serializers.IntegerField(min_value=1, max_value=LARGEST, default=1),
            "to": serializers.IntegerField(min_value=1, max_value=LARGEST, required=False),
        }
        return {**super().get_fields(), **bounds}


class FindingSerializer(Plain):
    position = serializers.IntegerField()
    kind = serializers.CharField()
    detail = serializers.CharField()


class VerdictSerializer(Plain):
    ok = serializers.BooleanField()
    first_bad_position = serializers.IntegerField(allow_null=True)
    from_position = serializers.IntegerField()
    to_position = serializers.IntegerField()
    head_position = serializers.IntegerField()
    next_from = serializers.IntegerField(allow_null=True, help_text="Where to go on; null at the end of the chain")
    checked = serializers.IntegerField()
    findings = FindingSerializer(many=True)


class ReplaySerializer(Plain):
    name = serializers.CharField(max_length=80, help_text="Name of the event handler, such as `OperationsHandler`")
