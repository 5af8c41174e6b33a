"""What may be asked of the tiers over the API, and the shape of the answers."""

from __future__ import annotations

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from subsystems.kernel import strict_json
from subsystems.kernel.errors import Invalid
from subsystems.telemetry import aggregates, selection
from subsystems.telemetry.queries import MAX_REQUESTS, Request
from vsm_site.api.fields import FiniteField, SystemField
from vsm_site.api.serializers import Plain, RangeSerializer

AGG_HELP = f"One of {', '.join(aggregates.NAMES)}, or `quantile(0.95)`"


@extend_schema_field(OpenApiTypes.STR)
class LabelsField(serializers.Field[dict[str, str], Any, Any, Any]):
    """Labels as an object, or as its JSON."""

    def to_internal_value(self, data: Any) -> dict[str, str]:
        try:
            labels = strict_json.loads(data.encode("utf-8", "surrogatepass")) if isinstance(data, str) else data
        except Invalid as error:
            raise serializers.ValidationError(error.detail, code="invalid") from None
        if not isinstance(labels, dict) or not all(isinstance(value, str) for value in labels.values()):
            raise serializers.ValidationError('Labels are an object of texts: {"queue": "mail"}.', code="invalid")
        return labels


class SelectionSerializer(RangeSerializer):
    """Which series, over which range."""

    metric = serializers.CharField(max_length=120)
    source = serializers.CharField(max_length=200, required=False)  # type: ignore[assignment]
    labels = LabelsField(required=False, help_text='As JSON: `{"queue": "mail"}`')
    match = serializers.CharField(
        max_length=2000, required=False, help_text="Patterns of labels and `source`: `queue=mail*,core!=0`"
    )
    system = SystemField(required=False, help_text="Without it, every system that you may read")


class QuerySerializer(SelectionSerializer):
    step = FiniteField(required=False, min_value=1, help_text="Seconds; without it about 300 points")
    agg = serializers.CharField(max_length=40, default="avg", help_text=AGG_HELP)
    q = FiniteField(required=False, min_value=0, max_value=1, help_text="The share of `agg=quantile`; 0.5 without it")
    group_by = serializers.CharField(
        max_length=1000,
        required=False,
        allow_blank=True,
        help_text="Labels, `source`, `metric` or `system` to put series together by: `core,source`; empty: all in one",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        attrs = super().validate(attrs)
        attrs.setdefault("step", max(1.0, (attrs["end"] - attrs["start"]) // 300))
        return attrs


class QueriesSerializer(Plain):
    queries = QuerySerializer(many=True, allow_empty=False, max_length=MAX_REQUESTS)  # type: ignore[call-arg]


class ExportSerializer(SelectionSerializer):
    step = FiniteField(required=False, min_value=1, help_text="Seconds to sum up; without it as fine as it is stored")

    def get_fields(self) -> dict[str, Any]:
        """Add `as`, which is no name in Python."""
        return {**super().get_fields(), "as": serializers.ChoiceField(["csv", "parquet"], default="csv")}


class PointsSerializer(Plain):
    metric = serializers.CharField()
    source = serializers.CharField(help_text="Empty when several are put together")  # type: ignore[assignment]
    labels = serializers.DictField(child=serializers.CharField())
    points = serializers.ListField(child=serializers.ListField(child=serializers.FloatField()))


class AnsweredPartSerializer(Plain):
    """Who answers a part of the range."""

    tier = serializers.CharField(help_text="`recent` (samples and minutes), `warm` or `cold`")
    step = serializers.IntegerField(help_text="Seconds of each roll-up")

    def get_fields(self) -> dict[str, Any]:
        """Add `from`, which is no name in Python."""
        moments = {"from": serializers.FloatField(), "to": serializers.FloatField()}
        return {**super().get_fields(), **moments}


class QueryAnswerSerializer(Plain):
    series = PointsSerializer(many=True)
    tiers = serializers.ListField(child=serializers.CharField())
    complete = serializers.BooleanField(help_text="Nothing of the range is missing")
    exact = serializers.BooleanField(help_text="What the samples give: all but quantiles over roll-ups")
    error = serializers.FloatField(
        allow_null=True, help_text="How far a quantile may be off, as a share of it; null: not known"
    )
    parts = AnsweredPartSerializer(many=True)


class QueryAnswersSerializer(Plain):
    results = QueryAnswerSerializer(many=True)


def request_of(given: dict[str, Any], system_ids: tuple[int, ...], *, field: str = "") -> Request:
    """Return what a form asks for. Raises Invalid naming the field, which is below *field*."""
    try:
        grouping = given.get("group_by")
        request = Request(
            system_ids,
            given["metric"],
            given["start"],
            given["end"],
            given["step"],
            aggregates.parse(given["agg"], given.get("q")),
            given.get("source"),
            given.get("labels"),
            selection.matchers(given.get("match", "")),
            None if grouping is None else selection.group_names(grouping),
        )
        request.check()
    except Invalid as error:
        raise Invalid(error.detail, field=f"{field}{error.field}") from None
    return request
