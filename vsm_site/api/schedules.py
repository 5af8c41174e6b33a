"""What goes in and out of the API about schedules, and which of them are asked for."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import django_filters
from rest_framework import serializers

from subsystems.s2_coordination import queries
from subsystems.s2_coordination.models import Schedule, ScheduleRun
from subsystems.s2_coordination.policies import CatchUp, Overlap
from vsm_site.api.fields import MomentField
from vsm_site.api.filters import MomentFilter

Plain = serializers.Serializer[Any]
STATES = ["new", "ok", "running", "failing", "missed", "paused", "disabled", "unable"]
MAX_SECONDS = 30 * 86_400


def moment(seconds: float | None) -> datetime | None:
    """Return epoch seconds as a moment. Raises a validation error for one that no calendar has."""
    try:
        return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        raise serializers.ValidationError(MomentField.default_error_messages["invalid"]) from None


class ScheduleFilter(django_filters.FilterSet):  # type: ignore[misc]
    search = django_filters.CharFilter(field_name="task__name", lookup_expr="icontains", label="Part of the name")
    task = django_filters.CharFilter(field_name="task__task", label="Name of the Celery task")
    enabled = django_filters.BooleanFilter(field_name="task__enabled", label="Switched on")

    class Meta:
        model = Schedule
        fields = ["overlap", "catch_up"]


class ScheduleRunFilter(django_filters.FilterSet):  # type: ignore[misc]
    state = django_filters.MultipleChoiceFilter(choices=ScheduleRun.State.choices, label="One or more states")

    class Meta:
        model = ScheduleRun
        fields = ["reason", "late"]

    @classmethod
    def get_filters(cls) -> dict[str, Any]:
        """Add `from` and `to`, of which the first is no name in Python."""
        times = {
            "from": MomentFilter(field_name="due_at", lookup_expr="gte", label="Not due before"),
            "to": MomentFilter(field_name="due_at", lookup_expr="lte", label="Not due after"),
        }
        return {**super().get_filters(), **times}


class OccurrenceSerializer(Plain):
    at = serializers.DateTimeField()
    local = serializers.CharField(help_text="As a clock in the schedule's zone shows it")
    zone = serializers.CharField(help_text="Short name of the zone at that moment")
    shift = serializers.ChoiceField(
        choices=["", "skipped", "repeated", "first", "second"], help_text="What a change of the clock does to it"
    )
    note = serializers.CharField(help_text="The same in words")
    paused = serializers.BooleanField(required=False, help_text="It falls into a pause and will be skipped")


class ClockChangeSerializer(Plain):
    at = serializers.DateTimeField()
    forward = serializers.BooleanField(help_text="Local times are skipped; else they come twice")
    to = serializers.CharField(help_text="The first local time that is not concerned any more")
    runs = OccurrenceSerializer(many=True, help_text="The due times that it moves, repeats or leaves out")

    def get_fields(self) -> dict[str, Any]:
        """Add `from`, which is no name in Python."""
        return {**super().get_fields(), "from": serializers.CharField(help_text="The first that is concerned")}


class ScheduleRunSerializer(Plain):
    id = serializers.UUIDField(help_text="Also the id of the Celery task")
    due_at = serializers.DateTimeField()
    state = serializers.ChoiceField(choices=ScheduleRun.State.choices)
    reason = serializers.CharField(help_text="Why it was skipped: paused, overlap, outage, expired, disabled")
    note = serializers.CharField()
    late = serializers.BooleanField(help_text="Caught up on after an outage")
    epoch = serializers.IntegerField(help_text="The reign of the beat that decided")
    sent_at = serializers.DateTimeField(allow_null=True)
    started_at = serializers.DateTimeField(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)
    attempts = serializers.IntegerField()
    worker = serializers.CharField()
    error = serializers.CharField()
    sent_delay_seconds = serializers.FloatField(allow_null=True, help_text="From due to sent")
    delay_seconds = serializers.FloatField(allow_null=True, help_text="From due to begun")
    runtime_seconds = serializers.FloatField(allow_null=True)

    def to_representation(self, instance: ScheduleRun | dict[str, Any]) -> dict[str, Any]:
        return queries.run_body(instance) if isinstance(instance, ScheduleRun) else instance


class PunctualitySerializer(Plain):
    runs = serializers.IntegerField(help_text="The last so many, at most 40")
    begun = serializers.IntegerField()
    skipped = serializers.IntegerField()
    failed = serializers.IntegerField()
    median_delay_seconds = serializers.FloatField(allow_null=True)
    largest_delay_seconds = serializers.FloatField(allow_null=True)


class PoliciesSerializer(Plain):
    """What a schedule's owner decides."""

    overlap = serializers.ChoiceField(choices=[each.value for each in Overlap], required=False)
    catch_up = serializers.ChoiceField(choices=[each.value for each in CatchUp], required=False)
    catch_up_limit = serializers.IntegerField(min_value=0, max_value=1000, required=False)
    grace_seconds = serializers.IntegerField(min_value=5, max_value=7 * 86_400, required=False)
    longest_run_seconds = serializers.IntegerField(min_value=1, max_value=MAX_SECONDS, required=False)


