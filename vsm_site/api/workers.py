"""Workers, roles, queues, findings and declarations on the wire, and which of them are asked for."""

from __future__ import annotations

from typing import Any

import django_filters
from django.db.models import QuerySet
from rest_framework import serializers

from subsystems.fleets import worker_queries
from subsystems.fleets.models import ExpectedWorkers, StuckFinding
from subsystems.kernel.health import Health
from subsystems.recursion.queries import systems_for
from subsystems.s1_operations.models import Fleet, Unit
from vsm_site.api.filters import InSystem
from vsm_site.api.permissions import caller

Plain = serializers.Serializer[Any]


class StuckSerializer(Plain):
    id = serializers.IntegerField()
    kind = serializers.CharField(help_text=", ".join(StuckFinding.Kind.values))
    summary = serializers.CharField()


class TaskInHandSerializer(Plain):
    id = serializers.CharField(help_text="Id of the task")
    name = serializers.CharField()
    queue = serializers.CharField(help_text="Its routing key")
    priority = serializers.IntegerField(allow_null=True)
    age_seconds = serializers.FloatField(allow_null=True, help_text="Since it was started; null when it was not")


class MemberSerializer(Plain):
    """What workers and queues have in common."""

    id = serializers.IntegerField(help_text="Of the unit")
    system = serializers.SlugField()
    fleet = serializers.CharField()
    name = serializers.CharField(help_text="Within the fleet")
    state = serializers.ChoiceField(choices=Unit.State.choices)
    health = serializers.ChoiceField(choices=[band.value for band in Health])
    score = serializers.FloatField(allow_null=True)
    last_seen_at = serializers.DateTimeField(allow_null=True)
    last_error = serializers.CharField()
    findings = StuckSerializer(many=True, help_text="What is stuck about it now")
    observed_at = serializers.DateTimeField(allow_null=True, help_text="When what follows was told")


class WorkerSerializer(MemberSerializer):
    role = serializers.CharField(help_text="Its name without what is made up at each start")
    said_goodbye_at = serializers.DateTimeField(allow_null=True)
    memory_bytes = serializers.FloatField(allow_null=True)
    pool = serializers.CharField(allow_blank=True)
    pool_size = serializers.IntegerField(allow_null=True)
    prefetch = serializers.IntegerField(allow_null=True, help_text="Messages it may hold; 0 is any number")
    pid = serializers.IntegerField(allow_null=True)
    started_at = serializers.DateTimeField(allow_null=True)
    processed = serializers.IntegerField(allow_null=True, help_text="Tasks started since then")
    nothing_started_for_seconds = serializers.FloatField(allow_null=True)
    queues = serializers.ListField(child=serializers.CharField())
    active_count = serializers.IntegerField(allow_null=True)
    reserved_count = serializers.IntegerField(allow_null=True)
    active = TaskInHandSerializer(many=True, help_text="The first fifty")
    reserved = TaskInHandSerializer(many=True, help_text="The first fifty")


class RoleSerializer(Plain):
    system = serializers.SlugField()
    fleet = serializers.CharField()
    role = serializers.CharField()
    declared = serializers.IntegerField(allow_null=True)
    active_workers = serializers.IntegerField()
    silent_workers = serializers.IntegerField()
    gone_workers = serializers.IntegerField(help_text="Left for good: not missed")
    pool_size = serializers.IntegerField()
    active = serializers.IntegerField()
    reserved = serializers.IntegerField()
    processed = serializers.IntegerField()
    queues = serializers.ListField(child=serializers.CharField())
    workers = serializers.ListField(child=serializers.CharField(), help_text="The first twenty that are there")


class QueueSerializer(MemberSerializer):
    ready = serializers.FloatField(allow_null=True)
    unacked = serializers.FloatField(allow_null=True, help_text="null where the broker does not tell")
    consumers = serializers.FloatField(allow_null=True)
    readers = serializers.IntegerField(help_text="Workers that say they read it")
    by_priority = serializers.DictField(child=serializers.FloatField(), help_text="Ready, where the broker tells")
    oldest_age_seconds = serializers.FloatField(allow_null=True)
    rate_in = serializers.FloatField(allow_null=True, help_text="Messages a second")
    rate_out = serializers.FloatField(allow_null=True)
    draining = serializers.BooleanField(allow_null=True)
    drain_seconds = serializers.FloatField(allow_null=True, help_text="Until it is empty; null when it grows")


