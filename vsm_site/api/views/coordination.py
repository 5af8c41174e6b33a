"""How a system is coordinated: its lags, efficiency, fairness, channels; what swings; what is damped."""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import mixins
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from subsystems.recursion.queries import systems_for
from subsystems.s2_coordination import damping
from subsystems.s2_coordination.models import Damper, DampingRules
from subsystems.s2_coordination.monitor import queries
from subsystems.s2_coordination.monitor.models import CoordinationFinding
from vsm_site.api.coordination import (
    CoordinationFindingFilter,
    CoordinationFindingSerializer,
    CoordinationSerializer,
    DamperFilter,
    DamperSerializer,
    DampingSerializer,
)
from vsm_site.api.permissions import caller, person
from vsm_site.api.systems import InSystems, requested_system

SYSTEM = OpenApiParameter("system", description="Slug; without it the root, or your only system")


class CoordinationView(APIView):
    """All that is known of how a system is coordinated, of the last hour."""

    @extend_schema(parameters=[SYSTEM], responses=CoordinationSerializer)
    def get(self, request: Request) -> Response:
        system = requested_system(request)
        user, token = caller(request)
        readable = systems_for(user, "read", token).values_list("pk", flat=True)
        return Response(queries.coordination_body(system, readable=readable, now=timezone.now()))


class DampingView(APIView):
    """How a system's acts are damped, and whether they are. It is policy of the kind `damping`, and changed as such."""

    @extend_schema(parameters=[SYSTEM], responses=DampingSerializer)
    def get(self, request: Request) -> Response:
        return Response(queries.rules_body(requested_system(request)))


class CoordinationFindingViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, InSystems[CoordinationFinding]):
    """What swings, is adjusted too often or gets in something else's way, with the evidence and what was done."""

    queryset = queries.findings()
    serializer_class = CoordinationFindingSerializer
    filterset_class = CoordinationFindingFilter
    ordering_fields = ["found_at", "seen_at", "id"]
    ordering = ["-found_at", "-id"]
    lookup_value_converter = "int"


class DamperViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, InSystems[Damper]):
    """What acts are damped: by subject, until when and why."""

    queryset = Damper.objects.all()
    serializer_class = DamperSerializer
    filterset_class = DamperFilter
    ordering_fields = ["subject", "asked_at", "id"]
    ordering = ["id"]
    lookup_value_converter = "int"

    def get_serializer_context(self) -> dict[str, Any]:
        terms = {row.system_id: row.terms for row in DampingRules.objects.all()}
        return {**super().get_serializer_context(), "terms": terms}

    @extend_schema(request=None, responses=DamperSerializer)
    @action(detail=True, methods=["post"])
    def lift(self, request: Request, pk: int) -> Response:
        """Let it go: forget its reversals and what holds it."""
        row = self.get_object()
        damping.lift(row, by=person(request), now=timezone.now())
        row.refresh_from_db()
        return Response(self.get_serializer(row).data)
