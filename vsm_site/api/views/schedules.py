"""Schedules: their next and past runs, pauses, and which beat leads. They belong to the root system."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, cast

from django.db.models import QuerySet
from django.http import Http404
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, status
from rest_framework.decorators import action
from rest_framework.exceptions import PermissionDenied
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework.viewsets import GenericViewSet

from subsystems.kernel import triggerable
from subsystems.kernel.errors import Invalid
from subsystems.recursion.queries import ROOT_SLUG, systems_for
from subsystems.s2_coordination import queries, services
from subsystems.s2_coordination.models import Schedule, ScheduleRun
from subsystems.s2_coordination.queries import When
from subsystems.s3_control.queries import triggerable_by
from subsystems.s3_control.services import check_arguments
from subsystems.s3_control.tasks import SCHEDULED
from vsm_site.api.permissions import caller, person, scope_of
from vsm_site.api.schedules import (
    LeaderSerializer,
    NewScheduleSerializer,
    PauseSerializer,
    ScheduleChangeSerializer,
    ScheduleFilter,
    SchedulePreviewQuerySerializer,
    SchedulePreviewSerializer,
    ScheduleRunFilter,
    ScheduleRunSerializer,
    ScheduleSerializer,
    moment,
)

POLICIES = ("overlap", "catch_up", "catch_up_limit", "grace_seconds", "longest_run_seconds")


def in_root(request: Request, scope: str) -> bool:
    """Return whether the caller holds *scope* in the root system."""
    user, token = caller(request)
    return systems_for(user, scope, token).filter(slug=ROOT_SLUG).exists()


class ScheduleViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, GenericViewSet[Schedule]):
    """What runs at stated times, each with its next runs and how punctual it was."""

    queryset = queries.schedules()
    serializer_class = ScheduleSerializer
    filterset_class = ScheduleFilter
    ordering_fields = ["task__name", "next_due_at", "task_id"]
    ordering = ["task_id"]
    lookup_field = "task_id"
    lookup_url_kwarg = "pk"
    lookup_value_converter = "int"

    def get_queryset(self) -> QuerySet[Schedule]:
        found = super().get_queryset()
        if in_root(self.request, scope_of(self, self.request.method)):
            return found
        if self.request.method not in SAFE_METHODS and in_root(self.request, "read"):
            raise PermissionDenied("You may see this, but not change it.")
        return found.none()

    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
        return self.get_paginated_response(queries.schedule_bodies(page or [], now=timezone.now()))

    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return self._answer(self.get_object())

    @extend_schema(request=NewScheduleSerializer, responses={201: ScheduleSerializer})
    def create(self, request: Request) -> Response:
        """Schedule a task that you may trigger."""
        form = NewScheduleSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        given: dict[str, Any] = dict(form.validated_data)
        entry = triggerable.find(given["task"])
        if not in_root(request, "operate") or not triggerable_by(*caller(request))(entry):
            raise PermissionDenied(f"Scheduling {entry.name} takes {entry.scope!r} in the root system.")
        arguments = check_arguments(entry.name, given["arguments"])
        schedule = services.create(
            given["name"],
            SCHEDULED,
            {"name": entry.name, "arguments": arguments},
            when_of(given),
            {name: given[name] for name in POLICIES if name in given},
            by=person(request),
            now=timezone.now(),
        )
        return self._answer(schedule, status.HTTP_201_CREATED)

    @extend_schema(request=ScheduleChangeSerializer, responses=ScheduleSerializer)
    def partial_update(self, request: Request, pk: int) -> Response:
        """Change its policies, or switch it on or off."""
        form = ScheduleChangeSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        fields: dict[str, Any] = dict(form.validated_data)
        return self._answer(services.change(self.get_object(), fields, by=person(request), now=timezone.now()))

    def destroy(self, request: Request, pk: int) -> Response:
        """Delete it with its history."""
        services.delete(self.get_object(), by=person(request), now=timezone.now())
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(request=PauseSerializer, responses=ScheduleSerializer)
    @action(detail=True, methods=["post"])
    def pause(self, request: Request, pk: int) -> Response:
        """Run nothing of it for a stated time; it goes on by itself."""
        form = PauseSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        given: dict[str, Any] = form.validated_data
        now = timezone.now()
        until = moment(given.get("until"))
        if (until is None) == ("seconds" not in given):
            raise Invalid("Say how long: seconds or until, one of them.", field="seconds")
        end = until or now + timedelta(seconds=given["seconds"])
        return self._answer(services.pause(self.get_object(), end, by=person(request), reason=given["reason"], now=now))

    @extend_schema(request=None, responses=ScheduleSerializer)
    @action(detail=True, methods=["post"])
    def resume(self, request: Request, pk: int) -> Response:
        """End a pause now."""
        return self._answer(services.resume(self.get_object(), by=person(request), now=timezone.now()))

    @extend_schema(responses=SchedulePreviewSerializer)
    @action(detail=True, methods=["get"], filterset_class=None, pagination_class=None)
    def preview(self, request: Request, pk: int) -> Response:
        """The next runs, and the changes of the clock within a year with the runs that they touch."""
        schedule = self.get_object()
        form = SchedulePreviewQuerySerializer(data=request.query_params)
        form.is_valid(raise_exception=True)
        now = timezone.now()
        table = queries.timetable_of(schedule.task, schedule.anchor_at)
        zone = queries.zone_of(schedule.task)
        count: int = form.validated_data["count"]
        return Response(
            {
                "timezone": str(zone),
                "next_runs": queries.next_runs(schedule, now=now, count=count),
                "clock_changes": queries.clock_bodies(table, zone, now=now),
            }
        )

    def _answer(self, schedule: Schedule, code: int = status.HTTP_200_OK) -> Response:
        found = queries.schedules().get(pk=schedule.pk)
        return Response(queries.schedule_bodies([found], now=timezone.now())[0], status=code)


class ScheduleRunsView(mixins.ListModelMixin, GenericViewSet[ScheduleRun]):
    """What became of each due time of a schedule, newest first."""

    queryset = ScheduleRun.objects.all()
    serializer_class = ScheduleRunSerializer
    filterset_class = ScheduleRunFilter
    ordering_fields = ["due_at"]
    ordering = ["-due_at"]

    def get_queryset(self) -> QuerySet[ScheduleRun]:
        key = cast(int, self.kwargs["schedule"])
        schedule = Schedule.objects.filter(task_id=key).first()
        if schedule is None or not in_root(self.request, "read"):
            raise Http404
        return super().get_queryset().filter(schedule=schedule)


class SchedulePreviewView(APIView):
    """When would it be due? Nothing is made."""

    @extend_schema(
        parameters=[SchedulePreviewQuerySerializer],
        responses=SchedulePreviewSerializer,
        operation_id="schedules_preview_new",
    )
    def get(self, request: Request) -> Response:
        form = SchedulePreviewQuerySerializer(data=request.query_params)
        form.is_valid(raise_exception=True)
        given: dict[str, Any] = form.validated_data
        return Response(queries.preview(when_of(given), given["count"], now=timezone.now()))


class ScheduleLeaderView(APIView):
    """Which beat leads, since when, and which stand by."""

    @extend_schema(responses=LeaderSerializer)
    def get(self, request: Request) -> Response:
        if not in_root(request, "read"):
            raise PermissionDenied(f"This needs the scope 'read' in {ROOT_SLUG!r}.")
        return Response(queries.leader_body(now=timezone.now()))


def when_of(given: dict[str, Any]) -> When:
    """Return when, as a request said it."""
    return When(
        given.get("every_seconds"), given.get("crontab", ""), given.get("timezone", "UTC"), moment(given.get("at"))
    )
