"""Units of S1 and the fleets they come from."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import mixins, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from subsystems.kernel.errors import Refused
from subsystems.s1_operations import services
from subsystems.s1_operations.models import Fleet, Unit
from subsystems.s3_control.acts import Target
from subsystems.s3_control.previews import situation
from subsystems.telemetry import queries as telemetry
from subsystems.variety import queries as variety
from vsm_site.api.filters import FleetFilter, UnitFilter
from vsm_site.api.serializers import (
    FleetSerializer,
    NewFleetSerializer,
    NewUnitSerializer,
    SamplesQuerySerializer,
    SamplesSerializer,
    UnitSerializer,
)
from vsm_site.api.steering import SituationSerializer, situation_body
from vsm_site.api.systems import InSystems, operated_system
from vsm_site.api.variety_forms import PerformanceSerializer

STEERED = {"celery_worker": Target.WORKER, "celery_queue": Target.QUEUE}


class UnitViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, mixins.DestroyModelMixin, InSystems[Unit]):
    """Whatever is watched: hosts, workers, queues, HTTP services, agents."""

    queryset = Unit.objects.select_related("fleet", "system")
    serializer_class = UnitSerializer
    filterset_class = UnitFilter
    ordering_fields = ["name", "kind", "state", "created_at", "id"]
    ordering = ["id"]
    lookup_value_converter = "int"

    def get_serializer_class(self) -> type[UnitSerializer | NewUnitSerializer]:
        return NewUnitSerializer if self.action == "create" else UnitSerializer

    @extend_schema(request=NewUnitSerializer, responses={201: UnitSerializer})
    def create(self, request: Request) -> Response:
        """Watch another HTTP service, or announce an agent."""
        form = NewUnitSerializer(data=request.data, context=self.get_serializer_context())
        form.is_valid(raise_exception=True)
        given: dict[str, Any] = form.validated_data
        system = operated_system(request, given.get("system"))
        unit = services.add_unit(system, given["kind"], given["name"], given["config"])
        return Response(UnitSerializer(unit).data, status=status.HTTP_201_CREATED)

    @extend_schema(request=None)
    @action(detail=True, methods=["post"])
    def pause(self, request: Request, pk: int) -> Response:
        """Stop collecting this unit, without forgetting it."""
        unit = self.get_object()
        services.pause_unit(unit)
        return Response(UnitSerializer(self.get_object()).data)

    @extend_schema(request=None)
    @action(detail=True, methods=["post"])
    def resume(self, request: Request, pk: int) -> Response:
        """Collect this unit again."""
        unit = self.get_object()
        services.resume_unit(unit)
        return Response(UnitSerializer(self.get_object()).data)

    @extend_schema(parameters=[SamplesQuerySerializer], responses=SamplesSerializer)
    @action(detail=True, methods=["get"], filterset_class=None, pagination_class=None)
    def samples(self, request: Request, pk: int) -> Response:
        """The raw samples of one metric of this unit, of the last hour at most."""
        unit = self.get_object()
        form = SamplesQuerySerializer(data=request.query_params)
        form.is_valid(raise_exception=True)
        given: dict[str, Any] = form.validated_data
        found = telemetry.window(
            unit.system_id, given["metric"], sources=[unit.name], start=given["start"], end=given["end"]
        )
        lines = [
            {"labels": labels, "points": [list(point) for point in zip(at.tolist(), values.tolist(), strict=True)]}
            for (_, labels), (at, values) in sorted(found.items(), key=lambda item: item[0])
        ]
        return Response({"unit": unit.pk, "metric": given["metric"], "series": lines})

    @extend_schema(responses=PerformanceSerializer)
    @action(detail=True, methods=["get"], filterset_class=None, pagination_class=None)
    def performance(self, request: Request, pk: int) -> Response:
        """What this unit did, how well and how fast, and its achievement."""
        unit = self.get_object()
        return Response(variety.performance_body(unit.system, unit.name))

    @extend_schema(responses=SituationSerializer)
    @action(detail=True, methods=["get"], filterset_class=None, pagination_class=None)
    def steering(self, request: Request, pk: int) -> Response:
        """What this worker or queue is like at this moment, and which acts can be done to it. Asks the fleet itself."""
        unit = self.get_object()
        if unit.fleet is None or unit.kind not in STEERED:
            raise Refused("Only workers and queues of a fleet are steered.", code="not_steered")
        name = unit.name.removeprefix(f"{unit.fleet.name}/")
        return Response(situation_body(unit.fleet, situation(unit.fleet, STEERED[unit.kind], name)))

    def perform_destroy(self, instance: Unit) -> None:
        services.forget_unit(instance)


class FleetViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, mixins.DestroyModelMixin, InSystems[Fleet]):
    """Celery applications: add one by its broker URL, and its workers and queues appear among the units."""

    queryset = Fleet.objects.select_related("system")
    serializer_class = FleetSerializer
    filterset_class = FleetFilter
    ordering_fields = ["name", "created_at", "id"]
    ordering = ["id"]
    lookup_value_converter = "int"

    def get_serializer_class(self) -> type[FleetSerializer | NewFleetSerializer]:
        return NewFleetSerializer if self.action == "create" else FleetSerializer

    @extend_schema(request=NewFleetSerializer, responses={201: FleetSerializer})
    def create(self, request: Request) -> Response:
        """Watch another Celery application."""
        form = NewFleetSerializer(data=request.data, context=self.get_serializer_context())
        form.is_valid(raise_exception=True)
        given: dict[str, Any] = form.validated_data
        system = operated_system(request, given.get("system"))
        fleet = services.watch_fleet(system, given["url"], name=given["name"])
        return Response(FleetSerializer(fleet).data, status=status.HTTP_201_CREATED)

    def perform_destroy(self, instance: Fleet) -> None:
        services.forget_fleet(instance)
