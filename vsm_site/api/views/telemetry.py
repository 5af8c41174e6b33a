"""Series, and the one reading path over all tiers."""

from __future__ import annotations

from itertools import chain
from typing import Any

from django.http import StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import mixins
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from subsystems.recursion.queries import systems_for
from subsystems.telemetry import exporting, queries, selection
from subsystems.telemetry.models import Series
from vsm_site.api.filters import SeriesFilter
from vsm_site.api.permissions import caller
from vsm_site.api.query_forms import (
    ExportSerializer,
    QueriesSerializer,
    QueryAnswerSerializer,
    QueryAnswersSerializer,
    QuerySerializer,
    request_of,
)
from vsm_site.api.serializers import SeriesSerializer
from vsm_site.api.streaming import streamed
from vsm_site.api.systems import InSystems


class SeriesViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, InSystems[Series]):
    """Which series exist."""

    queryset = Series.objects.filter(merged_into=None).select_related("system")
    serializer_class = SeriesSerializer
    filterset_class = SeriesFilter
    ordering_fields = ["source", "metric", "created_at", "id"]
    ordering = ["id"]
    lookup_value_converter = "int"


class ReadingView(APIView):
    """A view that reads series of the systems which its caller may read."""

    scopes = {"POST": "read"}

    def system_ids(self, request: Request, given: dict[str, Any]) -> tuple[int, ...]:
        """Return the systems that a form is about."""
        if "system" in given:
            return (given["system"].pk,)
        return self._readable(request)

    def _readable(self, request: Request) -> tuple[int, ...]:
        if not hasattr(self, "_system_ids"):
            user, token = caller(request)
            self._system_ids = tuple(systems_for(user, "read", token).values_list("pk", flat=True))
        return self._system_ids


class QueryView(ReadingView):
    """Read a metric over any range: recent samples, roll-ups and the archive as one."""

    @extend_schema(parameters=[QuerySerializer], responses=QueryAnswerSerializer)
    def get(self, request: Request) -> Response:
        form = QuerySerializer(data=request.query_params, context={"request": request})
        form.is_valid(raise_exception=True)
        given: dict[str, Any] = form.validated_data
        found = queries.answer([request_of(given, self.system_ids(request, given))])
        return Response(found[0].to_wire())

    @extend_schema(operation_id="query_many", request=QueriesSerializer, responses=QueryAnswersSerializer)
    def post(self, request: Request) -> Response:
        """Answer many questions at once, such as all panels of a dashboard."""
        form = QueriesSerializer(data=request.data, context={"request": request})
        form.is_valid(raise_exception=True)
        asked = [
            request_of(given, self.system_ids(request, given), field=f"queries.{place}.")
            for place, given in enumerate(form.validated_data["queries"])
        ]
        return Response({"results": [found.to_wire() for found in queries.answer(asked)]})


class ExportView(ReadingView):
    """Everything that is stored of a metric over a range, as a file that is made while it is read."""

    @extend_schema(parameters=[ExportSerializer], responses={(200, "text/csv"): OpenApiTypes.BINARY})
    def get(self, request: Request) -> StreamingHttpResponse:
        form = ExportSerializer(data=request.query_params, context={"request": request})
        form.is_valid(raise_exception=True)
        given: dict[str, Any] = form.validated_data
        chosen = exporting.Export(
            self.system_ids(request, given),
            given["metric"],
            given["start"],
            given["end"],
            given.get("step"),
            given.get("source"),
            given.get("labels"),
            selection.matchers(given.get("match", "")),
        )
        name, content_type = f"{given['metric']}.{given['as']}", exporting.TYPES[given["as"]]
        blocks = exporting.blocks(chosen, given["as"])
        first = next(blocks, b"")  # what cannot be answered is told before the answer begins
        return StreamingHttpResponse(
            streamed(chain([first], blocks), request),
            content_type=content_type,
            headers={"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"},
        )
