"""Webhooks to which acts are handed. Calling one is an action."""

from __future__ import annotations

from typing import Any

import django_filters
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from subsystems.s3_control.hooks import services
from subsystems.s3_control.hooks.models import Webhook
from vsm_site.api.fields import SystemField
from vsm_site.api.filters import InSystem
from vsm_site.api.permissions import person
from vsm_site.api.steering import OperatedFleetField
from vsm_site.api.systems import InSystems


class WebhookFieldsSerializer(serializers.Serializer[Any]):
    """What can be changed of a webhook."""

    name = serializers.CharField(max_length=60, required=False)
    url = serializers.CharField(max_length=2000, required=False, help_text="Gets a POST for each act")
    undo_url = serializers.CharField(max_length=2000, required=False, allow_blank=True, help_text="Undoes it")
    secret = serializers.CharField(max_length=500, required=False, write_only=True, help_text="Signs each request")
    enabled = serializers.BooleanField(required=False)


class NewWebhookSerializer(WebhookFieldsSerializer):
    fleet = OperatedFleetField("admin", help_text="Name of the fleet")
    system = SystemField(required=False)
    name = serializers.CharField(max_length=60)
    url = serializers.CharField(max_length=2000)


class WebhookSerializer(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    fleet = serializers.CharField()
    name = serializers.CharField()
    url = serializers.CharField(help_text="Without its query, which may carry a key")
    undo_url = serializers.CharField()
    signed = serializers.BooleanField()
    enabled = serializers.BooleanField()
    changed_by = serializers.CharField()
    changed_at = serializers.DateTimeField()

    def to_representation(self, instance: Webhook) -> dict[str, Any]:
        return services.webhook_body(instance)


class WebhookFilter(InSystem):
    fleet = django_filters.CharFilter(field_name="fleet__name", label="Name of the fleet")

    class Meta:
        model = Webhook
        fields = ["enabled"]


class WebhookViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, InSystems[Webhook]):
    """Where acts are handed to somebody outside: `POST /api/v1/actions/` with `webhook.call` and its name."""

    scopes = {"POST": "admin", "PATCH": "admin", "DELETE": "admin"}
    queryset = Webhook.objects.select_related("fleet")
    serializer_class = WebhookSerializer
    filterset_class = WebhookFilter
    ordering_fields = ["id", "name"]
    ordering = ["id"]
    lookup_value_converter = "int"

    @extend_schema(request=NewWebhookSerializer, responses={201: WebhookSerializer})
    def create(self, request: Request) -> Response:
        """Write a webhook down."""
        form = NewWebhookSerializer(data=request.data, context=self.get_serializer_context())
        form.is_valid(raise_exception=True)
        given: dict[str, Any] = dict(form.validated_data)
        given.pop("system", None)
        row = services.save(given.pop("fleet"), given, by=person(request).get_username())
        return Response(services.webhook_body(row), status=status.HTTP_201_CREATED)

    @extend_schema(request=WebhookFieldsSerializer, responses=WebhookSerializer)
    def partial_update(self, request: Request, pk: int) -> Response:
        """Change some of it; without a new secret the old one stays."""
        row = self.get_object()
        form = WebhookFieldsSerializer(data=request.data, partial=True)
        form.is_valid(raise_exception=True)
        saved = services.save(row.fleet, form.validated_data, by=person(request).get_username(), webhook=row)
        return Response(services.webhook_body(saved))

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: int) -> Response:
        """Delete it."""
        services.drop(self.get_object(), by=person(request).get_username())
        return Response(status=status.HTTP_204_NO_CONTENT)
