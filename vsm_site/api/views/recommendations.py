"""What is recommended: advising, deciding, undoing; what the platform may do by itself, and what is held."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import mixins, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from subsystems.kernel.errors import Invalid, Refused
from subsystems.s3_control import recommending
from subsystems.s3_control.models import ActionPolicy, Hold, Recommendation
from vsm_site.api.permissions import caller, person
from vsm_site.api.recommendations import (
    ActionPolicyFilter,
    ActionPolicySerializer,
    DeferralSerializer,
    HoldFilter,
    HoldSerializer,
    NewRecommendationSerializer,
    ReasonSerializer,
    RecommendationFilter,
    RecommendationSerializer,
    RefusalSerializer,
)
from vsm_site.api.systems import InSystems, operated_system


class RecommendationViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, InSystems[Recommendation]):
    """What S3, S4, patterns and people advise, newest first, with what was decided and what came of it."""

    queryset = Recommendation.objects.select_related("fleet", "action__fleet")
    serializer_class = RecommendationSerializer
    filterset_class = RecommendationFilter
    ordering_fields = ["created_at", "expires_at", "state", "score"]
    ordering = ["-created_at", "-id"]
    lookup_value_converter = "uuid"

    @extend_schema(request=NewRecommendationSerializer, responses={201: RecommendationSerializer})
    def create(self, request: Request) -> Response:
        """Advise something. With a `key` it is said once: the same row answers again."""
        form = NewRecommendationSerializer(data=request.data, context=self.get_serializer_context())
        form.is_valid(raise_exception=True)
        given: dict[str, Any] = form.validated_data
        fleet = given.get("fleet")
        system = operated_system(request, given.pop("system", None) or (fleet.system if fleet else None))
        if fleet is not None and fleet.system_id != system.pk:
            raise Invalid("The fleet belongs to another system.", field="fleet")
        row = recommending.recommend(
            system_id=system.pk, source=Recommendation.Source.PERSON, author=person(request).get_username(), **given
        )
        return Response(RecommendationSerializer(row).data, status=status.HTTP_201_CREATED)

    @extend_schema(request=ReasonSerializer, responses=RecommendationSerializer)
    @action(detail=True, methods=["post"], filterset_class=None, pagination_class=None)
    def approve(self, request: Request, pk: str) -> Response:
        """Approve it: what it proposes becomes an action. 409 `stale`, `held`, `busy`, `decided` or `cannot`."""
        form = ReasonSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        _, token = caller(request)
        via, reason = token.name if token else "", form.validated_data["reason"]
        return _told(recommending.approve(self.get_object(), by=person(request), reason=reason, via=via))

    @extend_schema(request=RefusalSerializer, responses=RecommendationSerializer)
    @action(detail=True, methods=["post"], filterset_class=None, pagination_class=None)
    def refuse(self, request: Request, pk: str) -> Response:
        """Decide against it, and say why."""
        form = RefusalSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        return _told(recommending.refuse(self.get_object(), by=person(request), **form.validated_data))

    @extend_schema(request=DeferralSerializer, responses=RecommendationSerializer)
    @action(detail=True, methods=["post"], filterset_class=None, pagination_class=None)
    def defer(self, request: Request, pk: str) -> Response:
        """Put the decision off until a moment."""
        form = DeferralSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        return _told(recommending.defer(self.get_object(), by=person(request), **form.validated_data))

    @extend_schema(request=ReasonSerializer, responses=RecommendationSerializer)
    @action(detail=True, methods=["post"], filterset_class=None, pagination_class=None)
    def undo(self, request: Request, pk: str) -> Response:
        """Reverse what was applied, by an action of its own; 409 when nothing reverses it."""
        form = ReasonSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        _, token = caller(request)
        via, reason = token.name if token else "", form.validated_data["reason"]
        return _told(recommending.undo(self.get_object(), by=person(request), reason=reason, via=via))


class ActionPolicyViewSet(mixins.ListModelMixin, InSystems[ActionPolicy]):
    """What may be done by itself, and within which limits. What is not listed, a person decides each time."""

    queryset = ActionPolicy.objects.all()
    serializer_class = ActionPolicySerializer
    filterset_class = ActionPolicyFilter
    ordering_fields = ["kind", "set_at"]
    ordering = ["kind", "id"]


class HoldViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, InSystems[Hold]):
    """What is left alone because corrections of it failed again and again."""

    queryset = Hold.objects.all()
    serializer_class = HoldSerializer
    filterset_class = HoldFilter
    ordering_fields = ["since", "id"]
    ordering = ["-since", "-id"]
    lookup_value_converter = "int"

    @extend_schema(request=None, responses=HoldSerializer)
    @action(detail=True, methods=["post"], filterset_class=None, pagination_class=None)
    def release(self, request: Request, pk: int) -> Response:
        """Let it be corrected again."""
        hold = self.get_object()
        if not recommending.release(hold, by=person(request)):
            raise Refused("It was released before.", code="released")
        hold.refresh_from_db()
        return Response(HoldSerializer(hold).data)


def _told(row: Recommendation) -> Response:
    return Response(RecommendationSerializer(row).data)
