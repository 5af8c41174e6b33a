"""Alert rules and the alerts they raise."""

from __future__ import annotations

import time
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import mixins, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from alerts import queries, services
from alerts.models import Alert, AlertRule
from subsystems.kernel.errors import Invalid
from subsystems.recursion.models import System
from vsm_site.api.filters import AlertFilter, AlertRuleFilter
from vsm_site.api.permissions import person
from vsm_site.api.serializers import (
    AcknowledgeSerializer,
    AlertRuleSerializer,
    AlertSerializer,
    PreviewQuerySerializer,
    PreviewSerializer,
)
from vsm_site.api.systems import InSystems, operated_system, requested_system


class AlertRuleViewSet(
    mixins.ListModelMixin, mixins.RetrieveModelMixin, mixins.DestroyModelMixin, InSystems[AlertRule]
):
    """Conditions on metrics that are watched."""

    queryset = AlertRule.objects.select_related("system", "unit", "created_by")
    serializer_class = AlertRuleSerializer
    filterset_class = AlertRuleFilter
    ordering_fields = ["name", "metric", "severity", "created_at", "id"]
    ordering = ["id"]
    lookup_value_converter = "int"

    def create(self, request: Request) -> Response:
        """Watch a condition."""
        given = self._validated(request)
        system = operated_system(request, given.pop("system", None))
        _refuse_foreign_unit(system, given)
        rule = services.create_rule(system, person(request), **given)
        return Response(self.get_serializer(rule).data, status=status.HTTP_201_CREATED)

    def update(self, request: Request, pk: int) -> Response:
        """Replace a rule; what is not given gets its default."""
        return self._change(request, partial=False)

    def partial_update(self, request: Request, pk: int) -> Response:
        """Change some fields of a rule."""
        return self._change(request, partial=True)

    @extend_schema(responses=PreviewSerializer(many=True))
    @action(detail=True, methods=["get"], filterset_class=None, pagination_class=None)
    def preview(self, request: Request, pk: int) -> Response:
        """What this rule sees right now."""
        rule = self.get_object()
        found = queries.preview(
            rule.system, rule.metric, rule.unit_kind, rule.unit_id, rule.comparison, rule.threshold, now=time.time()
        )
        return Response(found)

    @extend_schema(
        parameters=[PreviewQuerySerializer],
        responses=PreviewSerializer(many=True),
        operation_id="alert_rules_preview_new_list",
    )
    @action(detail=False, methods=["get"], url_path="preview", filterset_class=None, pagination_class=None)
    def preview_new(self, request: Request) -> Response:
        """What a rule with these fields would see right now."""
        form = PreviewQuerySerializer(data=request.query_params, context=self.get_serializer_context())
        form.is_valid(raise_exception=True)
        given: dict[str, Any] = form.validated_data
        system = given.get("system") or requested_system(request)
        _refuse_foreign_unit(system, given)
        found = queries.preview(
            system,
            given["metric"],
            given["unit_kind"],
            given["unit"].pk if "unit" in given else None,
            given["comparison"],
            given.get("threshold"),
            now=time.time(),
        )
        return Response(found)

    def perform_destroy(self, instance: AlertRule) -> None:
        services.delete_rule(instance)

    def _change(self, request: Request, *, partial: bool) -> Response:
        rule = self.get_object()
        given = self._validated(request, rule, partial=partial)
        if given.pop("system", rule.system) != rule.system:
            raise Invalid("A rule stays in its system.", field="system")
        _refuse_foreign_unit(rule.system, given)
        services.update_rule(rule, **given)
        return Response(self.get_serializer(self.get_object()).data)

    def _validated(self, request: Request, rule: AlertRule | None = None, *, partial: bool = False) -> dict[str, Any]:
        form = self.get_serializer(rule, data=request.data, partial=partial)
        form.is_valid(raise_exception=True)
        return dict(form.validated_data)


class AlertViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, InSystems[Alert]):
    """Alerts: pending, firing, resolved."""

    queryset = Alert.objects.select_related("system", "unit", "acknowledged_by", "resolved_by")
    serializer_class = AlertSerializer
    filterset_class = AlertFilter
    ordering_fields = ["pending_at", "severity", "state", "id"]
    ordering = ["-pending_at", "-id"]
    lookup_value_converter = "int"

    @extend_schema(request=AcknowledgeSerializer)
    @action(detail=True, methods=["post"])
    def acknowledge(self, request: Request, pk: int) -> Response:
        """Say that somebody looks after this alert."""
        form = AcknowledgeSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        services.acknowledge(self.get_object(), person(request), form.validated_data["comment"])
        return Response(AlertSerializer(self.get_object()).data)

    @extend_schema(request=None)
    @action(detail=True, methods=["post"])
    def resolve(self, request: Request, pk: int) -> Response:
        """Close this alert by hand."""
        services.resolve(self.get_object(), person(request))
        return Response(AlertSerializer(self.get_object()).data)


def _refuse_foreign_unit(system: System, given: dict[str, Any]) -> None:
    unit = given.get("unit")
    if unit is not None and unit.system_id != system.pk:
        raise Invalid("This unit belongs to another system.", field="unit")