class StuckFindingSerializer(Plain):
    id = serializers.IntegerField()
    system = serializers.SlugField()
    fleet = serializers.CharField()
    kind = serializers.CharField(help_text=", ".join(StuckFinding.Kind.values))
    subject = serializers.CharField()
    summary = serializers.CharField()
    confidence = serializers.FloatField(help_text="0 to 1; from 0.6 on a signal is raised")
    evidence = serializers.DictField()
    since = serializers.DateTimeField()
    found_at = serializers.DateTimeField()
    seen_at = serializers.DateTimeField()
    ended_at = serializers.DateTimeField(allow_null=True)
    ended_why = serializers.CharField(allow_blank=True)
    signal = serializers.CharField(allow_null=True)

    def to_representation(self, instance: StuckFinding) -> dict[str, Any]:
        return worker_queries.finding_body(instance)


class FleetField(serializers.PrimaryKeyRelatedField[Fleet]):
    """A fleet by its id, among those that the caller may operate."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(queryset=Fleet.objects.all(), **kwargs)

    def get_queryset(self) -> QuerySet[Fleet]:
        user, token = caller(self.context["request"])
        return Fleet.objects.filter(system__in=systems_for(user, "operate", token))


class ExpectedWorkersSerializer(Plain):
    id = serializers.IntegerField(read_only=True)
    system = serializers.SlugField(read_only=True)
    fleet = serializers.CharField(read_only=True)
    role = serializers.CharField(read_only=True)
    queue = serializers.CharField(read_only=True)
    workers = serializers.IntegerField(read_only=True)
    short_since = serializers.DateTimeField(read_only=True, allow_null=True)

    def to_representation(self, instance: ExpectedWorkers) -> dict[str, Any]:
        return worker_queries.expected_body(instance)


class NewExpectedWorkersSerializer(Plain):
    fleet = FleetField(help_text="Id of the fleet")
    role = serializers.CharField(required=False, default="", allow_blank=True, max_length=200)
    queue = serializers.CharField(required=False, default="", allow_blank=True, max_length=200)
    workers = serializers.IntegerField(required=False, default=1, min_value=1, max_value=10_000)


class DeclarePresentSerializer(Plain):
    fleet = FleetField(help_text="Id of the fleet")


# --- Filters ----------------------------------------------------------------------------------------------------------
class MemberFilter(InSystem):
    fleet = django_filters.CharFilter(field_name="fleet__name", label="Name of the fleet")
    search = django_filters.CharFilter(field_name="name", lookup_expr="icontains", label="Part of the name")

    class Meta:
        model = Unit
        fields = ["state"]


class WorkerFilter(MemberFilter):
    role = django_filters.CharFilter(method="of_role", label="Name of the role")

    def of_role(self, queryset: QuerySet[Unit], name: str, value: str) -> QuerySet[Unit]:
        return worker_queries.of_role(queryset, value)


class FindingFilter(django_filters.FilterSet):  # type: ignore[misc]
    system = django_filters.CharFilter(field_name="fleet__system__slug", label="Slug of the system")
    fleet = django_filters.CharFilter(field_name="fleet__name", label="Name of the fleet")
    open = django_filters.BooleanFilter(field_name="ended_at", lookup_expr="isnull", label="Still so")

    class Meta:
        model = StuckFinding
        fields = ["kind"]


class ExpectedFilter(django_filters.FilterSet):  # type: ignore[misc]
    system = django_filters.CharFilter(field_name="fleet__system__slug", label="Slug of the system")
    fleet = django_filters.CharFilter(field_name="fleet__name", label="Name of the fleet")

    class Meta:
        model = ExpectedWorkers
        fields = ["role", "queue"]
