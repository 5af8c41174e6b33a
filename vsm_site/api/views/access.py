"""Who am I, which systems are there, who belongs to them, and tokens."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, status
from rest_framework.authentication import SessionAuthentication
from rest_framework.permissions import BasePermission, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework.viewsets import GenericViewSet, ReadOnlyModelViewSet

from subsystems.kernel.errors import Invalid
from subsystems.recursion.models import ApiToken, Membership, System
from subsystems.recursion.queries import systems_for
from subsystems.recursion.services import create_token
from vsm_site.api.authentication import BasicAuthentication, BearerAuthentication
from vsm_site.api.filters import MemberFilter
from vsm_site.api.permissions import InPerson, caller, person
from vsm_site.api.serializers import (
    MemberSerializer,
    MeSerializer,
    NewTokenSerializer,
    SystemSerializer,
    TokenSerializer,
)
from vsm_site.api.systems import InSystems


class SystemViewSet(ReadOnlyModelViewSet[System]):
    """The viable systems that you may read."""

    queryset = System.objects.select_related("parent")
    serializer_class = SystemSerializer
    ordering_fields = ["slug", "name", "created_at"]
    ordering = ["slug"]
    lookup_field = "slug"
    lookup_value_converter = "slug"

    def get_queryset(self) -> QuerySet[System]:
        user, token = caller(self.request)
        return systems_for(user, "read", token).select_related("parent")


class MemberViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, InSystems[Membership]):
    """Who belongs to a system, for its administrators."""

    scopes = {"GET": "admin"}
    queryset = Membership.objects.select_related("user", "system")
    serializer_class = MemberSerializer
    filterset_class = MemberFilter
    ordering = ["id"]
    ordering_fields = ["id", "role"]
    lookup_value_converter = "int"


class TokenViewSet(
    mixins.ListModelMixin, mixins.RetrieveModelMixin, mixins.DestroyModelMixin, GenericViewSet[ApiToken]
):
    """Your own tokens. They are made with a name and a password, or from the pages, never with another token."""

    # A bearer token is known here only to be told 403 rather than 401.
    authentication_classes = [BasicAuthentication, SessionAuthentication, BearerAuthentication]
    permission_classes: list[type[BasePermission]] = [InPerson]
    queryset = ApiToken.objects.select_related("system")
    serializer_class = TokenSerializer
    ordering = ["-created_at", "-id"]
    ordering_fields = ["name", "created_at", "id"]
    lookup_value_converter = "int"

    def get_queryset(self) -> QuerySet[ApiToken]:
        return super().get_queryset().filter(user=person(self.request))

    @extend_schema(request=TokenSerializer, responses={201: NewTokenSerializer})
    def create(self, request: Request) -> Response:
        """Make a token. Its secret is in this answer and nowhere else."""
        form = self.get_serializer(data=request.data)
        form.is_valid(raise_exception=True)
        given: dict[str, Any] = form.validated_data
        _refuse_past(given.get("expires_at"))
        token, secret = create_token(
            person(request),
            name=given["name"],
            scopes=given["scopes"],
            system=given.get("system"),
            expires_at=given.get("expires_at"),
        )
        body = {**self.get_serializer(token).data, "secret": secret}
        return Response(body, status=status.HTTP_201_CREATED, headers={"Cache-Control": "no-store"})


class MeView(APIView):
    """Who this request is made by, and what it may do where; for every token, whatever its scopes."""

    permission_classes = [IsAuthenticated]

    @extend_schema(responses=MeSerializer)
    def get(self, request: Request) -> Response:
        user, token = caller(request)
        held: dict[int, dict[str, Any]] = {}
        for scope in ApiToken.Scope.values:
            for system in systems_for(user, scope, token):
                entry = held.setdefault(system.pk, {"slug": system.slug, "name": system.name, "scopes": []})
                entry["scopes"].append(scope)
        systems = sorted(held.values(), key=lambda entry: str(entry["slug"]))
        return Response({"username": user.get_username(), "systems": systems, "token": _facts(token)})


def _facts(token: ApiToken | None) -> dict[str, Any] | None:
    if token is None:
        return None
    return {"name": token.name, "scopes": token.scopes, "system": token.system.slug if token.system else None}


def _refuse_past(expires_at: datetime | None) -> None:
    if expires_at is not None and expires_at <= timezone.now():
        raise Invalid("A token must expire in the future.", field="expires_at")
