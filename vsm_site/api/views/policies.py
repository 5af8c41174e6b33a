"""Policy as versions, goals, identity and decisions. Changing policy needs `admin`; deciding needs `operate`."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import mixins, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from subsystems.recursion.queries import systems_for
from subsystems.s5_policy import amending, deciding, exchange, queries
from subsystems.s5_policy.models import Decision, Policy, PolicyVersion
from subsystems.s5_policy.terms import Kind
from vsm_site.api.permissions import caller, person
from vsm_site.api.policies import (
    AmendSerializer,
    AskSerializer,
    DecideSerializer,
    DecisionFilter,
    DecisionSerializer,
    EnteredSerializer,
    GoalsSerializer,
    GoalValueSerializer,
    IdentitySerializer,
    ImportPoliciesSerializer,
    PolicyFilter,
    PolicyVersionSerializer,
    RevertPolicySerializer,
    ReviewSerializer,
    SystemPolicySerializer,
)
from vsm_site.api.schedules import moment
from vsm_site.api.serializers import ExportSerializer, ImportedSerializer
from vsm_site.api.systems import InSystems, choose_system, operated_system, requested_system

SYSTEM = OpenApiParameter("system", description="Slug; without it the root, or your only system")


class PolicyViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, InSystems[Policy]):
    """What S5 has said of systems, goals and values included. What nobody ever set is as documented, and not listed."""

    queryset = queries.policies()
    serializer_class = SystemPolicySerializer
    filterset_class = PolicyFilter
    ordering_fields = ["kind", "name", "id"]
    ordering = ["id"]
    lookup_value_converter = "int"
    scopes = {"POST": "admin"}

    @extend_schema(request=AmendSerializer, responses={201: SystemPolicySerializer})
    def create(self, request: Request) -> Response:
        """Change a policy, or make a goal or a value: the next version, with the reason."""
        form = AmendSerializer(data=request.data, context=self.get_serializer_context())
        form.is_valid(raise_exception=True)
        given: dict[str, Any] = dict(form.validated_data)
        asked = given.pop("system", None)
        system = choose_system(*caller(request), "admin", None if asked is None else asked.slug)
        about = {
            "values": given.get("values"), "judgement": given.get("judgement"),
            "expected": given.get("expected_version"), "effective_at": moment(given.get("effective_at")),
            "by": person(request), "reason": given["reason"],
        }  # fmt: skip
        name, kind = given.get("name", ""), given["kind"]
        if kind in (Kind.GOAL, Kind.VALUE) and not name:
            made = amending.add(system, kind, given["fields"], **about)
        else:
            made = amending.amend(system, kind, given["fields"], name=name, **about).policy
        return Response(self._body(made.pk), status=status.HTTP_201_CREATED)

    @extend_schema(request=ImportPoliciesSerializer, responses=ImportedSerializer, operation_id="policies_import")
    @action(detail=False, methods=["post"], url_path="import", filterset_class=None, pagination_class=None)
    def import_policies(self, request: Request) -> Response:
        """Let policy say what a file says: all of it or nothing, each change a version with the reason."""
        form = ImportPoliciesSerializer(data=request.data, context=self.get_serializer_context())
        form.is_valid(raise_exception=True)
        given = form.validated_data
        asked = given.get("system")
        system = choose_system(*caller(request), "admin", None if asked is None else asked.slug)
        found = exchange.import_policies(
            system, person(request), given["text"], reason=given["reason"], dry_run=given["dry_run"]
        )
        return Response(found.to_wire())

    @extend_schema(parameters=[SYSTEM], responses=ExportSerializer, operation_id="policies_export")
    @action(detail=False, methods=["get"], url_path="export", filterset_class=None, pagination_class=None)
    def export_policies(self, request: Request) -> Response:
        """What S5 has said, the newest version of each, as YAML that `import` reads."""
        return Response({"text": exchange.export_policies(requested_system(request))})

    @extend_schema(responses=PolicyVersionSerializer(many=True))
    @action(detail=True, methods=["get"], filterset_class=None, pagination_class=None)
    def versions(self, request: Request, pk: int) -> Response:
        """Every version of it, the newest first."""
        rows: QuerySet[PolicyVersion] = self.get_object().versions.all()
        return Response(PolicyVersionSerializer(rows, many=True).data)

    @extend_schema(request=RevertPolicySerializer, responses=SystemPolicySerializer)
    @action(detail=True, methods=["post"])
    def revert(self, request: Request, pk: int) -> Response:
        """Let it say again what it said in a version, as a version of its own."""
        form = RevertPolicySerializer(data=request.data)
        form.is_valid(raise_exception=True)
        given = form.validated_data
        amending.revert(self.get_object(), given["version"], by=person(request), reason=given.get("reason", ""))
        return Response(self._body(pk))

    def _body(self, pk: int) -> Any:
        return SystemPolicySerializer(queries.policies().get(pk=pk)).data


class GoalsView(APIView):
    """The goals of a system as they stand, and how far it has come on the whole."""

    @extend_schema(parameters=[SYSTEM], responses=GoalsSerializer)
    def get(self, request: Request) -> Response:
        return Response(queries.goals_body(requested_system(request), now=timezone.now()))


class GoalValueView(APIView):
    """What a person says that a goal stands at."""

    @extend_schema(request=GoalValueSerializer, responses={201: EnteredSerializer})
    def post(self, request: Request, pk: int) -> Response:
        form = GoalValueSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        user, token = caller(request)
        systems = systems_for(user, "operate", token)
        goal = get_object_or_404(Policy.objects.filter(kind=Kind.GOAL, system__in=systems), pk=pk)
        row = amending.enter_value(goal, form.validated_data["value"], by=person(request),
                                   note=form.validated_data.get("note", ""))  # fmt: skip
        return Response(queries.entered_body(row), status=status.HTTP_201_CREATED)


class IdentityView(APIView):
    """What a system stands for, and how much of what it decides serves that."""

    @extend_schema(parameters=[SYSTEM], responses=IdentitySerializer)
    def get(self, request: Request) -> Response:
        return Response(queries.identity_body(requested_system(request), now=timezone.now()))


class DecisionViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, InSystems[Decision]):
    """Questions to S5: those that alerts ask, and those that people put down, with what came of them."""

    queryset = Decision.objects.select_related("system", "asked_by", "approver")
    serializer_class = DecisionSerializer
    filterset_class = DecisionFilter
    ordering_fields = ["asked_at", "due_at", "review_by", "id"]
    ordering = ["-asked_at", "-id"]
    lookup_value_converter = "int"

    @extend_schema(request=AskSerializer, responses={201: DecisionSerializer})
    def create(self, request: Request) -> Response:
        """Put down something that is to be decided."""
        form = AskSerializer(data=request.data, context=self.get_serializer_context())
        form.is_valid(raise_exception=True)
        given: dict[str, Any] = dict(form.validated_data)
        system = operated_system(request, given.pop("system", None))
        times = {"due_at": moment(given.pop("due_at")), "review_by": moment(given.pop("review_by", None))}
        approver = queries.approver(system, given.pop("approver", ""))
        made = deciding.put_down(system, by=person(request), approver=approver, **given, **times)  # type: ignore[arg-type]
        return Response(DecisionSerializer(made).data, status=status.HTTP_201_CREATED)

    @extend_schema(request=DecideSerializer, responses=DecisionSerializer)
    @action(detail=True, methods=["post"])
    def decide(self, request: Request, pk: int) -> Response:
        """Write down what was decided, and by what its outcome is to be judged."""
        form = DecideSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        given: dict[str, Any] = dict(form.validated_data)
        deciding.decide(
            self.get_object(), by=person(request), answer=given["answer"], criterion=given.get("criterion"),
            review_by=moment(given.get("review_by")),
        )  # fmt: skip
        return Response(DecisionSerializer(self.get_object()).data)

    @extend_schema(request=ReviewSerializer, responses=DecisionSerializer)
    @action(detail=True, methods=["post"])
    def review(self, request: Request, pk: int) -> Response:
        """Say whether the outcome met the criterion."""
        form = ReviewSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        deciding.review(self.get_object(), by=person(request), **form.validated_data)
        return Response(DecisionSerializer(self.get_object()).data)
