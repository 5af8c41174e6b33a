"""Viability now, and the history of assessments."""

from __future__ import annotations

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import mixins
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from subsystems.health import queries
from subsystems.health.models import Assessment
from vsm_site.api.filters import AssessmentFilter
from vsm_site.api.serializers import AssessmentSerializer, ViabilitySerializer
from vsm_site.api.systems import InSystems, requested_system


class AssessmentViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, InSystems[Assessment]):
    """Health history, newest first, kept 7 days."""

    queryset = Assessment.objects.select_related("system")
    serializer_class = AssessmentSerializer
    filterset_class = AssessmentFilter
    ordering_fields = ["assessed_at", "slot", "id"]
    ordering = ["-slot", "-id"]
    lookup_value_converter = "int"


class ViabilityView(APIView):
    """The viability of a system as last assessed, with the parts that add up to it."""

    @extend_schema(
        parameters=[OpenApiParameter("system", description="Slug; without it the root, or your only system")],
        responses=ViabilitySerializer,
    )
    def get(self, request: Request) -> Response:
        return Response(queries.viability_body(requested_system(request)))
