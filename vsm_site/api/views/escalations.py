"""Escalation policies, and what became of each escalation."""

from __future__ import annotations

from typing import ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework import mixins, status
from rest_framework.request import Request
from rest_framework.response import Response

from alerts.models import EscalationPolicy, EscalationRun
from alerts.people import planning
from vsm_site.api import on_call as wire
from vsm_site.api.permissions import person
from vsm_site.api.systems import InSystems
from vsm_site.api.views.notices import ADMINISTERED
from vsm_site.api.views.on_call import administered, refuse_moving, validated


class PolicyViewSet(mixins.RetrieveModelMixin, InSystems[EscalationPolicy]):
    """Whom to tell in which order until somebody says that it is theirs."""

    scopes = ADMINISTERED
    queryset = EscalationPolicy.objects.select_related("system")
    serializer_class = wire.PolicySerializer
    filterset_fields: ClassVar[list[str]] = ["name", "enabled"]
    ordering_fields = ["name", "id"]
    ordering = ["id"]
    lookup_value_converter = "int"

    @extend_schema(responses=wire.PolicySerializer(many=True))
    def list(self, request: Request) -> Response:
        """The policies, with the names of whom they tell."""
        rows = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
        return self.get_paginated_response(planning.policy_bodies(rows or []))

    def create(self, request: Request) -> Response:
        """Add a policy; a receiver of the routing names it as `escalation`, a rule by that label."""
        given = validated(wire.PolicySerializer, request)
        policy = EscalationPolicy(system=administered(request, given.pop("system", None)))
        planning.save_policy(policy, person(request), **given)
        return Response(wire.PolicySerializer(policy).data, status=status.HTTP_201_CREATED)

    def partial_update(self, request: Request, pk: int) -> Response:
        """Change a policy; those at work go on with the steps that they began with."""
        policy = self.get_object()
        given = validated(wire.PolicySerializer, request, partial=True)
        refuse_moving(given, policy.system)
        planning.save_policy(policy, person(request), **given)
        return Response(wire.PolicySerializer(policy).data)

    def destroy(self, request: Request, pk: int) -> Response:
        """Delete a policy that neither the routing nor a rule names."""
        planning.delete_policy(self.get_object(), person(request))
        return Response(status=status.HTTP_204_NO_CONTENT)


class EscalationViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, InSystems[EscalationRun]):
    """Policies at work, and those that were: each step, who was told by what, and who was not and why."""

    queryset = EscalationRun.objects.select_related("system").prefetch_related(*planning.RUN_PARTS)
    serializer_class = wire.EscalationSerializer
    filterset_fields: ClassVar[list[str]] = ["state"]
    ordering_fields = ["started_at", "id"]
    ordering = ["-started_at", "-id"]
    lookup_value_converter = "int"
