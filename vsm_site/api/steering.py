"""Acts of steering as they come in and go out, and which of them are asked for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import django_filters
from django.db.models import QuerySet
from rest_framework import serializers

from subsystems.recursion.queries import systems_for
from subsystems.s1_operations.models import Fleet
from subsystems.s3_control import queries
from subsystems.s3_control.acts import ACTS
from subsystems.s3_control.models import Action, ActionItem, StandingOrder
from subsystems.s3_control.previews import Situation
from vsm_site.api.fields import UnitField
from vsm_site.api.filters import InSystem, MomentFilter
from vsm_site.api.permissions import caller

MAX_CAPTURED = 1_000  # messages of one request
COLUMNS = (
    "requested_at", "actor", "via", "kind", "fleet", "target", "parameters", "reason", "dry_run", "state", "detail",
    "total", "done", "failed", "started_at", "finished_at", "undone_by", "before", "after", "id",
)  # fmt: skip


class OperatedFleetField(serializers.SlugRelatedField[Fleet]):
    """A fleet by its name, among those of the systems where the caller holds a scope."""

    def __init__(self, scope: str, **kwargs: Any) -> None:
        self.scope = scope
        super().__init__(slug_field="name", queryset=Fleet.objects.all(), **kwargs)

    def get_queryset(self) -> QuerySet[Fleet]:
        user, token = caller(self.context["request"])
        fleets = Fleet.objects.filter(system__in=systems_for(user, self.scope, token))
        slug = self.context["request"].data.get("system")
        return fleets.filter(system__slug=slug) if isinstance(slug, str) and "\0" not in slug else fleets

    def to_internal_value(self, data: Any) -> Fleet:
        if isinstance(data, str) and "\0" in data:
            self.fail("does_not_exist", slug_name=self.slug_field, value="")
        try:
            return super().to_internal_value(data)
        except Fleet.MultipleObjectsReturned:
            raise serializers.ValidationError("Several systems have a fleet of this name: name the system.") from None


class ActSerializer(serializers.Serializer[Any]):
    kind = serializers.CharField()
    title = serializers.CharField()
    target = serializers.CharField(help_text="What it acts on: task, tasks, worker, queue or fleet")
    careful = serializers.BooleanField(help_text="It may lose or stop work")
    undoable = serializers.BooleanField()
    schema = serializers.DictField(help_text="JSON Schema of its parameters")


class NewActionSerializer(serializers.Serializer[Any]):
    kind = serializers.ChoiceField(choices=[(kind, act.title) for kind, act in ACTS.items()])
    fleet = OperatedFleetField("operate", required=False, help_text="Name of the fleet")
    unit = UnitField(required=False, help_text="A worker's or a queue's id, in place of fleet and target")
    system = serializers.SlugField(required=False, help_text="Where several systems have a fleet of this name")
    target = serializers.CharField(required=False, max_length=200, help_text="Task, worker (node name) or queue")
    parameters = serializers.DictField(required=False)
    reason = serializers.CharField(required=False, allow_blank=True, max_length=500)
    dry_run = serializers.BooleanField(required=False, help_text="Only say what it would do")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        unit = attrs.get("unit")
        if unit is None and "fleet" not in attrs:
            raise serializers.ValidationError({"fleet": "Name the fleet, or a unit of one."})
        if unit is not None and (unit.fleet is None or unit.kind not in {"celery_worker", "celery_queue"}):
            raise serializers.ValidationError({"unit": "Only workers and queues of a fleet are steered."})
        return attrs


class UndoSerializer(serializers.Serializer[Any]):
    reason = serializers.CharField(required=False, allow_blank=True, max_length=500, default="")


class TasksActSerializer(serializers.Serializer[Any]):
    """Retry or revoke: the fleet, which tasks, and why."""

    fleet = OperatedFleetField("operate", help_text="Name of the fleet")
    system = serializers.SlugField(required=False, help_text="Where several systems have a fleet of this name")
    parameters = serializers.DictField(help_text="`ids`, or a filter by name, queue, state, since, until; `per_second`")
    reason = serializers.CharField(required=False, allow_blank=True, max_length=500)
    dry_run = serializers.BooleanField(required=False)


class ActionSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    kind = serializers.CharField()
    fleet = serializers.CharField()
    fleet_id = serializers.IntegerField(allow_null=True)
    target = serializers.CharField()
    parameters = serializers.DictField()
    reason = serializers.CharField()
    dry_run = serializers.BooleanField()
    state = serializers.ChoiceField(choices=Action.State.choices)
    actor = serializers.CharField()
    via = serializers.CharField(help_text="Name of the token that was used; empty for a session")
    requested_at = serializers.DateTimeField()
    started_at = serializers.DateTimeField(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)
    total = serializers.IntegerField(help_text="How many it is about")
    done = serializers.IntegerField()
    failed = serializers.IntegerField()
    detail = serializers.CharField()
    before = serializers.DictField(help_text="Evidence: how things were")
    after = serializers.DictField(help_text="Evidence: how they are")
    undone_by = serializers.UUIDField(allow_null=True)
    can_undo = serializers.BooleanField(required=False)

    def to_representation(self, instance: Action) -> dict[str, Any]:
        return queries.action_body(instance)


class ActionItemSerializer(serializers.ModelSerializer[ActionItem]):
    class Meta:
        model = ActionItem
        fields = ["id", "key", "state", "result"]


class StandingOrderSerializer(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    fleet = serializers.CharField()
    kind = serializers.ChoiceField(choices=StandingOrder.Kind.choices)
    key = serializers.CharField(help_text="Queue or task; of revokes a name")
    action = serializers.UUIDField()
    since = serializers.DateTimeField()
    until = serializers.DateTimeField(allow_null=True)
    ending = serializers.BooleanField()
    confirmed = serializers.DictField(child=serializers.CharField(), help_text="By worker; of a limit its share")

    def to_representation(self, instance: StandingOrder) -> dict[str, Any]:
        return {**queries.order_body(instance), "fleet": instance.fleet.name}


class WorkerNowSerializer(serializers.Serializer[Any]):
    node = serializers.CharField()
    pool = serializers.CharField()
    size = serializers.IntegerField(allow_null=True)
    autoscale = serializers.ListField(child=serializers.IntegerField(), allow_null=True, help_text="max, min")
    active = serializers.IntegerField(allow_null=True)
    reserved = serializers.IntegerField(allow_null=True)
    queues = serializers.ListField(child=serializers.CharField(), allow_null=True)


class SituationSerializer(serializers.Serializer[Any]):
    """What a worker or a queue is like now, and what can be done to it."""

    fleet = serializers.CharField()
    target = serializers.CharField()
    answers = serializers.BooleanField(help_text="False: nothing was heard, and what can be done is unknown")
    workers = WorkerNowSerializer(many=True, help_text="The worker itself; of a queue, its readers")
    depth = serializers.IntegerField(allow_null=True)
    parked = serializers.IntegerField(allow_null=True)
    can = serializers.ListField(child=serializers.CharField(), help_text="Kinds of acts")
    cannot = serializers.DictField(child=serializers.CharField(), help_text="By kind of act, why not")


def situation_body(fleet: Fleet, found: Situation) -> dict[str, Any]:
    """Return a situation as it is shown."""
    kinds = [act.kind for act in ACTS.values() if act.target is found.target]
    return {
        "fleet": fleet.name, "target": found.name, "answers": found.answers, "depth": found.depth,
        "parked": found.parked, "workers": [{"node": worker.node, **worker.body()} for worker in found.workers],
        "can": [kind for kind in kinds if found.answers and kind not in found.cannot], "cannot": dict(found.cannot),
    }  # fmt: skip


class CapturesSerializer(serializers.Serializer[Any]):
    fleet = OperatedFleetField("ingest", help_text="Name of the fleet")
    system = serializers.SlugField(required=False)
    tasks = serializers.ListField(child=serializers.DictField(), max_length=MAX_CAPTURED, allow_empty=False)


class CapturedSerializer(serializers.Serializer[Any]):
    accepted = serializers.IntegerField()


class ActionFilter(InSystem):
    fleet = django_filters.CharFilter(field_name="fleet_name", label="Name of the fleet")
    target = django_filters.CharFilter(field_name="target", lookup_expr="icontains", label="Part of the target")
    actor = django_filters.CharFilter(field_name="actor", label="Who did it")
    state = django_filters.MultipleChoiceFilter(choices=Action.State.choices, label="One or more states")
    kind = django_filters.MultipleChoiceFilter(choices=[(kind, kind) for kind in ACTS], label="One or more kinds")

    class Meta:
        model = Action
        fields = ["dry_run"]

    @classmethod
    def get_filters(cls) -> dict[str, Any]:
        """Add `from` and `to`, of which the first is no name in Python."""
        times = {
            "from": MomentFilter(field_name="requested_at", lookup_expr="gte", label="Not before"),
            "to": MomentFilter(field_name="requested_at", lookup_expr="lte", label="Not after"),
        }
        return {**super().get_filters(), **times}


class OrderFilter(django_filters.FilterSet):  # type: ignore[misc]
    system = django_filters.CharFilter(field_name="fleet__system__slug", label="Slug of the system")
    fleet = django_filters.CharFilter(field_name="fleet__name", label="Name of the fleet")

    class Meta:
        model = StandingOrder
        fields = ["kind"]


def acts_listed() -> list[dict[str, Any]]:
    """Return every act with the schema of its parameters."""
    return [
        {
            "kind": act.kind, "title": act.title, "target": str(act.target), "careful": act.careful,
            "undoable": act.undo is not None, "schema": act.parameters.model_json_schema(),
        }
        for act in ACTS.values()
    ]  # fmt: skip


def exported(actions: QuerySet[Action]) -> Iterator[dict[str, Any]]:
    """Yield actions as they are exported, without holding them all."""
    for action in actions.iterator(chunk_size=500):
        yield queries.action_body(action)
