"""What may be asked of the history of tasks over the API, and the shape of the answers."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from subsystems.fleets.queries import exception_body
from subsystems.fleets.searching import NEWEST, ORDERS, Position, Wanted, states_of
from subsystems.kernel.strict_json import LARGEST_INTEGER
from vsm_site.api.fields import FiniteField, MomentField, SystemField
from vsm_site.api.serializers import Plain

FORMS = ["csv", "jsonl"]


class FleetsQuerySerializer(Plain):
    """Which fleets."""

    system = SystemField(required=False, help_text="Without it, every system that you may read")
    fleet = serializers.CharField(max_length=120, required=False, help_text="Name of a fleet")


class HistoryQuerySerializer(FleetsQuerySerializer):
    """The filters of the history: all that are given must fit."""

    state = serializers.CharField(
        max_length=200,
        required=False,
        help_text="One or more, with commas: pending, received, started, retry, unknown, rejected, revoked, failure, "
        "success; or open, ended",
    )
    name = serializers.CharField(max_length=200, required=False, help_text="Name of the task, exactly")
    worker = serializers.CharField(max_length=200, required=False)
    queue = serializers.CharField(max_length=200, required=False)
    uuid = serializers.CharField(max_length=155, required=False)
    root = serializers.CharField(  # type: ignore[assignment]
        max_length=155, required=False, help_text="Id of the task that began it all"
    )
    fingerprint = serializers.IntegerField(
        min_value=0, max_value=LARGEST_INTEGER, required=False, help_text="A kind of failure"
    )
    search = serializers.CharField(
        max_length=200, required=False, help_text="Any part of name, arguments, result or exception, or a whole id"
    )
    min_runtime = FiniteField(required=False, min_value=0, help_text="Seconds")
    max_runtime = FiniteField(required=False, min_value=0)
    min_wait = FiniteField(required=False, min_value=0, help_text="Seconds in the queue, without the time to its ETA")
    order = serializers.ChoiceField(choices=list(ORDERS), default=NEWEST)

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        """Add `from` and `to`, of which the first is no name in Python."""
        times = {"from": MomentField(required=False), "to": MomentField(required=False)}
        return {**super().get_fields(), **times}

    def wanted(self) -> Wanted:
        """Return what is looked for. Raises Invalid naming the field."""
        given: dict[str, Any] = self.validated_data
        names = ("name", "worker", "queue", "uuid", "root", "fingerprint", "min_runtime", "max_runtime", "min_wait")
        exact = {name: given[name] for name in names if name in given}
        return Wanted(
            **exact,
            states=states_of(given.get("state", "")),
            text=given.get("search", ""),
            since=given.get("from"),
            until=given.get("to"),
            order=given["order"],
        )


class PageQuerySerializer(HistoryQuerySerializer):
    limit = serializers.IntegerField(min_value=1, max_value=1_000, default=100)
    cursor = serializers.CharField(max_length=60, required=False, help_text="From `next` of the page before")

    def after(self) -> Position | None:
        given: dict[str, Any] = self.validated_data
        return Position.of(given["cursor"]) if "cursor" in given else None


class ExportQuerySerializer(HistoryQuerySerializer):
    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        """Add `as`, which is no name in Python; `format` is taken by the framework, for its own answers."""
        return {**super().get_fields(), "as": serializers.ChoiceField(choices=FORMS, default="csv")}


class LatencyQuerySerializer(FleetsQuerySerializer):
    by = serializers.ChoiceField(choices=["name", "queue", "name,queue"], default="name")
    hours = FiniteField(min_value=0.1, max_value=24, default=1)


class HistoryTaskSerializer(Plain):
    """One task of the history."""

    id = serializers.IntegerField()
    fleet = serializers.CharField()
    uuid = serializers.CharField()
    name = serializers.CharField()
    state = serializers.CharField()
    worker = serializers.CharField()
    queue = serializers.CharField()
    exchange = serializers.CharField()
    routing_key = serializers.CharField()
    args = serializers.CharField(help_text="As the worker showed them, masked and cut")
    kwargs = serializers.CharField()
    result = serializers.CharField()
    exception = serializers.CharField()
    fingerprint = serializers.CharField(allow_null=True)
    retries = serializers.IntegerField()
    sent_at = serializers.DateTimeField(allow_null=True)
    received_at = serializers.DateTimeField(allow_null=True)
    started_at = serializers.DateTimeField(allow_null=True)
    last_started_at = serializers.DateTimeField(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)
    changed_at = serializers.DateTimeField()
    seen_at = serializers.DateTimeField()
    eta_at = serializers.DateTimeField(allow_null=True)
    expires_at = serializers.DateTimeField(allow_null=True)
    wait_seconds = serializers.FloatField(allow_null=True)
    runtime_seconds = serializers.FloatField(allow_null=True)
    parent_id = serializers.CharField(allow_null=True)
    root_id = serializers.CharField()
    group_id = serializers.CharField(allow_null=True)
    chord_id = serializers.CharField(allow_null=True)
    trace_id = serializers.CharField()
    clock = serializers.IntegerField(allow_null=True)


class BlindSpellSerializer(Plain):
    reason = serializers.CharField()
    why = serializers.CharField()
    began_at = serializers.DateTimeField()
    ended_at = serializers.DateTimeField()
    lost = serializers.BooleanField(help_text="False where the broker kept the events meanwhile")
    dropped = serializers.IntegerField()


class HistoryPageSerializer(Plain):
    next = serializers.CharField(allow_null=True)
    searched_until = serializers.DateTimeField(
        allow_null=True, help_text="How far back a search for a text has looked; `next` goes on from there"
    )
    blind = BlindSpellSerializer(many=True, help_text="Times in the range of which events may be missing")
    results = HistoryTaskSerializer(many=True)


class TrySerializer(Plain):
    at = serializers.DateTimeField()
    worker = serializers.CharField()
    exception = serializers.CharField()


class BriefSerializer(Plain):
    id = serializers.IntegerField()
    uuid = serializers.CharField()
    name = serializers.CharField()
    state = serializers.CharField()


class HistoryTaskDetailSerializer(HistoryTaskSerializer):
    traceback = serializers.CharField()
    tries = TrySerializer(many=True)
    parent = BriefSerializer(allow_null=True)
    chord = BriefSerializer(allow_null=True)
    children = BriefSerializer(many=True)
    group = BriefSerializer(many=True)


class ExceptionGroupSerializer(Plain):
    id = serializers.IntegerField()
    fleet = serializers.CharField()
    fingerprint = serializers.CharField()
    type = serializers.CharField()
    message = serializers.CharField()
    task_name = serializers.CharField()
    count = serializers.IntegerField()
    first_seen_at = serializers.DateTimeField()
    last_seen_at = serializers.DateTimeField()
    last_uuid = serializers.CharField()
    traceback = serializers.CharField()

    def to_representation(self, instance: Any) -> dict[str, Any]:
        return exception_body(instance)


class PercentilesSerializer(Plain):
    p50 = serializers.FloatField(allow_null=True)
    p95 = serializers.FloatField(allow_null=True)
    p99 = serializers.FloatField(allow_null=True)
    max = serializers.FloatField(allow_null=True)


class TaskLatencySerializer(Plain):
    name = serializers.CharField(required=False)
    queue = serializers.CharField(required=False)
    count = serializers.IntegerField()
    succeeded = serializers.IntegerField()
    failed = serializers.IntegerField()
    others = serializers.IntegerField()
    retried = serializers.IntegerField()
    runtime = PercentilesSerializer()
    wait = PercentilesSerializer()


class HearingSerializer(Plain):
    heard = serializers.BooleanField()
    since = serializers.DateTimeField(allow_null=True)
    written_at = serializers.DateTimeField(required=False)
    last_event_at = serializers.DateTimeField(allow_null=True, required=False)
    events = serializers.IntegerField(required=False)
    unreadable = serializers.IntegerField(required=False)
    missed = serializers.IntegerField(required=False)
    hears_sending = serializers.BooleanField(allow_null=True, required=False)
    workers = serializers.DictField(required=False)
    advice = serializers.ListField(child=serializers.CharField())
    blind = BlindSpellSerializer(many=True)


class HistoryRulesSerializer(Plain):
    keep_days = serializers.IntegerField(min_value=1, max_value=3_650)
    max_tasks = serializers.IntegerField(min_value=1_000, max_value=100_000_000)
    masked_names = serializers.ListField(child=serializers.CharField(max_length=100), max_length=100)
    masked_tasks = serializers.ListField(child=serializers.CharField(max_length=100), max_length=100)
    ask_events = serializers.BooleanField()
    result_backend = serializers.CharField(
        max_length=500, allow_blank=True,
        help_text="redis://… where the application keeps its results; shown without what is secret, empty for none",
    )  # fmt: skip
    result_backend_error = serializers.CharField(read_only=True)