class ScheduleChangeSerializer(PoliciesSerializer):
    enabled = serializers.BooleanField(required=False)


class ScheduleSerializer(Plain):
    id = serializers.IntegerField()
    name = serializers.CharField()
    description = serializers.CharField()
    task = serializers.CharField(help_text="Name of the Celery task")
    args = serializers.JSONField()
    kwargs = serializers.JSONField()
    last_run_at = serializers.DateTimeField(allow_null=True)
    queue = serializers.CharField(allow_null=True)
    enabled = serializers.BooleanField()
    one_off = serializers.BooleanField()
    when = serializers.CharField()
    timezone = serializers.CharField()
    state = serializers.ChoiceField(choices=STATES)
    problem = serializers.CharField(help_text="Why it cannot run")
    overlap = serializers.ChoiceField(choices=[each.value for each in Overlap])
    catch_up = serializers.ChoiceField(choices=[each.value for each in CatchUp])
    catch_up_limit = serializers.IntegerField()
    grace_seconds = serializers.IntegerField()
    longest_run_seconds = serializers.IntegerField()
    paused_until = serializers.DateTimeField(allow_null=True)
    paused_by = serializers.CharField(allow_null=True)
    pause_reason = serializers.CharField()
    missed_since = serializers.DateTimeField(allow_null=True)
    total_run_count = serializers.IntegerField()
    next_runs = OccurrenceSerializer(many=True)
    last_run = ScheduleRunSerializer(allow_null=True)
    punctuality = PunctualitySerializer()

    def to_representation(self, instance: dict[str, Any]) -> dict[str, Any]:
        return instance


class WhenSerializer(Plain):
    every_seconds = serializers.IntegerField(min_value=1, max_value=366 * 86_400, required=False)
    crontab = serializers.CharField(
        max_length=320, required=False, help_text="Minute, hour, day of month, month, day of week"
    )
    timezone = serializers.CharField(max_length=64, required=False, default="UTC", help_text="Of the crontab")
    at = MomentField(required=False)


class NewScheduleSerializer(WhenSerializer, PoliciesSerializer):
    """One of `every_seconds`, `crontab` and `at` says when."""

    name = serializers.CharField(max_length=200)
    task = serializers.CharField(max_length=80, help_text="One of `/api/v1/tasks/`")
    arguments = serializers.DictField(required=False, default=dict)


class PauseSerializer(Plain):
    """How long: one of the two."""

    seconds = serializers.IntegerField(min_value=1, max_value=366 * 86_400, required=False)
    until = MomentField(required=False)
    reason = serializers.CharField(max_length=200, required=False, default="", allow_blank=True)


class SchedulePreviewQuerySerializer(WhenSerializer):
    count = serializers.IntegerField(min_value=1, max_value=100, required=False, default=10)


class SchedulePreviewSerializer(Plain):
    timezone = serializers.CharField()
    next_runs = OccurrenceSerializer(many=True)
    clock_changes = ClockChangeSerializer(many=True, help_text="Of the next twelve months")


class BeatSerializer(Plain):
    name = serializers.CharField()
    leads = serializers.BooleanField()
    started_at = serializers.DateTimeField()
    seen_at = serializers.DateTimeField()


class LeaderSerializer(Plain):
    leader = serializers.CharField(allow_null=True)
    epoch = serializers.IntegerField(help_text="Grows with each change of the lead")
    since = serializers.DateTimeField(allow_null=True)
    renewed_at = serializers.DateTimeField(allow_null=True)
    beats = BeatSerializer(many=True)
