"""Workers, roles and queues of fleets, what is stuck among them, and who should be there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from subsystems.fleets import topology, worker_queries
from subsystems.fleets.models import ExpectedWorkers, StuckFinding
from subsystems.recursion.queries import systems_for
from subsystems.s1_operations.models import Unit
from vsm_site.api.permissions import caller
from vsm_site.api.systems import InSystems
from vsm_site.api.workers import (
    DeclarePresentSerializer,
    ExpectedFilter,
    ExpectedWorkersSerializer,
    FindingFilter,
    MemberFilter,
    NewExpectedWorkersSerializer,
    QueueSerializer,
    RoleSerializer,
    StuckFindingSerializer,
    WorkerFilter,
    WorkerSerializer,
)


class Members(InSystems[Unit]):
    """Workers or queues, read a page at a time."""

    ordering_fields = ["name", "state", "id"]
    ordering = ["id"]
    lookup_value_converter = "int"

    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
        return self.get_paginated_response(self.bodies(page or []))

    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return Response(self.bodies([self.get_object()])[0])

    def bodies(self, units: Sequence[Unit]) -> Sequence[dict[str, Any]]:
        raise NotImplementedError


class WorkerViewSet(Members, mixins.ListModelMixin, mixins.RetrieveModelMixin):
    """Celery workers with their pools and what they run and hold, as they last answered."""

    queryset = worker_queries.workers()
    serializer_class = WorkerSerializer
    filterset_class = WorkerFilter

    def bodies(self, units: Sequence[Unit]) -> Sequence[dict[str, Any]]:
        return worker_queries.worker_bodies(units, now=timezone.now())

    @extend_schema(responses=RoleSerializer(many=True))
    @action(detail=False, methods=["get"], pagination_class=None)
    def roles(self, request: Request) -> Response:
        """Workers rolled up into what stays when they come and go under new names."""
        return Response(worker_queries.role_bodies(self.filter_queryset(self.get_queryset())))


class QueueViewSet(Members, mixins.ListModelMixin, mixins.RetrieveModelMixin):
    """Queues: how deep, read by whom, how fast they fill and empty."""

    queryset = worker_queries.queues()
    serializer_class = QueueSerializer
    filterset_class = MemberFilter

    def bodies(self, units: Sequence[Unit]) -> Sequence[dict[str, Any]]:
        return worker_queries.queue_bodies(units, now=timezone.now())


class StuckViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, InSystems[StuckFinding]):
    """What is stuck or was, with the evidence."""

    queryset = worker_queries.findings()
    serializer_class = StuckFindingSerializer
    filterset_class = FindingFilter
    ordering_fields = ["found_at", "id"]
    ordering = ["-id"]
    lookup_value_converter = "int"

    def held(self, scope: str) -> QuerySet[StuckFinding]:
        user, token = caller(self.request)
        return worker_queries.findings().filter(fleet__system__in=systems_for(user, scope, token))


class ExpectedWorkersViewSet(
    mixins.ListModelMixin, mixins.RetrieveModelMixin, mixins.DestroyModelMixin, InSystems[ExpectedWorkers]
):
    """Who should be there: so many workers of a role that read a queue."""

    queryset = ExpectedWorkers.objects.select_related("fleet__system")
    serializer_class = ExpectedWorkersSerializer
    filterset_class = ExpectedFilter
    ordering_fields = ["role", "queue", "id"]
    ordering = ["id"]
    lookup_value_converter = "int"

    def held(self, scope: str) -> QuerySet[ExpectedWorkers]:
        user, token = caller(self.request)
        found = ExpectedWorkers.objects.select_related("fleet__system")
        return found.filter(fleet__system__in=systems_for(user, scope, token))

    def get_serializer_class(self) -> Any:
        return NewExpectedWorkersSerializer if self.action == "create" else ExpectedWorkersSerializer

    @extend_schema(request=NewExpectedWorkersSerializer, responses={201: ExpectedWorkersSerializer})
    def create(self, request: Request) -> Response:
        """Declare workers; what was declared of the same role and queue is replaced."""
        form = NewExpectedWorkersSerializer(data=request.data, context=self.get_serializer_context())
        form.is_valid(raise_exception=True)
        declared = topology.declare(**form.validated_data)
        return Response(ExpectedWorkersSerializer(declared).data, status=status.HTTP_201_CREATED)

    @extend_schema(request=DeclarePresentSerializer, responses=ExpectedWorkersSerializer(many=True))
    @action(detail=False, methods=["post"], url_path="declare-present", filterset_class=None, pagination_class=None)
    def declare_present(self, request: Request) -> Response:
        """Declare what is here now, in place of everything that was declared of this fleet."""
        form = DeclarePresentSerializer(data=request.data, context=self.get_serializer_context())
        form.is_valid(raise_exception=True)
        declared = topology.declare_present(form.validated_data["fleet"], now=timezone.now())
        return Response(ExpectedWorkersSerializer(declared, many=True).data)
