"""What S4 foretells and finds unusual."""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import mixins, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from subsystems.kernel.errors import Invalid
from subsystems.s4_intelligence import queries, scanning
from subsystems.s4_intelligence.models import Finding, Forecast, Source, Threat
from subsystems.s4_intelligence.projecting import capacity_plans
from vsm_site.api.intelligence import (
    AccuracySerializer,
    AnomalyFilter,
    AnomalySerializer,
    EnvironmentSourceSerializer,
    ForecastFilter,
    ForecastSerializer,
    PlanSerializer,
    SourceFilter,
    TargetSerializer,
    ThreatFilter,
    ThreatSerializer,
)
from vsm_site.api.permissions import person
from vsm_site.api.systems import InSystems, operated_system, requested_system


class ForecastViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, InSystems[Forecast]):
    """The newest forecast of each series that matters: an hour in minutes, two days in hours, with intervals."""

    queryset = Forecast.objects.select_related("system", "series").defer("held_body")
    serializer_class = ForecastSerializer
    filterset_class = ForecastFilter
    ordering_fields = ["skill", "slot", "id"]
    ordering = ["id"]
    lookup_value_converter = "int"


class AnomalyViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, InSystems[Finding]):
    """What was unusual, and which trends are hardly chance; newest first. Findings, not alarms."""

    queryset = Finding.objects.select_related("system", "series")
    serializer_class = AnomalySerializer
    filterset_class = AnomalyFilter
    ordering_fields = ["started_at", "last_at", "score", "id"]
    ordering = ["-started_at", "-id"]
    lookup_value_converter = "int"


class AccuracyView(APIView):
    """How good the forecasts of a system are, an hour ahead and two days."""

    @extend_schema(
        parameters=[OpenApiParameter("system", description="Slug; without it the root, or your only system")],
        responses=AccuracySerializer(many=True),
    )
    def get(self, request: Request) -> Response:
        system = requested_system(request)
        return Response([queries.accuracy(system, span) for span in Forecast.Span.values])


class ThreatViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, InSystems[Threat]):
    """What may go wrong, and what might be gained, as the forecasts and plans have it; the newest first."""

    queryset = Threat.objects.select_related("system")
    serializer_class = ThreatSerializer
    filterset_class = ThreatFilter
    ordering_fields = ["chance", "impact", "at", "first_at", "last_at", "id"]
    ordering = ["-last_at", "-id"]
    lookup_value_converter = "int"


class CapacityView(APIView):
    """How many workers each queue needs for what will arrive, and whether Little's law holds."""

    @extend_schema(
        parameters=[
            OpenApiParameter("system", description="Slug; without it the root, or your only system"),
            OpenApiParameter("target_wait_seconds", float, description="The mean wait that is wanted, 5 if not given"),
        ],
        responses=PlanSerializer(many=True),
    )
    def get(self, request: Request) -> Response:
        form = TargetSerializer(data=request.query_params)
        form.is_valid(raise_exception=True)
        target = float(form.validated_data["target_wait_seconds"])
        return Response(capacity_plans(requested_system(request), now=timezone.now(), target_wait_seconds=target))


class EnvironmentSourceViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, InSystems[Source]):
    """What lies outside and is looked at on schedule: pages, metrics, brokers, what the platform stands on."""

    queryset = Source.objects.select_related("system")
    serializer_class = EnvironmentSourceSerializer
    filterset_class = SourceFilter
    ordering_fields = ["name", "last_scanned_at", "next_due_at", "id"]
    ordering = ["id"]
    lookup_value_converter = "int"

    def create(self, request: Request) -> Response:
        """Look at something from now on; it is scanned within ten seconds for the first time."""
        given = self._validated(request)
        system = operated_system(request, given.pop("system", None))
        made = scanning.save_source(Source(system=system), person(request), now=timezone.now(), **given)
        return Response(self.get_serializer(made).data, status=status.HTTP_201_CREATED)

    def partial_update(self, request: Request, pk: int) -> Response:
        """Change some fields; what was known of the source is forgotten, and it is scanned anew."""
        source = self.get_object()
        given = self._validated(request, partial=True)
        if given.pop("system", source.system) != source.system:
            raise Invalid("A source stays in its system.", field="system")
        scanning.save_source(source, person(request), now=timezone.now(), **given)
        return Response(self.get_serializer(self.get_object()).data)

    def destroy(self, request: Request, pk: int) -> Response:
        """Look at it no more."""
        scanning.delete_source(self.get_object(), person(request))
        return Response(status=status.HTTP_204_NO_CONTENT)

    def _validated(self, request: Request, *, partial: bool = False) -> dict[str, Any]:
        form = self.get_serializer(data=request.data, partial=partial)
        form.is_valid(raise_exception=True)
        return dict(form.validated_data)
