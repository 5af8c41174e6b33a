"""Algedonic signals: raising them, answering them, and how well their lane does."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from django.contrib.auth.models import User
from django.http import Http404
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from subsystems.algedonic import lifecycle, queries, services
from subsystems.algedonic.models import Signal
from subsystems.kernel.errors import Refused
from subsystems.messaging.channels import parse_party
from vsm_site.api.permissions import caller, person
from vsm_site.api.signals import (
    CommentSerializer,
    DryRunSerializer,
    FeltSerializer,
    LaneSerializer,
    NewSignalSerializer,
    SignalDetailSerializer,
    SignalFilter,
    SignalSerializer,
)
from vsm_site.api.systems import InSystems, choose_system, operated_system

SIGNAL_ID = re.compile(r"[0-9A-F]{32}")
Verb = Callable[[Signal, User, str], Signal]


class SignalViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, InSystems[Signal]):
    """Pain and pleasure, the newest first."""

    queryset = queries.signals()
    serializer_class = SignalSerializer
    filterset_class = SignalFilter
    ordering_fields = ["raised_at", "last_seen_at", "id"]
    ordering = ["-raised_at", "-id"]

    def get_object(self) -> Signal:
        if not SIGNAL_ID.fullmatch(str(self.kwargs["pk"])):
            raise Http404
        return super().get_object()

    def get_serializer_class(self) -> Any:
        return SignalDetailSerializer if self.action == "retrieve" else SignalSerializer

    @extend_schema(request=NewSignalSerializer, responses={201: SignalSerializer})
    def create(self, request: Request) -> Response:
        """Raise a signal. An identical critical one that is open counts it, and is the answer."""
        form = NewSignalSerializer(data=request.data, context=self.get_serializer_context())
        form.is_valid(raise_exception=True)
        given: dict[str, Any] = dict(form.validated_data)
        system = operated_system(request, given.pop("system", None))
        given["origin"] = parse_party(given["origin"])
        signal = services.raise_signal(system_id=system.pk, actor=person(request).get_username(), **given)
        if signal is None:
            raise Refused("Its intensity is below the system's threshold.", field="intensity", code="too_faint")
        found = queries.signals().get(pk=signal.pk)
        return Response(SignalSerializer(found).data, status=status.HTTP_201_CREATED)

    @extend_schema(request=CommentSerializer, responses=SignalSerializer)
    @action(detail=True, methods=["post"])
    def acknowledge(self, request: Request, pk: str) -> Response:
        """Say that you look into it: its deadline stops."""
        return self._answer(request, lifecycle.acknowledge)

    @extend_schema(request=CommentSerializer, responses=SignalSerializer)
    @action(detail=True, methods=["post"])
    def respond(self, request: Request, pk: str) -> Response:
        """Say that you do something about it."""
        return self._answer(request, lifecycle.respond)

    @extend_schema(request=CommentSerializer, responses=SignalSerializer)
    @action(detail=True, methods=["post"])
    def resolve(self, request: Request, pk: str) -> Response:
        """Say that its cause is gone."""
        return self._answer(request, lifecycle.resolve)

    @extend_schema(request=CommentSerializer, responses=SignalSerializer)
    @action(detail=True, methods=["post"], url_path="false-alarm")
    def false_alarm(self, request: Request, pk: str) -> Response:
        """Say that it had no cause."""
        return self._answer(request, lifecycle.call_false_alarm)

    def _answer(self, request: Request, verb: Verb) -> Response:
        form = CommentSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        signal = verb(self.get_object(), person(request), form.validated_data["comment"])
        return Response(SignalSerializer(signal).data)


class DryRunView(APIView):
    """Where would this signal go? Nothing is raised, so that reading is enough."""

    scopes = {"POST": "read"}

    @extend_schema(request=FeltSerializer, responses=DryRunSerializer)
    def post(self, request: Request) -> Response:
        form = FeltSerializer(data=request.data, context={"request": request})
        form.is_valid(raise_exception=True)
        given: dict[str, Any] = form.validated_data
        user, token = caller(request)
        named = given.get("system")
        system = choose_system(user, token, "read", None if named is None else named.slug)
        found = queries.dry_run(
            system,
            type_=given["type"],
            severity=given["severity"],
            intensity=given["intensity"],
            origin=parse_party(given["origin"]),
        )
        return Response(found)


class LaneView(APIView):
    """How well the algedonic lane does, by the canaries that are sent through it every ten seconds."""

    @extend_schema(responses=LaneSerializer)
    def get(self, request: Request) -> Response:
        return Response(queries.lane_body(now=timezone.now()))
