"""The scores of the five cards with their definitions, and emergencies with their checklists."""

from __future__ import annotations

from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import mixins
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from subsystems.health.queries import scores_body
from subsystems.s5_policy import responding
from subsystems.s5_policy.models import Emergency
from vsm_site import configuration
from vsm_site.api.permissions import person
from vsm_site.api.scores import (
    ComponentsSerializer,
    ConfigurationSerializer,
    EmergencyFilter,
    EmergencySerializer,
    ScoresSerializer,
    TickSerializer,
)
from vsm_site.api.systems import InSystems, requested_system
from vsm_site.components import health_check


class ScoresView(APIView):
    """Every score of a system: what it means, its value or why it is unknown, and what it was made from."""

    @extend_schema(
        parameters=[OpenApiParameter("system", description="Slug; without it the root, or your only system")],
        responses=ScoresSerializer,
    )
    def get(self, request: Request) -> Response:
        return Response(scores_body(requested_system(request)))


class ComponentsView(APIView):
    """How each part of the platform does: core, telemetry, rate limiter, event processing."""

    @extend_schema(responses=ComponentsSerializer)
    def get(self, request: Request) -> Response:
        return Response(health_check(now=timezone.now()))


class ConfigurationView(APIView):
    """What is switched on, and what the parts agree on; values come from the environment."""

    @extend_schema(responses=ConfigurationSerializer)
    def get(self, request: Request) -> Response:
        return Response({"configuration": configuration.tree(), "settings": configuration.rows()})


class EmergencyViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, InSystems[Emergency]):
    """Times in which the whole of a system was unhealthy, the newest first."""

    queryset = Emergency.objects.select_related("system")
    serializer_class = EmergencySerializer
    filterset_class = EmergencyFilter
    ordering_fields = ["began_at", "id"]
    ordering = ["-began_at", "-id"]
    lookup_value_converter = "int"

    @extend_schema(request=TickSerializer, responses=EmergencySerializer)
    @action(detail=True, methods=["post"])
    def tick(self, request: Request, pk: int) -> Response:
        """Mark a line of the checklist as done, or take that back."""
        form = TickSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        row = responding.tick(self.get_object(), by=person(request), now=timezone.now(), **form.validated_data)
        return Response(EmergencySerializer(row).data)
