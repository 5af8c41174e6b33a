"""Who is on call: teams, rotas, and the shifts that people take from one another."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, ClassVar

from django.http import Http404
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import mixins, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from alerts.models import Rota, RotaOverride, Team
from alerts.people import duties, queries
from alerts.people.rotas import LONGEST_LOOK
from subsystems.kernel.errors import Invalid
from subsystems.kernel.times import moment_text
from subsystems.recursion.models import System
from vsm_site.api import on_call as wire
from vsm_site.api.permissions import caller, person
from vsm_site.api.systems import InSystems, choose_system
from vsm_site.api.views.notices import ADMINISTERED

FOUR_WEEKS = timedelta(weeks=4)
OPERATED = {"POST": "operate", "DELETE": "operate"}


class TeamViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, InSystems[Team]):
    """People who are told together."""

    scopes = ADMINISTERED
    queryset = Team.objects.select_related("system").prefetch_related("members")
    serializer_class = wire.TeamSerializer
    filterset_fields: ClassVar[list[str]] = ["name"]
    ordering_fields = ["name", "id"]
    ordering = ["id"]
    lookup_value_converter = "int"

    def create(self, request: Request) -> Response:
        """Add a team."""
        given = validated(wire.TeamSerializer, request)
        team = Team(system=administered(request, given.pop("system", None)))
        duties.save_team(team, person(request), **given)
        return Response(wire.TeamSerializer(team).data, status=status.HTTP_201_CREATED)

    def partial_update(self, request: Request, pk: int) -> Response:
        """Change a team's name or its members."""
        team = self.get_object()
        given = validated(wire.TeamSerializer, request, partial=True)
        refuse_moving(given, team.system)
        duties.save_team(team, person(request), **given)
        return Response(wire.TeamSerializer(self.get_object()).data)

    def destroy(self, request: Request, pk: int) -> Response:
        """Delete a team."""
        duties.delete_team(self.get_object(), person(request))
        return Response(status=status.HTTP_204_NO_CONTENT)


class RotaViewSet(mixins.RetrieveModelMixin, InSystems[Rota]):
    """Who is on call when."""

    scopes = ADMINISTERED
    queryset = Rota.objects.select_related("system")
    serializer_class = wire.RotaSerializer
    filterset_fields: ClassVar[list[str]] = ["name"]
    ordering_fields = ["name", "id"]
    ordering = ["id"]
    lookup_value_converter = "int"

    @extend_schema(responses=wire.RotaSerializer(many=True))
    def list(self, request: Request) -> Response:
        """The rotas, with who is on call now."""
        rows = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
        return self.get_paginated_response(queries.rota_bodies(rows or [], now=timezone.now()))

    def create(self, request: Request) -> Response:
        """Add a rota."""
        given = validated(wire.RotaSerializer, request)
        rota = Rota(system=administered(request, given.pop("system", None)))
        duties.save_rota(rota, person(request), now=timezone.now(), **given)
        return Response(wire.RotaSerializer(rota).data, status=status.HTTP_201_CREATED)

    def partial_update(self, request: Request, pk: int) -> Response:
        """Change some fields of a rota; layers are replaced as a whole."""
        rota = self.get_object()
        given = validated(wire.RotaSerializer, request, partial=True)
        refuse_moving(given, rota.system)
        duties.save_rota(rota, person(request), now=timezone.now(), **given)
        return Response(wire.RotaSerializer(rota).data)

    def destroy(self, request: Request, pk: int) -> Response:
        """Delete a rota."""
        duties.delete_rota(self.get_object(), person(request))
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(parameters=[wire.AtSerializer], responses=wire.OnCallSerializer)
    @action(detail=True, methods=["get"], url_path="on-call", filterset_fields=None, pagination_class=None)
    def on_call(self, request: Request, pk: int) -> Response:
        """Who is on call, now or at a moment, and when that changes."""
        at = _asked(wire.AtSerializer, request).get("at", timezone.now())
        rota = self.get_object()
        body = queries.rota_bodies([rota], now=at)[0]
        told = {"rota": rota.name, "at": moment_text(at), "user": body["on_call"]}
        return Response({**told, "handover_at": body["handover_at"], "next": body["next"]})

    @extend_schema(parameters=[wire.ShiftsQuerySerializer], responses=wire.ShiftSerializer(many=True))
    @action(detail=True, methods=["get"], filterset_fields=None, pagination_class=None)
    def shifts(self, request: Request, pk: int) -> Response:
        """Who is on call from one moment to another, oldest first."""
        asked = _asked(wire.ShiftsQuerySerializer, request)
        start = asked.get("start", timezone.now())
        end = asked.get("end", start + FOUR_WEEKS)
        if not start < end <= start + LONGEST_LOOK:
            raise Invalid(f"This is later than `start`, by {LONGEST_LOOK.days} days at most.", field="end")
        return Response(queries.shift_bodies(self.get_object(), start, end))

    @extend_schema(responses=wire.OverrideSerializer(many=True))
    @action(detail=True, methods=["get"], filterset_fields=None, pagination_class=None, scopes=OPERATED)
    def overrides(self, request: Request, pk: int) -> Response:
        """The shifts that people took from others and that are not over."""
        coming = self.get_object().overrides.filter(ends_at__gt=timezone.now())
        rows = coming.select_related("user", "created_by")
        return Response(wire.OverrideSerializer(rows, many=True).data)

    @extend_schema(request=wire.NewOverrideSerializer, responses={201: wire.OverrideSerializer})
    @overrides.mapping.post
    def take_shift(self, request: Request, pk: int) -> Response:
        """Be on call for a time, or let another be, whoever it would be."""
        given = validated(wire.NewOverrideSerializer, request)
        by = person(request)
        made = duties.take_shift(
            self.get_object(), given.get("user", by), by, given["starts_at"], given["ends_at"], now=timezone.now()
        )
        return Response(wire.OverrideSerializer(made).data, status=status.HTTP_201_CREATED)

    @extend_schema(
        parameters=[OpenApiParameter("override", OpenApiTypes.INT, OpenApiParameter.PATH)], responses={204: None}
    )
    @action(
        detail=True, methods=["delete"], url_path="overrides/<int:override>", filterset_fields=None,
        pagination_class=None, scopes=OPERATED,
    )  # fmt: skip
    def drop_override(self, request: Request, pk: int, override: int) -> Response:
        """Let those be on call again who were meant to be."""
        found = RotaOverride.objects.filter(pk=override, rota=self.get_object()).select_related("user", "rota__system")
        row = found.first()
        if row is None:
            raise Http404
        duties.drop_override(row, person(request))
        return Response(status=status.HTTP_204_NO_CONTENT)


def validated(serializer: Any, request: Request, *, partial: bool = False) -> dict[str, Any]:
    """Return what was given to a serializer."""
    form = serializer(data=request.data, partial=partial, context={"request": request})
    form.is_valid(raise_exception=True)
    return dict(form.validated_data)


def administered(request: Request, given: System | None) -> System:
    """Return the system that something is to be made in, by who administers it."""
    user, token = caller(request)
    return choose_system(user, token, "admin", None if given is None else given.slug)


def refuse_moving(given: dict[str, Any], system: System) -> None:
    """Raise Invalid when a change names another system than the one that it is in."""
    if (given.pop("system", None) or system) != system:
        raise Invalid("It stays in its system.", field="system")


def _asked(serializer: Any, request: Request) -> dict[str, Any]:
    form = serializer(data=request.query_params)
    form.is_valid(raise_exception=True)
    return dict(form.validated_data)
