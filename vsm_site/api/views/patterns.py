"""Event patterns, what was detected of them, and what people say of it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from django.urls import reverse
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import mixins, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from subsystems.kernel.errors import Invalid
from subsystems.s4_intelligence.models import Pattern, PatternDetection
from subsystems.s4_intelligence.patterns import queries
from vsm_site.api.patterns import (
    DetectionFilter,
    ImportedPatternsSerializer,
    InstallPatternsSerializer,
    PatternDetectionSerializer,
    PatternFilter,
    PatternSerializer,
    PatternTextSerializer,
    PatternVerdictSerializer,
    ReadyMadePatternSerializer,
    RehearsedPatternSerializer,
    ValidatedPatternSerializer,
)
from vsm_site.api.permissions import person
from vsm_site.api.serializers import ExportSerializer, ImportSerializer, RunSerializer
from vsm_site.api.systems import InSystems, operated_system, requested_system
from vsm_site.lazily import patterns as room


class PatternViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, InSystems[Pattern]):
    """Event patterns; `text` is the pattern as YAML or JSON."""

    queryset = queries.patterns()
    serializer_class = PatternSerializer
    filterset_class = PatternFilter
    ordering_fields = ["name", "changed_at", "id"]
    ordering = ["id"]
    lookup_value_converter = "int"

    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        found = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
        return self.get_paginated_response(queries.pattern_bodies(found or [], now=timezone.now()))

    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return Response(_body(self.get_object()))

    def create(self, request: Request) -> Response:
        """Add a pattern."""
        given = self._validated(request)
        system = operated_system(request, given.get("system"))
        made = room().services.create(system, given["text"], by=person(request), enabled=given.get("enabled", True))
        return Response(_body(made), status=status.HTTP_201_CREATED)

    def partial_update(self, request: Request, pk: int) -> Response:
        """Change what a pattern says, or put it to rest or to work; either way it begins with an empty memory."""
        pattern, given = self.get_object(), self._validated(request, partial=True)
        if given.get("system", pattern.system) != pattern.system:
            raise Invalid("A pattern stays in its system.", field="system")
        by, now = person(request), timezone.now()
        if "text" in given:
            room().services.update(pattern, given["text"], by=by, now=now)
        if "enabled" in given:
            room().services.switch(pattern, enabled=given["enabled"], by=by, now=now)
        return Response(_body(pattern))

    def destroy(self, request: Request, pk: int) -> Response:
        """Drop a pattern with all that was detected of it."""
        room().services.delete(self.get_object(), by=person(request))
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(request=None, responses=PatternSerializer)
    @action(detail=True, methods=["post"])
    def enable(self, request: Request, pk: int) -> Response:
        """Put it to work."""
        return self._switched(request, enabled=True)

    @extend_schema(request=None, responses=PatternSerializer)
    @action(detail=True, methods=["post"])
    def disable(self, request: Request, pk: int) -> Response:
        """Put it to rest."""
        return self._switched(request, enabled=False)

    @extend_schema(request=PatternTextSerializer, responses=ValidatedPatternSerializer)
    @action(detail=False, methods=["post"], filterset_class=None, pagination_class=None)
    def validate(self, request: Request) -> Response:
        """Read a pattern without keeping it; mistakes are told with their fields and lines."""
        form = PatternTextSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        return Response(room().services.validated(form.validated_data["text"]))

    @extend_schema(request=RehearsedPatternSerializer, responses={202: RunSerializer})
    @action(detail=False, methods=["post"], filterset_class=None, pagination_class=None)
    def rehearse(self, request: Request) -> Response:
        """Let a worker tell when a pattern would have been detected lately; nothing follows. Follow the run."""
        form = RehearsedPatternSerializer(data=request.data, context=self.get_serializer_context())
        form.is_valid(raise_exception=True)
        given: dict[str, Any] = form.validated_data
        system = operated_system(request, given.get("system"))
        run = room().rehearsing.begin(system, given["text"], hours=given["hours"], by=person(request))
        where = {"Location": reverse("api:run-detail", args=[run.pk])}
        return Response(RunSerializer(run).data, status=status.HTTP_202_ACCEPTED, headers=where)

    @extend_schema(request=ImportSerializer, responses=ImportedPatternsSerializer, operation_id="patterns_import")
    @action(detail=False, methods=["post"], url_path="import", filterset_class=None, pagination_class=None)
    def import_patterns(self, request: Request) -> Response:
        """Add the patterns of a file of YAML documents; one whose name is taken takes the text of the file."""
        form = ImportSerializer(data=request.data, context=self.get_serializer_context())
        form.is_valid(raise_exception=True)
        given: dict[str, Any] = form.validated_data
        system, by = operated_system(request, given.get("system")), person(request)
        found = room().exchange.import_patterns(
            system, given["text"], by=by, now=timezone.now(), dry_run=given["dry_run"]
        )
        return Response(asdict(found))

    @extend_schema(
        parameters=[OpenApiParameter("system", str, description="Slug of the system")],
        responses=ExportSerializer, operation_id="patterns_export",
    )  # fmt: skip
    @action(detail=False, methods=["get"], url_path="export", filterset_class=None, pagination_class=None)
    def export_patterns(self, request: Request) -> Response:
        """The patterns as YAML documents that `import` reads."""
        return Response({"text": room().exchange.export(requested_system(request))})

    @extend_schema(responses=ReadyMadePatternSerializer(many=True))
    @action(detail=False, methods=["get"], url_path="ready-made", filterset_class=None, pagination_class=None)
    def ready_made(self, request: Request) -> Response:
        """List the patterns to begin with."""
        found = room().builtin.BUILT_IN.values()
        return Response(ReadyMadePatternSerializer(found, many=True).data)

    @extend_schema(request=InstallPatternsSerializer, responses={201: PatternSerializer(many=True)})
    @action(detail=False, methods=["post"], filterset_class=None, pagination_class=None)
    def install(self, request: Request) -> Response:
        """Add ready-made patterns; those whose names are taken stay as they are."""
        form = InstallPatternsSerializer(data=request.data, context=self.get_serializer_context())
        form.is_valid(raise_exception=True)
        given: dict[str, Any] = form.validated_data
        system = operated_system(request, given.get("system"))
        made = room().services.install(system, given.get("names"), by=person(request))
        return Response(queries.pattern_bodies(made, now=timezone.now()), status=status.HTTP_201_CREATED)

    def _switched(self, request: Request, *, enabled: bool) -> Response:
        pattern = self.get_object()
        room().services.switch(pattern, enabled=enabled, by=person(request), now=timezone.now())
        return Response(_body(pattern))

    def _validated(self, request: Request, *, partial: bool = False) -> dict[str, Any]:
        form = self.get_serializer(data=request.data, partial=partial)
        form.is_valid(raise_exception=True)
        return dict(form.validated_data)


class DetectionViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, InSystems[PatternDetection]):
    """What was detected, newest first, with the events that made it."""

    queryset = queries.detections()
    serializer_class = PatternDetectionSerializer
    filterset_class = DetectionFilter
    ordering_fields = ["began_at", "id"]
    ordering = ["-began_at", "-id"]
    lookup_value_converter = "int"

    @extend_schema(request=PatternVerdictSerializer, responses=PatternDetectionSerializer)
    @action(detail=True, methods=["post"])
    def judge(self, request: Request, pk: int) -> Response:
        """Say whether it was so or a false alarm: precision is counted from this."""
        form = PatternVerdictSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        row = self.get_object()
        room().services.judge(row, by=person(request), now=timezone.now(), **form.validated_data)
        return Response(PatternDetectionSerializer(row).data)


def _body(pattern: Pattern) -> dict[str, Any]:
    return queries.pattern_bodies([pattern], now=timezone.now())[0]
