"""The history of a fleet's tasks: searching, one task, exporting, failures, latencies, and how well it is heard."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any

from django.db.models import QuerySet
from django.http import Http404, StreamingHttpResponse
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import mixins
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework.viewsets import GenericViewSet

from subsystems.fleets import queries, services
from subsystems.fleets.models import ExceptionGroup, HistoryRules, Task
from subsystems.fleets.searching import Wanted
from subsystems.kernel.errors import Invalid
from subsystems.kernel.times import moment_text
from subsystems.recursion.queries import systems_for
from subsystems.s1_operations.models import Fleet
from vsm_site.api.history_forms import (
    ExceptionGroupSerializer,
    ExportQuerySerializer,
    FleetsQuerySerializer,
    HearingSerializer,
    HistoryPageSerializer,
    HistoryRulesSerializer,
    HistoryTaskDetailSerializer,
    HistoryTaskSerializer,
    LatencyQuerySerializer,
    PageQuerySerializer,
    TaskLatencySerializer,
)
from vsm_site.api.permissions import caller, scope_of
from vsm_site.api.streaming import streamed

TYPES = {"csv": "text/csv; charset=utf-8", "jsonl": "application/x-ndjson"}
BLIND_DAYS = timedelta(days=7)


def fleets_of(request: Request, given: dict[str, Any]) -> dict[int, str]:
    """Return the names of the fleets that are asked for, by id. Raises Invalid for one that the caller cannot see."""
    user, token = caller(request)
    fleets = Fleet.objects.filter(system__in=systems_for(user, "read", token))
    if "system" in given:
        fleets = fleets.filter(system=given["system"])
    if "fleet" in given:
        fleets = fleets.filter(name=given["fleet"])
    found = dict(fleets.values_list("pk", "name"))
    if "fleet" in given and not found:
        raise Invalid("You can see no fleet of this name.", field="fleet")
    return found


class HistoryView(APIView):
    """Tasks of the fleets, newest first."""

    @extend_schema(parameters=[PageQuerySerializer], responses=HistoryPageSerializer, operation_id="task_history_list")
    def get(self, request: Request) -> Response:
        form = PageQuerySerializer(data=request.query_params, context={"request": request})
        form.is_valid(raise_exception=True)
        wanted, after = form.wanted(), form.after()
        fleets = fleets_of(request, form.validated_data)
        found = queries.search(list(fleets), wanted, after=after, limit=form.validated_data["limit"])
        return Response(
            {
                "next": None if found.next is None else _with_cursor(request, str(found.next)),
                "searched_until": moment_text(found.searched_until),
                "blind": _blind(fleets, wanted),
                "results": [queries.task_body(task, fleets) for task in found.tasks],
            }
        )


class HistoryTaskView(APIView):
    """All that is known of one task: its times, tries, family and traceback."""

    @extend_schema(responses=HistoryTaskDetailSerializer, operation_id="task_history_retrieve")
    def get(self, request: Request, pk: int) -> Response:
        fleets = fleets_of(request, {})
        task = Task.objects.filter(pk=pk, fleet_id__in=list(fleets)).first()
        if task is None:
            raise Http404
        return Response(queries.detail_body(task, fleets))


class HistoryExportView(APIView):
    """All tasks that fit the filters, as a file that is made while it is read."""

    @extend_schema(
        parameters=[ExportQuerySerializer],
        responses={(200, "text/csv"): OpenApiTypes.BINARY},
        operation_id="task_history_export",
    )
    def get(self, request: Request) -> StreamingHttpResponse:
        form = ExportQuerySerializer(data=request.query_params, context={"request": request})
        form.is_valid(raise_exception=True)
        fleets = fleets_of(request, form.validated_data)
        wanted, form_of = form.wanted(), form.validated_data["as"]
        blocks = _csv(fleets, wanted) if form_of == "csv" else _lines(fleets, wanted)
        first = next(blocks, b"")  # what cannot be answered is told before the answer begins
        return StreamingHttpResponse(
            streamed(chain([first], blocks), request),
            content_type=TYPES[form_of],
            headers={"Content-Disposition": f'attachment; filename="tasks.{form_of}"', "Cache-Control": "no-store"},
        )


class ExceptionsViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, GenericViewSet[ExceptionGroup]):
    """Failures by kind: how often, since when, and when last."""

    queryset = ExceptionGroup.objects.all()
    serializer_class = ExceptionGroupSerializer
    filter_backends = []
    ordering = ["-last_seen_at"]
    lookup_value_converter = "int"

    def get_queryset(self) -> QuerySet[ExceptionGroup]:
        form = FleetsQuerySerializer(data=self.request.query_params, context={"request": self.request})
        form.is_valid(raise_exception=True)
        return queries.exception_groups(list(fleets_of(self.request, form.validated_data)))

    @extend_schema(parameters=[FleetsQuerySerializer])
    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().list(request, *args, **kwargs)


class LatenciesView(APIView):
    """How long tasks waited and ran, by name or queue, of the last hours; from roll-ups of five minutes."""

    @extend_schema(
        parameters=[LatencyQuerySerializer],
        responses=TaskLatencySerializer(many=True),
        operation_id="task_latencies_list",
    )
    def get(self, request: Request) -> Response:
        form = LatencyQuerySerializer(data=request.query_params, context={"request": request})
        form.is_valid(raise_exception=True)
        given: dict[str, Any] = form.validated_data
        until = timezone.now().timestamp()
        fleets = list(fleets_of(request, given))
        since = until - given["hours"] * 3600
        return Response(queries.latencies(fleets, since=since, until=until, by=given["by"].split(",")))


class HearingView(APIView):
    """How well a fleet is heard, when it was not, and what to change."""

    @extend_schema(responses=HearingSerializer, operation_id="fleets_hearing")
    def get(self, request: Request, pk: int) -> Response:
        fleet = fleet_of(request, pk, "read")
        now = timezone.now()
        spells = queries.blind_spells([fleet.pk], since=now - BLIND_DAYS)
        body = queries.hearing_body(fleet, now=now)
        return Response({**body, "blind": [queries.spell_body(spell) for spell in spells]})


class HistoryRulesView(APIView):
    """What of a fleet's tasks is kept, for how long, and what is hidden before it is."""

    scopes = {"PATCH": "operate"}

    @extend_schema(responses=HistoryRulesSerializer, operation_id="fleets_history_rules")
    def get(self, request: Request, pk: int) -> Response:
        fleet = fleet_of(request, pk, "read")
        rules = HistoryRules.objects.filter(fleet=fleet).first() or services.default_rules(fleet)
        return Response(HistoryRulesSerializer(rules).data)

    @extend_schema(
        request=HistoryRulesSerializer, responses=HistoryRulesSerializer, operation_id="fleets_history_rules_change"
    )
    def patch(self, request: Request, pk: int) -> Response:
        """Change some of the rules. What is stored already stays as it is."""
        fleet = fleet_of(request, pk, scope_of(self, "PATCH"))
        form = HistoryRulesSerializer(data=request.data, partial=True)
        form.is_valid(raise_exception=True)
        return Response(HistoryRulesSerializer(services.set_rules(fleet, **form.validated_data)).data)


