"""Resource pools, and the bargains about them: asking, answering and giving back in the name of a unit."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import mixins, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from subsystems.s3_control.bargaining import granting, hearing, pooling, queries, services
from subsystems.s3_control.bargaining.models import Bargain, ResourcePool
from vsm_site.api.bargains import (
    AnswerSerializer,
    BargainFilter,
    BargainSerializer,
    NewBargainSerializer,
    NewPoolSerializer,
    PoolFieldsSerializer,
    PoolFilter,
    PoolSerializer,
    PoolUnitSerializer,
)
from vsm_site.api.permissions import person
from vsm_site.api.systems import InSystems, operated_system


class ResourcePoolViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, InSystems[ResourcePool]):
    """What is shared, by whom, and how it is divided."""

    queryset = ResourcePool.objects.select_related("fleet", "system")
    serializer_class = PoolSerializer
    filterset_class = PoolFilter
    ordering_fields = ["id", "name"]
    ordering = ["id"]
    lookup_value_converter = "int"

    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """List the pools with their units."""
        page: Any = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
        return self.get_paginated_response([queries.pool_body(each) for each in queries.pools_now(page)])

    @extend_schema(request=NewPoolSerializer, responses={201: PoolSerializer})
    def create(self, request: Request) -> Response:
        """Share a resource from now on."""
        form = NewPoolSerializer(data=request.data, context=self.get_serializer_context())
        form.is_valid(raise_exception=True)
        given: dict[str, Any] = dict(form.validated_data)
        fleet, system = given.pop("fleet", None), given.pop("system", None)
        if fleet is None or system is not None:
            system = operated_system(request, system)
        row = pooling.save_pool(
            system or fleet.system, given, by=person(request).get_username(), name=given.pop("name"), fleet=fleet
        )
        return Response(PoolSerializer(row).data, status=status.HTTP_201_CREATED)

    @extend_schema(request=PoolFieldsSerializer, responses=PoolSerializer)
    def partial_update(self, request: Request, pk: int) -> Response:
        """Change some of it."""
        row = self.get_object()
        form = PoolFieldsSerializer(row, data=request.data, partial=True)
        form.is_valid(raise_exception=True)
        by = person(request).get_username()
        saved = pooling.save_pool(row.system, form.validated_data, by=by, pool=row)
        return Response(PoolSerializer(saved).data)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: int) -> Response:
        """Share it no more; what was done about it stays as it is."""
        pooling.drop_pool(self.get_object(), by=person(request).get_username())
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(request=PoolUnitSerializer, responses=PoolSerializer)
    @action(detail=True, methods=["post"], filterset_class=None, pagination_class=None)
    def units(self, request: Request, pk: int) -> Response:
        """Let a unit share the pool, or change its terms: what is not given stays."""
        row = self.get_object()
        form = PoolUnitSerializer(data=request.data, partial=True)
        form.is_valid(raise_exception=True)
        given = dict(form.validated_data)
        pooling.save_unit(row, given.pop("name", ""), given, by=person(request).get_username())
        return Response(PoolSerializer(row).data)

    @extend_schema(request=PoolUnitSerializer, responses=PoolSerializer)
    @action(detail=True, methods=["post"], url_path="drop-unit", filterset_class=None, pagination_class=None)
    def drop_unit(self, request: Request, pk: int) -> Response:
        """Let a unit share the pool no more."""
        row = self.get_object()
        form = PoolUnitSerializer(data=request.data, partial=True)
        form.is_valid(raise_exception=True)
        pooling.drop_unit(row, form.validated_data.get("name", ""), by=person(request).get_username())
        return Response(PoolSerializer(row).data)


class BargainViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, InSystems[Bargain]):
    """Requests of units for resources, S3's offers, the answers, and what is held."""

    queryset = queries.bargains()
    serializer_class = BargainSerializer
    filterset_class = BargainFilter
    ordering_fields = ["asked_at", "deadline", "priority"]
    ordering = ["-asked_at", "-id"]
    lookup_value_converter = "uuid"

    @extend_schema(request=NewBargainSerializer, responses={201: BargainSerializer})
    def create(self, request: Request) -> Response:
        """Ask in the name of a unit; what can be offered is in the answer already."""
        form = NewBargainSerializer(data=request.data, context=self.get_serializer_context())
        form.is_valid(raise_exception=True)
        told = form.validated_data
        system = operated_system(request, told.get("system"))
        unit = hearing.unit_called(system.pk, told["resource"], told["unit"])
        wish = services.Wish(told["amount"], told["priority"], told.get("deadline"), told["reason"])
        row = services.request(unit, wish, by=person(request).get_username())
        return self._told(row, status.HTTP_201_CREATED)

    @extend_schema(request=AnswerSerializer, responses=BargainSerializer)
    @action(detail=True, methods=["post"], filterset_class=None, pagination_class=None)
    def accept(self, request: Request, pk: object) -> Response:
        """Accept the offer; with its `number` no other offer can be meant by mistake."""
        return self._answered(request, granting.ACCEPT)

    @extend_schema(request=AnswerSerializer, responses=BargainSerializer)
    @action(detail=True, methods=["post"], filterset_class=None, pagination_class=None)
    def refuse(self, request: Request, pk: object) -> Response:
        """Refuse the offer. What S3 takes back by a notice is not refused: 409 `binding`."""
        return self._answered(request, granting.REFUSE)

    @extend_schema(request=AnswerSerializer, responses=BargainSerializer)
    @action(detail=True, methods=["post"], filterset_class=None, pagination_class=None)
    def release(self, request: Request, pk: object) -> Response:
        """Give back what is held, or withdraw the request."""
        return self._answered(request, granting.RELEASE)

    def _answered(self, request: Request, verb: str) -> Response:
        form = AnswerSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        told, by = form.validated_data, person(request).get_username()
        row = services.answer(self.get_object(), verb, by=by, number=told.get("number"), reason=told["reason"])
        return self._told(row)

    def _told(self, row: Bargain, code: int = status.HTTP_200_OK) -> Response:
        return Response(queries.bargain_body(queries.bargains().get(pk=row.pk)), status=code)
