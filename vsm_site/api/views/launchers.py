"""Launchers: who starts and stops the workers of fleets. Starting and stopping themselves are actions."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import mixins, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from subsystems.kernel.errors import Forbidden
from subsystems.s3_control.launching import queries, services
from subsystems.s3_control.launching.models import Launcher
from vsm_site.api.launchers import (
    LaunchedSerializer,
    LauncherFieldsSerializer,
    LauncherFilter,
    LauncherSerializer,
    NewLauncherSerializer,
)
from vsm_site.api.permissions import caller, person
from vsm_site.api.systems import InSystems


class LauncherViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, InSystems[Launcher]):
    """What starts and stops workers: `POST /api/v1/actions/` with `worker.start` or `worker.stop` and its name."""

    queryset = Launcher.objects.select_related("fleet")
    serializer_class = LauncherSerializer
    filterset_class = LauncherFilter
    ordering_fields = ["id", "name"]
    ordering = ["id"]
    lookup_value_converter = "int"

    @extend_schema(request=NewLauncherSerializer, responses={201: LauncherSerializer})
    def create(self, request: Request) -> Response:
        """Write a launcher; for administrators of the system `main`, because of what it may start."""
        _refuse_others(request)
        form = NewLauncherSerializer(data=request.data, context=self.get_serializer_context())
        form.is_valid(raise_exception=True)
        given: dict[str, Any] = dict(form.validated_data)
        given.pop("system", None)
        row = services.save(given.pop("fleet"), given, by=person(request).get_username())
        return Response(queries.launcher_body(row, whole=True), status=status.HTTP_201_CREATED)

    @extend_schema(request=LauncherFieldsSerializer, responses=LauncherSerializer)
    def partial_update(self, request: Request, pk: int) -> Response:
        """Change some of it; its name and kind stay."""
        _refuse_others(request)
        row = self.get_object()
        form = LauncherFieldsSerializer(data=request.data, partial=True)
        form.is_valid(raise_exception=True)
        saved = services.save(row.fleet, form.validated_data, by=person(request).get_username(), launcher=row)
        return Response(queries.launcher_body(saved, whole=True))

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: int) -> Response:
        """Delete it; refused while processes that it started are on record."""
        _refuse_others(request)
        services.drop(self.get_object(), by=person(request).get_username())
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(responses=LaunchedSerializer)
    @action(detail=True, methods=["get"], filterset_class=None, pagination_class=None)
    def workers(self, request: Request, pk: int) -> Response:
        """Which workers it has now, asked of what runs them."""
        return Response(queries.seen_now(self.get_object()).body())


def _refuse_others(request: Request) -> None:
    if not queries.may_write(*caller(request)):
        raise Forbidden("Launchers are written by administrators of the system main: they run with its rights.")
