"""Scaling policies: making and changing them, what they want now, and trying one on the load of the last hours."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from subsystems.s3_control.scaling import queries, services
from subsystems.s3_control.scaling.columns import load_of, read_text
from subsystems.s3_control.scaling.models import ScalingPolicy
from vsm_site.api.permissions import person
from vsm_site.api.scaling import (
    KedaSerializer,
    NewScalingPolicySerializer,
    ScalingFieldsSerializer,
    ScalingPolicyFilter,
    ScalingPolicySerializer,
    TrialAskedSerializer,
    TrialsSerializer,
)
from vsm_site.api.systems import InSystems


class ScalingPolicyViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, InSystems[ScalingPolicy]):
    """How the readers of queues are scaled, and what was decided last. The default is to advise."""

    queryset = ScalingPolicy.objects.select_related("fleet")
    serializer_class = ScalingPolicySerializer
    filterset_class = ScalingPolicyFilter
    ordering_fields = ["id", "queue"]
    ordering = ["id"]
    lookup_value_converter = "int"

    @extend_schema(request=NewScalingPolicySerializer, responses={201: ScalingPolicySerializer})
    def create(self, request: Request) -> Response:
        """Scale the readers of a queue from now on."""
        form = NewScalingPolicySerializer(data=request.data, context=self.get_serializer_context())
        form.is_valid(raise_exception=True)
        given: dict[str, Any] = dict(form.validated_data)
        given.pop("system", None)
        row = services.save_policy(given.pop("fleet"), given, by=person(request).get_username())
        return Response(queries.policy_body(row), status=status.HTTP_201_CREATED)

    @extend_schema(request=ScalingFieldsSerializer, responses=ScalingPolicySerializer)
    def partial_update(self, request: Request, pk: int) -> Response:
        """Change some of it."""
        row = self.get_object()
        form = ScalingFieldsSerializer(row, data=request.data, partial=True)
        form.is_valid(raise_exception=True)
        saved = services.save_policy(row.fleet, form.validated_data, by=person(request).get_username(), policy=row)
        return Response(queries.policy_body(saved))

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: int) -> Response:
        """Scale no more; the size stays as it is."""
        services.drop_policy(self.get_object(), by=person(request).get_username())
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(responses=KedaSerializer)
    @action(detail=True, methods=["get"], filterset_class=None, pagination_class=None)
    def keda(self, request: Request, pk: int) -> Response:
        """What KEDA's `metrics-api` scaler reads (`valueLocation: desired`); 409 `stale` where it is not known."""
        return Response(queries.keda_body(self.get_object(), now=timezone.now()))

    @extend_schema(request=TrialAskedSerializer, responses=TrialsSerializer)
    @action(detail=True, methods=["post"], filterset_class=None, pagination_class=None)
    def rehearse(self, request: Request, pk: int) -> Response:
        """Try the policy on the load of the last hours, or on one that is given; nothing is done.

        It is tried with S2's dampers, without them, and at the largest size all the time.
        """
        form = TrialAskedSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        row, asked = self.get_object(), form.validated_data
        if "columns" in asked or "text" in asked:
            found = queries.trial_of(row, load_of(asked.get("columns") or read_text(asked["text"])))
        else:
            found = queries.trial(row, hours=asked["hours"], now=timezone.now())
        damped, bare, fixed = (asdict(each) for each in found)
        return Response({"with_s2": damped, "without_s2": bare, "at_the_most": fixed})
