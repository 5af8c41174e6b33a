"""Configuration audits of fleets: how each stands, what was found, and what people decide about it."""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from subsystems.s3_control.audit import queries, services
from subsystems.s3_control.audit.models import AuditRun, Finding, FleetAudit
from vsm_site.api.audit import (
    AcceptSerializer,
    AuditFindingSerializer,
    AuditRuleSerializer,
    AuditRunFilter,
    AuditRunSerializer,
    FindingFilter,
    FleetAuditFilter,
    FleetAuditSerializer,
)
from vsm_site.api.permissions import person
from vsm_site.api.schedules import moment
from vsm_site.api.systems import InSystems


class FleetAuditViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, InSystems[FleetAudit]):
    """How each fleet stands; the id is the fleet's."""

    queryset = queries.audits()
    serializer_class = FleetAuditSerializer
    filterset_class = FleetAuditFilter
    ordering_fields = ["fleet_id", "score", "next_at"]
    ordering = ["fleet_id"]
    lookup_field = "fleet_id"
    lookup_url_kwarg = "pk"
    lookup_value_converter = "int"

    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
        return self.get_paginated_response(queries.audit_bodies(page or []))

    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return Response(queries.audit_bodies([self.get_object()])[0])

    @extend_schema(request=None, responses={202: FleetAuditSerializer})
    @action(detail=True, methods=["post"])
    def now(self, request: Request, pk: int) -> Response:
        """Audit it within a minute."""
        row = self.get_object()
        services.request(row, now=timezone.now())
        row.refresh_from_db()
        return Response(queries.audit_bodies([row])[0], status=status.HTTP_202_ACCEPTED)


class FindingViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, InSystems[Finding]):
    """What audits found, from when it was first seen until it is done."""

    queryset = queries.findings()
    serializer_class = AuditFindingSerializer
    filterset_class = FindingFilter
    ordering_fields = ["first_seen_at", "last_seen_at", "rule", "id"]
    ordering = ["id"]
    lookup_value_converter = "int"

    @extend_schema(request=AcceptSerializer, responses=AuditFindingSerializer)
    @action(detail=True, methods=["post"])
    def accept(self, request: Request, pk: int) -> Response:
        """Leave it as it is, for a reason, for good or until a moment."""
        form = AcceptSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        given: dict[str, Any] = form.validated_data
        until = moment(given.get("until"))
        found = services.accept(
            self.get_object(), reason=given["reason"], until=until, by=person(request), now=timezone.now()
        )
        return Response(AuditFindingSerializer(found).data)

    @extend_schema(request=None, responses=AuditFindingSerializer)
    @action(detail=True, methods=["post"])
    def reopen(self, request: Request, pk: int) -> Response:
        """Take an acceptance back."""
        found = services.reopen(self.get_object(), by=person(request), now=timezone.now())
        return Response(AuditFindingSerializer(found).data)


class AuditRunViewSet(mixins.ListModelMixin, InSystems[AuditRun]):
    """The audits of the last 90 days, newest first."""

    queryset = AuditRun.objects.select_related("fleet", "system")
    serializer_class = AuditRunSerializer
    filterset_class = AuditRunFilter
    ordering_fields = ["at"]
    ordering = ["-at"]


class AuditRulesView(APIView):
    """Every rule, with its reason and what to do."""

    @extend_schema(responses=AuditRuleSerializer(many=True), operation_id="audit_rules_list")
    def get(self, request: Request) -> Response:
        return Response(queries.rule_bodies())
