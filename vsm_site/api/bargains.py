"""Resource pools and bargains as they come in and go out."""

from __future__ import annotations

from typing import Any

import django_filters
from rest_framework import serializers

from subsystems.s3_control.bargaining import queries
from subsystems.s3_control.bargaining.models import Bargain, PoolUnit, ResourcePool
from vsm_site.api.fields import FiniteField, SystemField
from vsm_site.api.filters import InSystem, MomentFilter
from vsm_site.api.steering import OperatedFleetField

Plain = serializers.Serializer[Any]


class UnitNowSerializer(Plain):
    name = serializers.CharField()
    system = serializers.CharField(help_text="Whose people speak for it")
    weight = serializers.FloatField()
    guarantee = serializers.FloatField()
    ceiling = serializers.FloatField(allow_null=True)
    accept_from = serializers.FloatField(allow_null=True)
    automatic = serializers.BooleanField()
    held = serializers.FloatField()
    offered = serializers.FloatField(allow_null=True)
    used = serializers.FloatField(allow_null=True, help_text="null: not measured")
    performance = serializers.FloatField(allow_null=True)
    measured_at = serializers.DateTimeField(allow_null=True)


class PoolFieldsSerializer(serializers.ModelSerializer[ResourcePool]):
    """What can be changed of a pool."""

    limit = FiniteField(required=False, allow_null=True, min_value=0)
    offer_seconds = FiniteField(required=False, min_value=5, max_value=86_400)

    class Meta:
        model = ResourcePool
        fields = [name for name in queries.POOL_FIELDS if name != "kind"]


class NewPoolSerializer(PoolFieldsSerializer):
    name = serializers.CharField(max_length=80, help_text="What requests call the resource")
    fleet = OperatedFleetField("operate", required=False, help_text="Name of the fleet; none for messages")
    system = SystemField(required=False)

    class Meta(PoolFieldsSerializer.Meta):
        fields = ["name", "system", "fleet", *queries.POOL_FIELDS]
        validators: list[Any] = []  # one pool of a name is told by the verb itself


class PoolSerializer(PoolFieldsSerializer):
    """A pool with what is known of it now."""

    system = serializers.CharField()
    fleet = serializers.CharField(allow_null=True)
    allocated = serializers.FloatField()
    efficiency = serializers.FloatField(allow_null=True, help_text="1 − Σ|allocated − used| / Σ allocated")
    units = UnitNowSerializer(many=True)

    class Meta(PoolFieldsSerializer.Meta):
        fields = [
            "id", "system", "name", "fleet", *queries.POOL_FIELDS, "capacity", "allocated", "efficiency", "why",
            "adapted", "looked_at", "units",
        ]  # fmt: skip

    def to_representation(self, instance: ResourcePool) -> dict[str, Any]:
        return queries.pool_body(queries.pools_now([instance])[0])


class PoolUnitSerializer(serializers.ModelSerializer[PoolUnit]):
    """A unit's terms; *name* is the queue, role or task, or the slug of a system."""

    name = serializers.CharField(max_length=200)
    weight = FiniteField(required=False, min_value=0.01, max_value=1000)
    guarantee = FiniteField(required=False, min_value=0)
    ceiling = FiniteField(required=False, allow_null=True, min_value=0)
    accept_from = FiniteField(required=False, allow_null=True, min_value=0, max_value=1)

    class Meta:
        model = PoolUnit
        fields = ["name", *queries.UNIT_FIELDS]


class NewBargainSerializer(Plain):
    """A request of a unit: so much of a resource in all, not so much more."""

    resource = serializers.CharField(max_length=80, help_text="The pool's name")
    unit = serializers.CharField(max_length=200, required=False, default="", help_text="Where there are several")
    system = SystemField(required=False)
    amount = FiniteField(min_value=0, max_value=1e9)
    priority = serializers.IntegerField(required=False, default=5, min_value=0, max_value=10)
    deadline = serializers.DateTimeField(required=False, help_text="Until when it is open; 10 minutes")
    reason = serializers.CharField(max_length=500, required=False, allow_blank=True, default="")


class AnswerSerializer(Plain):
    number = serializers.IntegerField(required=False, min_value=1, help_text="The offer that is meant")
    reason = serializers.CharField(max_length=500, required=False, allow_blank=True, default="")


class OfferSerializer(Plain):
    number = serializers.IntegerField()
    amount = serializers.FloatField()
    until = serializers.DateTimeField()
    notice = serializers.BooleanField(help_text="Less than is held: it comes into force when its time is over")
    heard_at = serializers.DateTimeField(allow_null=True)


class AllocationSerializer(Plain):
    amount = serializers.FloatField()
    strategy = serializers.CharField()
    imposed = serializers.BooleanField()
    since = serializers.DateTimeField()
    ended_at = serializers.DateTimeField(allow_null=True)
    mean_used = serializers.FloatField(allow_null=True)
    efficiency = serializers.FloatField(allow_null=True)
    measured_seconds = serializers.FloatField()


class BargainSerializer(serializers.ModelSerializer[Bargain]):
    system = serializers.CharField()
    resource = serializers.CharField()
    unit = serializers.CharField()
    amount = serializers.FloatField()
    message = serializers.CharField(help_text="Id of the message that asked")
    offer = OfferSerializer(allow_null=True)
    allocations = AllocationSerializer(many=True)

    class Meta:
        model = Bargain
        fields = [
            "id", "system", "resource", "unit", "amount", "priority", "reason", "origin", "asked_by", "asked_at",
            "deadline", "state", "why", "strategy", "message", "offer", "answered_by", "answered_at", "ended_at",
            "allocations",
        ]  # fmt: skip

    def to_representation(self, instance: Bargain) -> dict[str, Any]:
        return queries.bargain_body(instance)


class PoolFilter(InSystem):
    fleet = django_filters.CharFilter(field_name="fleet__name", label="Name of the fleet")

    class Meta:
        model = ResourcePool
        fields = ["name", "kind", "enabled"]


class BargainFilter(InSystem):
    resource = django_filters.CharFilter(field_name="pool__name", label="The pool's name")
    unit = django_filters.CharFilter(field_name="unit__name", label="The unit's name")

    class Meta:
        model = Bargain
        fields = ["state", "origin"]

    @classmethod
    def get_filters(cls) -> dict[str, Any]:
        """Add `from` and `to`, of which the first is no name in Python."""
        times = {
            "from": MomentFilter(field_name="asked_at", lookup_expr="gte", label="Asked not before"),
            "to": MomentFilter(field_name="asked_at", lookup_expr="lte", label="Asked not after"),
        }
        return {**super().get_filters(), **times}
