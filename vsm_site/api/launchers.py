"""Launchers as they come in and go out."""

from __future__ import annotations

from typing import Any

import django_filters
from rest_framework import serializers

from subsystems.s3_control.launching import queries
from subsystems.s3_control.launching.models import Launcher
from vsm_site.api.fields import SystemField
from vsm_site.api.filters import InSystem
from vsm_site.api.permissions import caller
from vsm_site.api.steering import OperatedFleetField

Plain = serializers.Serializer[Any]


class LauncherFieldsSerializer(Plain):
    """What can be changed of a launcher."""

    enabled = serializers.BooleanField(required=False)
    queues = serializers.ListField(child=serializers.CharField(max_length=200), max_length=50, required=False)
    slots = serializers.IntegerField(required=False, help_text="Tasks at a time of one worker")
    least = serializers.IntegerField(required=False, help_text="Fewest workers")
    most = serializers.IntegerField(required=False, help_text="Most workers")
    start_seconds = serializers.IntegerField(required=False, help_text="Within which a worker must be up")
    config = serializers.DictField(required=False, help_text="By kind; secrets are named: env:NAME or file:NAME")


class NewLauncherSerializer(LauncherFieldsSerializer):
    fleet = OperatedFleetField("operate", help_text="Name of the fleet")
    system = SystemField(required=False)
    name = serializers.CharField(max_length=40)
    kind = serializers.ChoiceField(choices=Launcher.Kind.choices)
    config = serializers.DictField(help_text="By kind; secrets are named: env:NAME or file:NAME")


class LauncherSerializer(LauncherFieldsSerializer):
    id = serializers.IntegerField()
    fleet = serializers.CharField()
    name = serializers.CharField()
    kind = serializers.ChoiceField(choices=Launcher.Kind.choices)
    changed_by = serializers.CharField()
    changed_at = serializers.DateTimeField()

    def to_representation(self, instance: Launcher) -> dict[str, Any]:
        return queries.launcher_body(instance, whole=queries.may_write(*caller(self.context["request"])))


class InstanceSerializer(Plain):
    name = serializers.CharField()
    node = serializers.CharField(help_text="The worker's name")
    state = serializers.ChoiceField(choices=["running", "starting", "stopping", "ended", "failed"])
    detail = serializers.CharField()


class LaunchedSerializer(Plain):
    size = serializers.IntegerField(allow_null=True, help_text="null: what runs the workers does not answer")
    trouble = serializers.CharField()
    workers = InstanceSerializer(many=True)


class LauncherFilter(InSystem):
    fleet = django_filters.CharFilter(field_name="fleet__name", label="Name of the fleet")

    class Meta:
        model = Launcher
        fields = ["kind", "enabled"]
