"""Steering by hand: proposing acts, following and undoing them, and the audit trail they leave."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from typing import Any

from django.db.models import QuerySet
from django.http import StreamingHttpResponse
from django.urls import reverse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import mixins, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework.viewsets import GenericViewSet

from subsystems.kernel.errors import Invalid
from subsystems.recursion.queries import systems_for
from subsystems.s3_control import captures, queries, steering
from subsystems.s3_control.models import Action, ActionItem, StandingOrder
from vsm_site.api.permissions import caller, person, scope_of
from vsm_site.api.steering import (
    COLUMNS,
    ActionFilter,
    ActionItemSerializer,
    ActionSerializer,
    ActSerializer,
    CapturedSerializer,
    CapturesSerializer,
    NewActionSerializer,
    OrderFilter,
    StandingOrderSerializer,
    TasksActSerializer,
    UndoSerializer,
    acts_listed,
    exported,
)
from vsm_site.api.systems import InSystems


class ActionViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, InSystems[Action]):
    """Who did what to a fleet, why, and what came of it, newest first. Nothing here is ever changed or deleted."""

    queryset = Action.objects.all()
    serializer_class = ActionSerializer
    filterset_class = ActionFilter
    ordering_fields = ["requested_at", "kind", "state", "actor"]
    ordering = ["-requested_at", "-id"]
    lookup_value_converter = "uuid"

    @extend_schema(request=NewActionSerializer, responses={202: ActionSerializer, 200: ActionSerializer})
    def create(self, request: Request) -> Response:
        """Do something to a fleet. 202: it is recorded and will be done; 200 for a dry run, which only says what would.

        A refusal says why it cannot be done, before anything is: `409 cannot`.
        """
        form = NewActionSerializer(data=request.data, context=self.get_serializer_context())
        form.is_valid(raise_exception=True)
        given: dict[str, Any] = form.validated_data
        unit = given.get("unit")
        fleet = unit.fleet if unit is not None else given["fleet"]
        user, token = caller(request)
        if not systems_for(user, "operate", token).filter(pk=fleet.system_id).exists():
            raise Invalid("You hold the scope 'operate' not in this unit's system.", field="unit")
        target = unit.name.removeprefix(f"{fleet.name}/") if unit is not None else given.get("target", "")
        return _proposed(
            request,
            steering.Request(
                fleet, given["kind"], target, given.get("parameters"), given.get("reason", ""),
                given.get("dry_run", False), token.name if token else "",
            ),
        )  # fmt: skip

    @extend_schema(request=UndoSerializer, responses={202: ActionSerializer})
    @action(detail=True, methods=["post"], filterset_class=None, pagination_class=None)
    def undo(self, request: Request, pk: str) -> Response:
        """Do what reverses this act, as an act of its own; 409 when nothing does."""
        form = UndoSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        _, token = caller(request)
        reason: str = form.validated_data["reason"]
        undoing = steering.undo(self.get_object(), by=person(request), reason=reason, via=token.name if token else "")
        return _accepted(undoing)

    @extend_schema(responses=ActionItemSerializer(many=True))
    @action(detail=True, methods=["get"], filterset_class=None, ordering_fields=["id"], ordering=["id"])
    def items(self, request: Request, pk: str) -> Response:
        """What one by one became of the many that an act is about."""
        rows: QuerySet[ActionItem] = self.get_object().items.all()
        assert self.paginator is not None
        page = self.paginator.paginate_queryset(rows.order_by("id"), request, view=self)
        return self.get_paginated_response(ActionItemSerializer(page, many=True).data)

    @extend_schema(responses=ActSerializer(many=True))
    @action(detail=False, methods=["get"], filterset_class=None, pagination_class=None)
    def kinds(self, request: Request) -> Response:
        """Every kind of act, with the schema of its parameters."""
        return Response(acts_listed())

    @extend_schema(
        responses={(200, "text/csv"): OpenApiTypes.STR, (200, "application/x-ndjson"): OpenApiTypes.STR},
        parameters=[OpenApiParameter("as", enum=["csv", "jsonl"], description="csv unless said otherwise")],
    )
    @action(detail=False, methods=["get"], pagination_class=None)
    def export(self, request: Request) -> StreamingHttpResponse:
        """The whole audit trail, as CSV or JSON lines, oldest first; the list's filters hold."""
        wanted = request.query_params.get("as", "csv")
        if wanted not in {"csv", "jsonl"}:
            raise Invalid("It is exported as csv or jsonl.", field="as")
        rows = exported(self.filter_queryset(self.get_queryset()).order_by("requested_at", "id"))
        lines = _csv(rows) if wanted == "csv" else (json.dumps(row) + "\n" for row in rows)
        kind = "text/csv; charset=utf-8" if wanted == "csv" else "application/x-ndjson"
        answer = StreamingHttpResponse(lines, content_type=kind)
        answer["Content-Disposition"] = f'attachment; filename="actions.{wanted}"'
        return answer


