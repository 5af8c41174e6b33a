"""Alert rules and the alerts they raise."""

from __future__ import annotations

import time
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import mixins, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from alerts import exchange, looking, rehearsing, services
from alerts.models import Alert, AlertRule
from alerts.queries import PEOPLE
from alerts.starters import PACKS
from subsystems.kernel.errors import Invalid
from subsystems.recursion.models import System
from vsm_site.api.filters import AlertFilter, AlertRuleFilter
from vsm_site.api.permissions import person
from vsm_site.api.serializers import (
    AlertRuleSerializer,
    AlertSerializer,
    ExplanationSerializer,
    ExportSerializer,
    ImportedSerializer,
    ImportSerializer,
    InstallSerializer,
    KindSerializer,
    PackSerializer,
    PreviewQuerySerializer,
    PreviewSerializer,
    RehearsalQuerySerializer,
    RehearsalSerializer,
    RevertSerializer,
    RuleVersionSerializer,
)
from vsm_site.api.systems import InSystems, operated_system, requested_system
from vsm_site.api.views.alert_actions import AlertActions


class AlertRuleViewSet(
    mixins.ListModelMixin, mixins.RetrieveModelMixin, mixins.DestroyModelMixin, InSystems[AlertRule]
):
    """Conditions on metrics that are watched."""

    queryset = AlertRule.objects.select_related("system", "unit", "created_by", "owner")
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
        return Response(looking.lines(self.get_object(), now=time.time()))

    @extend_schema(
        parameters=[OpenApiParameter("subject", str, description="Only this one")],
        responses=ExplanationSerializer(many=True),
    )
    @action(detail=True, methods=["get"], filterset_class=None, pagination_class=None)
    def explain(self, request: Request, pk: int) -> Response:
        """Why this rule fires or does not, for each thing that it watches, and what would change it."""
        subject = request.query_params.get("subject", "")
        return Response(looking.explanations(self.get_object(), now=timezone.now(), subject=subject))

    @extend_schema(parameters=[RehearsalQuerySerializer], responses=RehearsalSerializer)
    @action(detail=True, methods=["get"], filterset_class=None, pagination_class=None)
    def rehearse(self, request: Request, pk: int) -> Response:
        """What this rule would have done over the last days."""
        form = RehearsalQuerySerializer(data=request.query_params)
        form.is_valid(raise_exception=True)
        return Response(rehearsing.rehearse(self.get_object(), days=form.validated_data["days"], now=time.time()))

    @extend_schema(request=AlertRuleSerializer, parameters=[RehearsalQuerySerializer], responses=RehearsalSerializer)
    @action(detail=False, methods=["post"], url_path="rehearse", filterset_class=None, pagination_class=None)
    def rehearse_new(self, request: Request) -> Response:
        """What a rule with these fields would have done over the last days; nothing is saved."""
        form = RehearsalQuerySerializer(data=request.query_params)
        form.is_valid(raise_exception=True)
        given = self._validated(request)
        system = operated_system(request, given.pop("system", None))
        _refuse_foreign_unit(system, given)
        rule = services.drafted(system, **given)
        return Response(rehearsing.rehearse(rule, days=form.validated_data["days"], now=time.time()))

    @extend_schema(responses=RuleVersionSerializer(many=True))
    @action(detail=True, methods=["get"], filterset_class=None, pagination_class=None)
    def versions(self, request: Request, pk: int) -> Response:
        """What this rule said, newest first, and who changed it."""
        versions = self.get_object().versions.select_related("by")[:200]
        return Response(RuleVersionSerializer(versions, many=True).data)

    @extend_schema(request=RevertSerializer, responses=AlertRuleSerializer)
    @action(detail=True, methods=["post"])
    def revert(self, request: Request, pk: int) -> Response:
        """Give this rule the fields of an earlier version, as a new version."""
        form = RevertSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        services.revert_rule(self.get_object(), form.validated_data["version"], person(request))
        return Response(self.get_serializer(self.get_object()).data)

    @extend_schema(request=ImportSerializer, responses=ImportedSerializer, operation_id="alert_rules_import")
    @action(detail=False, methods=["post"], url_path="import", filterset_class=None, pagination_class=None)
    def import_rules(self, request: Request) -> Response:
        """Add the rules of a file: of Prometheus, or as exported here. What does not translate is named with why."""
        form = ImportSerializer(data=request.data, context=self.get_serializer_context())
        form.is_valid(raise_exception=True)
        given = form.validated_data
        system = operated_system(request, given.get("system"))
        options = {name: given[name] for name in ("dry_run", "whole")}
        return Response(exchange.import_rules(system, person(request), given["text"], **options).to_wire())

    @extend_schema(
        parameters=[OpenApiParameter("system", str, description="Slug of the system")],
        responses=ExportSerializer, operation_id="alert_rules_export",
    )  # fmt: skip
    @action(detail=False, methods=["get"], url_path="export", filterset_class=None, pagination_class=None)
    def export_rules(self, request: Request) -> Response:
        """The rules as YAML that `import` reads."""
        return Response({"text": exchange.export_rules(requested_system(request))})

    @extend_schema(responses=PackSerializer(many=True))
    @action(detail=False, methods=["get"], filterset_class=None, pagination_class=None)
    def starters(self, request: Request) -> Response:
        """Sets of rules to begin with."""
        packs = [
            {
                "name": each.name,
                "title": each.title,
                "about": each.about,
                "rules": [rule["name"] for rule in each.rules],
            }
            for each in PACKS.values()
        ]
        return Response(packs)

    @extend_schema(request=InstallSerializer, responses=ImportedSerializer)
    @action(detail=False, methods=["post"], filterset_class=None, pagination_class=None)
    def install(self, request: Request) -> Response:
        """Add a set of rules to begin with; those whose names are taken stay as they are."""
        form = InstallSerializer(data=request.data, context=self.get_serializer_context())
        form.is_valid(raise_exception=True)
        system = operated_system(request, form.validated_data.get("system"))
        found = exchange.install(system, person(request), form.validated_data["name"])
        return Response(found.to_wire())

    @extend_schema(responses=KindSerializer(many=True))
    @action(detail=False, methods=["get"], filterset_class=None, pagination_class=None)
    def kinds(self, request: Request) -> Response:
        """The kinds of conditions, with their settings."""
        return Response(looking.kinds())

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
        found = looking.preview(
            system,
            given["metric"],
            given["unit_kind"],
            given["unit"].pk if "unit" in given else None,
            given["comparison"],
            given.get("threshold"),
            now=time.time(),
            **{name: given[name] for name in looking.PREVIEWED},
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
        services.update_rule(rule, person(request), **given)
        return Response(self.get_serializer(self.get_object()).data)

    def _validated(self, request: Request, rule: AlertRule | None = None, *, partial: bool = False) -> dict[str, Any]:
        form = self.get_serializer(rule, data=request.data, partial=partial)
        form.is_valid(raise_exception=True)
        return dict(form.validated_data)


class AlertViewSet(AlertActions, mixins.ListModelMixin, mixins.RetrieveModelMixin, InSystems[Alert]):
    """Alerts: pending, firing, resolved."""

    queryset = Alert.objects.select_related("system", "unit", *PEOPLE)
    serializer_class = AlertSerializer
    filterset_class = AlertFilter
    ordering_fields = ["pending_at", "severity", "state", "id"]
    ordering = ["-pending_at", "-id"]
    lookup_value_converter = "int"

    @extend_schema(responses=ExplanationSerializer(many=True))
    @action(detail=True, methods=["get"], filterset_class=None, pagination_class=None)
    def explain(self, request: Request, pk: int) -> Response:
        """Why this alert is as it is, and what would change it; empty where no rule raised it."""
        alert = self.get_object()
        rule = alert.rule
        told = [] if rule is None else looking.explanations(rule, now=timezone.now(), subject=alert.subject)
        return Response(told)


def _refuse_foreign_unit(system: System, given: dict[str, Any]) -> None:
    unit = given.get("unit")
    if unit is not None and unit.system_id != system.pk:
        raise Invalid("This unit belongs to another system.", field="unit")
