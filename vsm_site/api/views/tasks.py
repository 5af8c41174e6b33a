"""Tasks: what may be triggered, triggering, and following a run to its result."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.urls import reverse
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, status
from rest_framework.decorators import action
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework.viewsets import GenericViewSet

from subsystems.kernel import triggerable
from subsystems.recursion.queries import ROOT_SLUG
from subsystems.s3_control import services
from subsystems.s3_control.models import TaskRun
from subsystems.s3_control.queries import runs_for, triggerable_by
from vsm_site.api.filters import RunFilter
from vsm_site.api.permissions import caller, person
from vsm_site.api.serializers import RunSerializer, TaskSerializer, TriggerSerializer


class TasksView(APIView):
    """Everything that may be triggered, each with the schema of its arguments."""

    @extend_schema(responses=TaskSerializer(many=True), operation_id="tasks_list")
    def get(self, request: Request) -> Response:
        return Response(
            [{"name": entry.name, "summary": entry.summary, "schema": entry.schema()} for entry in triggerable.listed()]
        )


class TriggerView(APIView):
    """Run a task on a worker. One that acts on every system takes `operate` in the root system."""

    @extend_schema(request=TriggerSerializer, responses={202: RunSerializer}, operation_id="tasks_trigger")
    def post(self, request: Request, name: str) -> Response:
        entry = triggerable.find(name)  # an unlisted task is told before its arguments are looked at
        if not triggerable_by(*caller(request))(entry):
            raise PermissionDenied(f"{name} acts on every system: it needs the scope {entry.scope!r} in {ROOT_SLUG!r}.")
        form = TriggerSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        given: dict[str, Any] = form.validated_data["arguments"]
        run = services.trigger(name, given, by=person(request))
        where = {"Location": reverse("api:run-detail", args=[run.pk])}
        return Response(RunSerializer(run).data, status=status.HTTP_202_ACCEPTED, headers=where)


class RunViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, GenericViewSet[TaskRun]):
    """Runs that you triggered, newest first; administrators of the root see everybody's."""

    queryset = TaskRun.objects.all()
    serializer_class = RunSerializer
    filterset_class = RunFilter
    ordering_fields = ["requested_at", "name", "state"]
    ordering = ["-requested_at"]
    lookup_value_converter = "uuid"
    scopes = {"POST": "operate"}

    @extend_schema(request=None, responses=RunSerializer)
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, pk: UUID) -> Response:
        """Let a run end: before it began, or when it next tells its progress."""
        run = self.get_object()
        services.cancel(run, now=timezone.now())
        return Response(RunSerializer(run).data)

    def get_queryset(self) -> QuerySet[TaskRun]:
        return runs_for(*caller(self.request))