class StandingOrderViewSet(mixins.ListModelMixin, GenericViewSet[StandingOrder]):
    """What holds until further notice, and which workers have confirmed it: pauses, limits across a fleet, revokes."""

    queryset = StandingOrder.objects.filter(ended_at=None).select_related("fleet").prefetch_related("confirmations")
    serializer_class = StandingOrderSerializer
    filterset_class = OrderFilter
    ordering_fields = ["since", "id"]
    ordering = ["-id"]

    def get_queryset(self) -> QuerySet[StandingOrder]:
        user, token = caller(self.request)
        held = systems_for(user, scope_of(self, self.request.method), token)
        return super().get_queryset().filter(fleet__system__in=held)


class TasksActView(APIView):
    """Retry or revoke tasks, one or many; a dry run says how many."""

    kind = ""

    def act(self, request: Request) -> Response:
        form = TasksActSerializer(data=request.data, context={"request": request})
        form.is_valid(raise_exception=True)
        given: dict[str, Any] = form.validated_data
        _, token = caller(request)
        asked = steering.Request(
            given["fleet"], self.kind, "", given["parameters"], given.get("reason", ""), given.get("dry_run", False),
            token.name if token else "",
        )  # fmt: skip
        return _proposed(request, asked)


class RetryView(TasksActView):
    kind = "task.retry"

    @extend_schema(
        request=TasksActSerializer, responses={202: ActionSerializer, 200: ActionSerializer}, operation_id="tasks_retry"
    )
    def post(self, request: Request) -> Response:
        """Send tasks again with their true arguments, as they were captured when they were published."""
        return self.act(request)


class RevokeView(TasksActView):
    kind = "task.revoke"

    @extend_schema(
        request=TasksActSerializer, responses={202: ActionSerializer, 200: ActionSerializer},
        operation_id="tasks_revoke",
    )  # fmt: skip
    def post(self, request: Request) -> Response:
        """Revoke tasks on every worker, with proof of which hold it; workers that start later are told, too."""
        return self.act(request)


class CapturesView(APIView):
    """Messages as they were published, from the hook in `vsm_client.celery`."""

    scopes = {"POST": "ingest"}

    @extend_schema(request=CapturesSerializer, responses={202: CapturedSerializer}, operation_id="captures_create")
    def post(self, request: Request) -> Response:
        """Keep the true arguments of tasks, so that they can be sent again. Sending them twice changes nothing."""
        form = CapturesSerializer(data=request.data, context={"request": request})
        form.is_valid(raise_exception=True)
        given: dict[str, Any] = form.validated_data
        count = captures.keep(given["fleet"], given["tasks"])
        return Response({"accepted": count}, status=status.HTTP_202_ACCEPTED)


def _proposed(request: Request, asked: steering.Request) -> Response:
    proposed = steering.propose(asked, by=person(request))
    return Response(queries.action_body(proposed)) if proposed.dry_run else _accepted(proposed)


def _accepted(proposed: Action) -> Response:
    where = {"Location": reverse("api:action-detail", args=[proposed.pk])}
    return Response(queries.action_body(proposed), status=status.HTTP_202_ACCEPTED, headers=where)


class _Echo:
    """A file whose writes are what is written."""

    def write(self, text: str) -> str:
        return text


def _csv(rows: Iterator[dict[str, Any]]) -> Iterator[str]:
    writer = csv.writer(_Echo())
    yield writer.writerow(COLUMNS)
    for row in rows:
        yield writer.writerow([_cell(row[name]) for name in COLUMNS])


def _cell(value: Any) -> Any:
    """Return a value for a spreadsheet, which must not take a text for a formula."""
    if isinstance(value, dict):
        return json.dumps(value)
    return f"'{value}" if isinstance(value, str) and value[:1] in {"=", "+", "-", "@", "\t", "\r"} else value