def fleet_of(request: Request, pk: int, scope: str) -> Fleet:
    """Return a fleet in whose system the caller holds *scope*; Http404 otherwise."""
    user, token = caller(request)
    fleet = Fleet.objects.filter(pk=pk, system__in=systems_for(user, scope, token)).first()
    if fleet is None:
        raise Http404
    return fleet


def _with_cursor(request: Request, cursor: str) -> str:
    parameters = request.query_params.copy()
    parameters["cursor"] = cursor
    return request.build_absolute_uri(f"{request.path}?{parameters.urlencode()}")


def _blind(fleets: dict[int, str], wanted: Wanted) -> list[dict[str, Any]]:
    now = timezone.now()
    since = now - BLIND_DAYS if wanted.since is None else datetime.fromtimestamp(max(0.0, wanted.since), UTC)
    until = now if wanted.until is None else datetime.fromtimestamp(min(wanted.until, now.timestamp()), UTC)
    return [queries.spell_body(spell) for spell in queries.blind_spells(list(fleets), since=since, until=until)]


def _lines(fleets: dict[int, str], wanted: Wanted) -> Iterator[bytes]:
    for tasks in queries.every(list(fleets), wanted):
        yield "".join(f"{json.dumps(queries.task_body(task, fleets))}\n" for task in tasks).encode()


def _csv(fleets: dict[int, str], wanted: Wanted) -> Iterator[bytes]:
    yield _rows([list(HistoryTaskSerializer().fields)])
    for tasks in queries.every(list(fleets), wanted):
        yield _rows([[_cell(value) for value in queries.task_body(task, fleets).values()] for task in tasks])


def _cell(value: Any) -> Any:
    """Return what no spreadsheet takes for a formula."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value


def _rows(rows: Sequence[Sequence[Any]]) -> bytes:
    written = io.StringIO()
    csv.writer(written).writerows(rows)
    return written.getvalue().encode()
