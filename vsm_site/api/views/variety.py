"""Operations of units, and how varied all is."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import mixins
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from subsystems.variety import queries, services
from subsystems.variety.models import Operation, Reading, UnitVariety
from vsm_site.api.systems import InSystems, requested_system
from vsm_site.api.variety_forms import (
    ExpectSerializer,
    FiguresSerializer,
    OperationFilter,
    OperationSerializer,
    PlanSerializer,
    ReadingFilter,
    UnitVarietyFilter,
    UnitVarietySerializer,
    VarietySerializer,
    with_unit_ids,
)


class OperationViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, InSystems[Operation]):
    """What units do, one row for each operation of each: counts, durations, the last errors, health."""

    queryset = Operation.objects.select_related("system")
    serializer_class = OperationSerializer
    filterset_class = OperationFilter
    ordering_fields = ["unit", "name", "count", "success", "slow", "p95", "last_at", "id"]
    ordering = ["id"]
    lookup_value_converter = "int"

    def get_queryset(self) -> QuerySet[Operation]:
        return with_unit_ids(super().get_queryset())

    @extend_schema(request=ExpectSerializer)
    def partial_update(self, request: Request, pk: int) -> Response:
        """Say how long this operation should take; from twice as long on it hurts."""
        operation = self.get_object()
        form = ExpectSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        given: dict[str, Any] = form.validated_data
        services.expect(operation, given["expected_ms"])
        return Response(OperationSerializer(self.get_object()).data)


class ReadingViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, InSystems[Reading]):
    """The figures of every half minute, newest first, kept 7 days."""

    queryset = Reading.objects.select_related("system").defer("body")
    serializer_class = FiguresSerializer
    filterset_class = ReadingFilter
    ordering_fields = ["slot", "at", "id"]
    ordering = ["-slot", "-id"]
    lookup_value_converter = "int"


class UnitVarietyViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, InSystems[UnitVariety]):
    """The three-way panel of each unit that did something."""

    queryset = UnitVariety.objects.select_related("system").defer("state")
    serializer_class = UnitVarietySerializer
    filterset_class = UnitVarietyFilter
    ordering_fields = ["unit", "at", "id"]
    ordering = ["id"]
    lookup_value_converter = "int"

    def get_queryset(self) -> QuerySet[UnitVariety]:
        return with_unit_ids(super().get_queryset())

    @extend_schema(request=PlanSerializer)
    def partial_update(self, request: Request, pk: int) -> Response:
        """Say what this unit could do now and ought to be able to do; its achievement is measured by that."""
        unit = self.get_object()
        form = PlanSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        given: dict[str, Any] = form.validated_data
        services.plan(unit, **given)
        return Response(UnitVarietySerializer(self.get_object()).data)


class VarietyView(APIView):
    """The variety of a system as last measured: panel, subsystems, all scales of time, suggestions."""

    @extend_schema(
        parameters=[OpenApiParameter("system", description="Slug; without it the root, or your only system")],
        responses=VarietySerializer,
    )
    def get(self, request: Request) -> Response:
        return Response(queries.variety_body(requested_system(request)))
