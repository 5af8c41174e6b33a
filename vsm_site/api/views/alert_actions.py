"""What people do with one alert: each is a verb under its address, and doing it again changes nothing."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from alerts import services
from vsm_site.api import people as wire
from vsm_site.api.permissions import person
from vsm_site.api.serializers import AlertSerializer


class AlertActions:
    """Acknowledge, assign, snooze, comment, resolve; a part of the view of alerts."""

    get_object: Any

    @extend_schema(request=wire.AcknowledgeSerializer, responses=AlertSerializer)
    @action(detail=True, methods=["post"])
    def acknowledge(self, request: Request, pk: int) -> Response:
        """Say that the alert is yours, for good or for a time."""
        form = _valid(wire.AcknowledgeSerializer, request)
        services.acknowledge(
            self.get_object(), person(request), form.validated_data["comment"], timeout=form.timeout()
        )  # fmt: skip
        return self._fresh()

    @extend_schema(request=None, responses=AlertSerializer)
    @action(detail=True, methods=["post"])
    def unacknowledge(self, request: Request, pk: int) -> Response:
        """Let the alert be nobody's again: people go on being told."""
        services.unacknowledge(self.get_object(), person(request))
        return self._fresh()

    @extend_schema(request=wire.AssignSerializer, responses=AlertSerializer)
    @action(detail=True, methods=["post"])
    def assign(self, request: Request, pk: int) -> Response:
        """Say who is to look after the alert."""
        form = _valid(wire.AssignSerializer, request)
        services.assign(self.get_object(), form.validated_data["to"], person(request))
        return self._fresh()

    @extend_schema(request=wire.SnoozeSerializer, responses=AlertSerializer)
    @action(detail=True, methods=["post"])
    def snooze(self, request: Request, pk: int) -> Response:
        """Let nobody be told of the alert for a while; then they are, if it still fires."""
        form = _valid(wire.SnoozeSerializer, request)
        services.snooze(self.get_object(), person(request), form.end())
        return self._fresh()

    @extend_schema(request=None, responses=AlertSerializer)
    @action(detail=True, methods=["post"])
    def unsnooze(self, request: Request, pk: int) -> Response:
        """Let people be told of the alert again."""
        services.unsnooze(self.get_object(), person(request))
        return self._fresh()

    @extend_schema(request=wire.ResolveSerializer, responses=AlertSerializer)
    @action(detail=True, methods=["post"])
    def resolve(self, request: Request, pk: int) -> Response:
        """Close this alert by hand; `false_alarm` says that there was nothing."""
        given = _valid(wire.ResolveSerializer, request).validated_data
        services.resolve(self.get_object(), person(request), **given)
        return self._fresh()

    @extend_schema(responses=wire.AlertCommentSerializer(many=True))
    @action(detail=True, methods=["get"], filterset_class=None, pagination_class=None)
    def comments(self, request: Request, pk: int) -> Response:
        """What people wrote about this alert, oldest first."""
        return Response(wire.AlertCommentSerializer(self.get_object().comments.all(), many=True).data)

    @extend_schema(request=wire.NewAlertCommentSerializer, responses={201: wire.AlertCommentSerializer})
    @comments.mapping.post
    def add_comment(self, request: Request, pk: int) -> Response:
        """Write something about this alert."""
        form = _valid(wire.NewAlertCommentSerializer, request)
        made = services.comment(self.get_object(), person(request), form.validated_data["text"])
        return Response(wire.AlertCommentSerializer(made).data, status=status.HTTP_201_CREATED)

    def _fresh(self) -> Response:
        return Response(AlertSerializer(self.get_object()).data)


def _valid(serializer: Any, request: Request) -> Any:
    form = serializer(data=request.data)
    form.is_valid(raise_exception=True)
    return form
