"""Series, and the one reading path over all tiers."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import mixins
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from subsystems.kernel import strict_json
from subsystems.kernel.errors import Invalid
from subsystems.recursion.queries import systems_for
from subsystems.telemetry import queries
from subsystems.telemetry.models import Series
from vsm_site.api.filters import SeriesFilter
from vsm_site.api.permissions import caller
from vsm_site.api.serializers import QueryAnswerSerializer, QuerySerializer, SeriesSerializer
from vsm_site.api.systems import InSystems


class SeriesViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, InSystems[Series]):
    """Which series exist."""

    queryset = Series.objects.select_related("system")
    serializer_class = SeriesSerializer
    filterset_class = SeriesFilter
    ordering_fields = ["source", "metric", "created_at", "id"]
    ordering = ["id"]
    lookup_value_converter = "int"


class QueryView(APIView):
    """Read a metric over any range: recent samples and roll-ups as one."""

    @extend_schema(parameters=[QuerySerializer], responses=QueryAnswerSerializer)
    def get(self, request: Request) -> Response:
        form = QuerySerializer(data=request.query_params, context={"request": request})
        form.is_valid(raise_exception=True)
        given: dict[str, Any] = form.validated_data
        found = queries.query(
            self._system_ids(request, given),
            given["metric"],
            source=given.get("source"),
            labels=_labels(given.get("labels")),
            start=given["start"],
            end=given["end"],
            step=given["step"],
            agg=given["agg"],
        )
        return Response(found.to_wire())

    def _system_ids(self, request: Request, given: dict[str, Any]) -> list[int]:
        if "system" in given:
            return [given["system"].pk]
        user, token = caller(request)
        return list(systems_for(user, "read", token).values_list("pk", flat=True))


def _labels(text: str | None) -> dict[str, str] | None:
    if text is None:
        return None
    try:
        labels = strict_json.loads(text.encode("utf-8", "surrogatepass"))
    except Invalid as error:
        raise Invalid(error.detail, field="labels") from None
    if not isinstance(labels, dict) or not all(isinstance(value, str) for value in labels.values()):
        raise Invalid('Labels are an object of texts: {"queue": "mail"}.', field="labels")
    return labels
