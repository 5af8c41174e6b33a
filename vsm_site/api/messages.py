"""What goes in and out of the API about messages, and which of them are asked for."""

from __future__ import annotations

from typing import Any

import django_filters
from rest_framework import serializers

from subsystems.kernel.severity import PRIORITY, Severity
from subsystems.messaging import queries
from subsystems.messaging.channels import FLOWS, Channel, Party
from subsystems.messaging.models import DeadLetter, Message
from vsm_site.api.fields import SystemField
from vsm_site.api.filters import InSystem

Plain = serializers.Serializer[Any]


class MessageFilter(InSystem):
    channel = django_filters.ChoiceFilter(choices=[(each.value, each.value) for each in Channel])
    sender = django_filters.ChoiceFilter(choices=[(each.value, each.value) for each in Party])
    recipient = django_filters.ChoiceFilter(choices=[(each.value, each.value) for each in Party])
    type = django_filters.CharFilter(max_length=80)
    correlation_id = django_filters.CharFilter(max_length=64, label="Id that a conversation shares")

    class Meta:
        model = Message
        fields = ["state", "reply_state"]


class DeadLetterFilter(django_filters.FilterSet):  # type: ignore[misc]
    replayed = django_filters.BooleanFilter(field_name="replayed_at", lookup_expr="isnull", exclude=True)

    class Meta:
        model = DeadLetter
        fields = ["reason"]


class MessageSerializer(serializers.ModelSerializer[Message]):
    """A message of the list; `from` and `to` as on the wire."""

    system = serializers.SlugField(source="system.slug", read_only=True, allow_null=True, default=None)

    class Meta:
        model = Message
        fields = [
            "id", "system", "channel", "type", "payload", "count", "metadata", "correlation_id", "reply_to", "reply_by",
            "reply_state", "hop_count", "priority", "created_at", "expires_at", "state", "sends", "sent_at",
            "handled_at", "attempts", "losses", "last_error",
        ]  # fmt: skip

    def to_representation(self, instance: Message) -> dict[str, Any]:
        return {**super().to_representation(instance), "from": instance.sender, "to": instance.recipient}


class StepSerializer(Plain):
    at = serializers.DateTimeField()
    step = serializers.CharField(help_text="accepted, sent, failed, handled, dead, replayed, expired, done")
    detail = serializers.CharField()


class MessageDetailSerializer(MessageSerializer):
    """A message with its whole journey."""

    journey = serializers.SerializerMethodField()

    class Meta(MessageSerializer.Meta):
        fields = [*MessageSerializer.Meta.fields, "journey"]

    def get_journey(self, message: Message) -> list[dict[str, Any]]:
        return list(StepSerializer(queries.journey(message), many=True).data)


class NewMessageSerializer(Plain):
    """An envelope, as on the wire; what it says is checked by the envelope's own rules."""

    system = SystemField(required=False)
    channel = serializers.CharField(max_length=40, help_text="One of the channels, with or without `_channel`")
    to = serializers.CharField(max_length=40)
    type = serializers.CharField(max_length=80)
    payload = serializers.DictField(required=False)
    severity = serializers.ChoiceField(choices=[each.value for each in Severity], default=Severity.MEDIUM.value)
    id = serializers.CharField(max_length=64, required=False, help_text="Yours, so that sending twice acts once")
    correlation_id = serializers.CharField(max_length=64, required=False)
    expires_at = serializers.DateTimeField(required=False)
    reply_within_seconds = serializers.FloatField(required=False, min_value=0.1, max_value=86_400)

    def get_fields(self) -> dict[str, Any]:
        return {**super().get_fields(), "from": serializers.CharField(max_length=40)}

    def wire(self) -> dict[str, Any]:
        """Return the envelope's JSON object."""
        given = self.validated_data
        body = {name: given[name] for name in ("channel", "from", "to", "type") if name in given}
        body |= {name: given[name] for name in ("payload", "id", "correlation_id", "expires_at") if name in given}
        return {**body, "priority": PRIORITY[Severity(given["severity"])]}


class DeadLetterSerializer(serializers.ModelSerializer[DeadLetter]):
    message = serializers.CharField(source="message.id", read_only=True, allow_null=True, default=None)
    type = serializers.CharField(source="message.type", read_only=True, allow_null=True, default=None)

    class Meta:
        model = DeadLetter
        fields = ["id", "message", "type", "queue", "reason", "detail", "created_at", "replayed_at", "replayed_by"]


class FlowSerializer(Plain):
    sender = serializers.CharField()
    recipient = serializers.CharField()
    only_as_reply = serializers.BooleanField()


class ChannelSerializer(Plain):
    channel = serializers.CharField()
    queue = serializers.CharField()
    backlog = serializers.IntegerField(help_text="Messages accepted and not yet handled")
    oldest_age_seconds = serializers.FloatField()
    capacity = serializers.IntegerField()
    utilisation = serializers.FloatField(help_text="0 to 1")
    flows = FlowSerializer(many=True, help_text="Who may say something to whom on it")


def flows_of(channel: Channel) -> list[dict[str, Any]]:
    """Return the permitted directions of *channel*."""
    found = [flow for flow in FLOWS if flow.channel == channel]
    found.sort(key=lambda flow: (flow.sender, flow.recipient))
    return [{"sender": flow.sender, "recipient": flow.recipient, "only_as_reply": flow.only_as_reply} for flow in found]
