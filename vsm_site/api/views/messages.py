"""Messages, dead letters and the channels they travel on."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db.models import Q, QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from subsystems.kernel.errors import Refused
from subsystems.messaging import queries, services
from subsystems.messaging.channels import Channel
from subsystems.messaging.envelope import Envelope
from subsystems.messaging.models import DeadLetter, Message
from subsystems.messaging.topology import queue_of
from subsystems.recursion.queries import systems_for
from vsm_site.api.messages import (
    ChannelSerializer,
    DeadLetterFilter,
    DeadLetterSerializer,
    MessageDetailSerializer,
    MessageFilter,
    MessageSerializer,
    NewMessageSerializer,
    flows_of,
)
from vsm_site.api.permissions import caller, person, scope_of
from vsm_site.api.systems import operated_system


class MessageViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, GenericViewSet[Message]):
    """Messages of the last two days on the channels; the event log keeps them for good."""

    queryset = Message.objects.select_related("system").exclude(channel=Channel.PLATFORM)
    serializer_class = MessageSerializer
    filterset_class = MessageFilter
    ordering_fields = ["number", "created_at", "priority"]
    ordering = ["-number"]
    lookup_field = "id"

    def get_queryset(self) -> QuerySet[Message]:
        rows = super().get_queryset().filter(visible(self))
        return rows.prefetch_related("deliveries", "dead_letters") if self.action == "retrieve" else rows

    def get_serializer_class(self) -> Any:
        return MessageDetailSerializer if self.action == "retrieve" else MessageSerializer

    @extend_schema(request=NewMessageSerializer, responses={202: MessageSerializer})
    def create(self, request: Request) -> Response:
        """Send a message; 202 means that it is recorded and will arrive. A refusal says what would be permitted."""
        form = NewMessageSerializer(data=request.data, context=self.get_serializer_context())
        form.is_valid(raise_exception=True)
        system = operated_system(request, form.validated_data.get("system"))
        seconds = form.validated_data.get("reply_within_seconds")
        message = services.send(
            Envelope.from_wire(form.wire()),
            system_id=system.pk,
            actor=str(person(request)),
            reply_within=timedelta(seconds=seconds) if seconds else None,
        )
        return Response(MessageSerializer(message).data, status=status.HTTP_202_ACCEPTED)


class DeadLetterViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, GenericViewSet[DeadLetter]):
    """What could not be delivered or read, and why. What came without a system is a superuser's to see."""

    queryset = DeadLetter.objects.select_related("message")
    serializer_class = DeadLetterSerializer
    filterset_class = DeadLetterFilter
    ordering_fields = ["created_at", "id"]
    ordering = ["-created_at", "-id"]
    lookup_value_converter = "int"

    def get_queryset(self) -> QuerySet[DeadLetter]:
        return super().get_queryset().filter(visible(self, "message__"))

    @extend_schema(request=None, responses=DeadLetterSerializer)
    @action(detail=True, methods=["post"], filterset_class=None, pagination_class=None)
    def replay(self, request: Request, pk: int) -> Response:
        """Send the message again, with three new tries."""
        letter = self.get_object()
        if not services.replay(letter, by=str(person(request)), now=timezone.now()):
            raise Refused("It was sent again before.", code="replayed")
        letter.refresh_from_db()
        return Response(DeadLetterSerializer(letter).data)


class ChannelViewSet(GenericViewSet[Message]):
    """The channels: how full each is, and who may speak on it."""

    queryset = Message.objects.none()
    serializer_class = ChannelSerializer
    pagination_class = None
    filter_backends = []

    @extend_schema(responses=ChannelSerializer(many=True))
    def list(self, request: Request) -> Response:
        """Every channel of the model."""
        states = queries.channel_states()
        return Response(
            [
                {
                    "channel": channel,
                    "queue": queue_of(channel),
                    "backlog": state.backlog,
                    "oldest_age_seconds": state.oldest_age_seconds,
                    "capacity": state.capacity,
                    "utilisation": state.utilisation,
                    "flows": flows_of(channel),
                }
                for channel, state in states.items()
                if channel is not Channel.PLATFORM
            ]
        )


def visible(view: GenericViewSet[Any], prefix: str = "") -> Q:
    """Return the condition for rows of systems where the caller holds the method's scope."""
    user, token = caller(view.request)
    held = Q(**{f"{prefix}system__in": systems_for(user, scope_of(view, view.request.method), token)})
    everything = getattr(user, "is_superuser", False) and (token is None or token.system_id is None)
    return held | Q(**{f"{prefix}system": None}) if everything else held
