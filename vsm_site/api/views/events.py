"""The event log: reading it, proving it, building a read model from it again."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from django.db.models import OuterRef, QuerySet, Subquery
from django.urls import reverse
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework.viewsets import GenericViewSet

from subsystems.event_log import queries, registry
from subsystems.event_log.models import Event
from subsystems.kernel.errors import Invalid, NotListed
from subsystems.recursion.models import System
from subsystems.recursion.queries import systems_for
from subsystems.s3_control import services
from vsm_site.api.event_filters import EventFilter
from vsm_site.api.event_serializers import (
    EventSerializer,
    ReplaySerializer,
    VerdictSerializer,
    VerifyQuerySerializer,
)
from vsm_site.api.permissions import caller, person
from vsm_site.api.serializers import RunSerializer
from vsm_site.api.systems import require_root_admin

MAX_VERIFIED = 200_000  # of one request: a second or two; the command and the task have no limit


class EventViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, GenericViewSet[Event]):
    """What happened, newest first. What is of no system is seen by superusers alone."""

    queryset = Event.objects.all()
    serializer_class = EventSerializer
    filterset_class = EventFilter
    ordering_fields = ["position"]
    ordering = ["-position"]
    lookup_value_converter = "int"

    def get_queryset(self) -> QuerySet[Event]:
        slug = Subquery(System.objects.filter(pk=OuterRef("system_id")).values("slug")[:1])
        return queries.visible(self._system_ids()).annotate(system_slug=slug)

    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Answer one page; of a search for text with the positions that were looked through."""
        answer = super().list(request, *args, **kwargs)
        if searched := getattr(request, "searched", None):
            answer["X-Searched"] = f"{searched[0]}-{searched[1]}"
        return answer

    def _system_ids(self) -> Collection[int] | None:
        user, token = caller(self.request)
        bound = token is not None and token.system_id is not None
        if getattr(user, "is_superuser", False) and not bound:
            return None
        return list(systems_for(user, "read", token).values_list("pk", flat=True))


class VerifyView(APIView):
    """Is the chain as it was sealed? For administrators of the root system."""

    scopes = {"GET": "admin"}

    @extend_schema(parameters=[VerifyQuerySerializer], responses=VerdictSerializer, operation_id="events_verify")
    def get(self, request: Request) -> Response:
        require_root_admin(request)
        form = VerifyQuerySerializer(data=request.query_params)
        form.is_valid(raise_exception=True)
        given: dict[str, Any] = form.validated_data
        last = given["from"] + MAX_VERIFIED - 1
        verdict = queries.verify(given["from"], min(last, given.get("to", last)))
        goes_on = (
            verdict.to_position + 1 if verdict.from_position <= verdict.to_position < verdict.head_position else None
        )
        return Response({**verdict.to_wire(), "next_from": goes_on})


class ReplayView(APIView):
    """Build a read model again from the first event, on a worker. For administrators of the root system."""

    scopes = {"POST": "admin"}

    @extend_schema(request=ReplaySerializer, responses={202: RunSerializer}, operation_id="events_replay")
    def post(self, request: Request) -> Response:
        require_root_admin(request)
        form = ReplaySerializer(data=request.data)
        form.is_valid(raise_exception=True)
        name: str = form.validated_data["name"]
        try:
            registry.find(name)
        except NotListed as error:
            raise Invalid(error.detail, field="name") from None
        run = services.trigger("event_log.replay", {"name": name}, by=person(request))
        where = {"Location": reverse("api:run-detail", args=[run.pk])}
        return Response(RunSerializer(run).data, status=status.HTTP_202_ACCEPTED, headers=where)
