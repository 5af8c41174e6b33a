"""How you are reached: your methods, contact rules and quiet hours. Nobody else's can be seen, or changed."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, status
from rest_framework.authentication import BasicAuthentication, SessionAuthentication
from rest_framework.decorators import action
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework.viewsets import GenericViewSet

from alerts.models import Target
from alerts.people import reaching
from vsm_site.api import contact as wire
from vsm_site.api.authentication import BearerAuthentication
from vsm_site.api.notices import NotificationSerializer
from vsm_site.api.permissions import InPerson, person
from vsm_site.api.views.on_call import validated


class OnesOwn(InPerson):
    message = "How you are reached is yours to say: with a name and a password or from the pages, not with a token."


class ContactMethodViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, GenericViewSet[Target]):
    """By what you can be reached: channels as of notification targets. Secrets go in and never come out."""

    authentication_classes = [BasicAuthentication, SessionAuthentication, BearerAuthentication]
    permission_classes: list[type[BasePermission]] = [OnesOwn]
    queryset = Target.objects.filter(owner__isnull=False).select_related("system", "fallback")
    serializer_class = wire.ContactMethodSerializer
    ordering = ["id"]
    ordering_fields = ["name", "id"]
    lookup_value_converter = "int"

    def get_queryset(self) -> QuerySet[Target]:
        return super().get_queryset().filter(owner=person(self.request))

    @extend_schema(request=wire.NewContactMethodSerializer, responses={201: wire.ContactMethodSerializer})
    def create(self, request: Request) -> Response:
        """Add a method."""
        by = person(request)
        made = reaching.save_method(Target(owner=by), by, **validated(wire.NewContactMethodSerializer, request))
        return Response(wire.ContactMethodSerializer(made).data, status=status.HTTP_201_CREATED)

    @extend_schema(
        request=wire.NewContactMethodSerializer(partial=True), responses=wire.ContactMethodSerializer
    )  # fmt: skip
    def partial_update(self, request: Request, pk: int) -> Response:
        """Change a method. Settings are replaced as a whole, but for the secrets that are not given."""
        method = self.get_object()
        given = validated(wire.NewContactMethodSerializer, request, partial=True)
        reaching.save_method(method, person(request), **given)
        return Response(wire.ContactMethodSerializer(method).data)

    def destroy(self, request: Request, pk: int) -> Response:
        """Delete a method that no contact rule names."""
        reaching.delete_method(self.get_object(), person(request))
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(request=None, responses=NotificationSerializer)
    @action(detail=True, methods=["post"])
    def test(self, request: Request, pk: int) -> Response:
        """Send yourself a test now, and say what became of it."""
        found = reaching.test_method(self.get_object(), person(request), now=timezone.now())
        return Response(NotificationSerializer(found).data)


class ContactRulesView(APIView):
    """After how many minutes you are reached by what, and when you are left in peace."""

    authentication_classes = [BasicAuthentication, SessionAuthentication, BearerAuthentication]
    permission_classes: list[type[BasePermission]] = [OnesOwn]

    @extend_schema(responses=wire.ContactRulesSerializer)
    def get(self, request: Request) -> Response:
        """Return your contact rules; without any, all of your methods are used at once."""
        return Response(reaching.contact_body(person(request)))

    @extend_schema(request=wire.ContactRulesSerializer, responses=wire.ContactRulesSerializer)
    def put(self, request: Request) -> Response:
        """Replace your contact rules."""
        given: dict[str, Any] = validated(wire.ContactRulesSerializer, request)
        reaching.save_contact(person(request), **given)
        return Response(reaching.contact_body(person(request)))
