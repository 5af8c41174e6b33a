"""Who is told of alerts: silences, windows, targets, routing, and the log of what was told and withheld."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from alerts.models import AlertNotice, MaintenanceWindow, Notification, Silence, Target
from alerts.notices import services
from subsystems.kernel.errors import Invalid
from subsystems.recursion.models import System
from subsystems.recursion.queries import systems_for
from vsm_site.api import notices as wire
from vsm_site.api.permissions import caller, person
from vsm_site.api.systems import InSystems, choose_system, operated_system, requested_system

ADMINISTERED = {"POST": "admin", "PUT": "admin", "PATCH": "admin", "DELETE": "admin"}


class SilenceViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, InSystems[Silence]):
    """Alerts that nobody is told of for a while."""

    queryset = Silence.objects.select_related("system")
    serializer_class = wire.SilenceSerializer
    filterset_class = wire.SilenceFilter
    ordering_fields = ["ends_at", "starts_at", "id"]
    ordering = ["-ends_at", "-id"]
    lookup_value_converter = "int"

    @extend_schema(request=wire.NewSilenceSerializer, responses={201: wire.SilenceSerializer})
    def create(self, request: Request) -> Response:
        """Hide alerts until a moment; it says who and why."""
        given = _validated(wire.NewSilenceSerializer, request)
        system = operated_system(request, given.pop("system", None))
        silence = services.create_silence(
            system, person(request), given["matchers"], given["ends_at"], given["comment"], now=timezone.now(),
            starts_at=given.get("starts_at"),
        )  # fmt: skip
        return Response(wire.SilenceSerializer(silence).data, status=status.HTTP_201_CREATED)

    def destroy(self, request: Request, pk: int) -> Response:
        """End a silence now; it stays on record."""
        services.expire_silence(self.get_object(), person(request), now=timezone.now())
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(parameters=[wire.HiddenQuerySerializer], responses=wire.HiddenSerializer)
    @action(detail=False, methods=["get"], filterset_class=None, pagination_class=None)
    def preview(self, request: Request) -> Response:
        """Which open alerts such a silence would hide now."""
        form = wire.HiddenQuerySerializer(data=request.query_params)
        form.is_valid(raise_exception=True)
        return Response(services.preview(requested_system(request), form.validated_data["matchers"]))


class WindowViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, InSystems[MaintenanceWindow]):
    """Times in which people are told only that something is over."""

    queryset = MaintenanceWindow.objects.select_related("system")
    serializer_class = wire.WindowSerializer
    filterset_fields: ClassVar[list[str]] = ["enabled"]
    ordering_fields = ["name", "starts_at", "id"]
    ordering = ["id"]
    lookup_value_converter = "int"

    def create(self, request: Request) -> Response:
        """Plan a window, once or recurring."""
        given = _validated(wire.WindowSerializer, request)
        system = operated_system(request, given.pop("system", None))
        window = services.save_window(MaintenanceWindow(system=system), person(request), **given)
        return Response(wire.WindowSerializer(window).data, status=status.HTTP_201_CREATED)

    def partial_update(self, request: Request, pk: int) -> Response:
        """Change some fields of a window."""
        window = self.get_object()
        given = _validated(wire.WindowSerializer, request, partial=True)
        if given.pop("system", window.system) != window.system:
            raise Invalid("A window stays in its system.", field="system")
        services.save_window(window, person(request), **given)
        return Response(wire.WindowSerializer(window).data)

    def destroy(self, request: Request, pk: int) -> Response:
        """Delete a window."""
        services.delete_window(self.get_object(), person(request))
        return Response(status=status.HTTP_204_NO_CONTENT)


class TargetViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, InSystems[Target]):
    """Addresses that are told: a channel with its settings. Its secrets go in and never come out."""

    scopes = ADMINISTERED
    queryset = Target.objects.select_related("system", "fallback")
    serializer_class = wire.TargetSerializer
    filterset_fields: ClassVar[list[str]] = ["kind", "enabled"]
    ordering_fields = ["name", "id"]
    ordering = ["id"]
    lookup_value_converter = "int"

    @extend_schema(request=wire.NewTargetSerializer, responses={201: wire.TargetSerializer})
    def create(self, request: Request) -> Response:
        """Set a target up."""
        given = _validated(wire.NewTargetSerializer, request)
        target = Target(system=_administered(request, given.pop("system", None)))
        services.save_target(target, person(request), **given)
        return Response(wire.TargetSerializer(target).data, status=status.HTTP_201_CREATED)

    @extend_schema(request=wire.NewTargetSerializer(partial=True), responses=wire.TargetSerializer)
    def partial_update(self, request: Request, pk: int) -> Response:
        """Change a target. Settings are replaced as a whole, but for the secrets that are not given."""
        target = self.get_object()
        given = _validated(wire.NewTargetSerializer, request, partial=True)
        if given.pop("system", target.system) != target.system:
            raise Invalid("A target stays in its system.", field="system")
        services.save_target(target, person(request), **given)
        return Response(wire.TargetSerializer(target).data)

    def destroy(self, request: Request, pk: int) -> Response:
        """Delete a target that the routing does not name."""
        services.delete_target(self.get_object(), person(request))
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(request=None, responses=wire.NotificationSerializer)
    @action(detail=True, methods=["post"])
    def test(self, request: Request, pk: int) -> Response:
        """Send a test now, and say what became of it."""
        found = services.test_target(self.get_object(), person(request), now=timezone.now())
        return Response(wire.NotificationSerializer(found).data)


class RoutingView(APIView):
    """Who is told of a system's alerts, in Alertmanager's words."""

    scopes = {**ADMINISTERED, "POST": "read"}

    @extend_schema(responses=wire.RoutingSerializer)
    def get(self, request: Request) -> Response:
        """Return the document of a system, or the default that holds where it has none."""
        return Response(services.routing_of(requested_system(request)))

    @extend_schema(request=wire.RoutingSerializer, responses=wire.RoutingSerializer)
    def put(self, request: Request) -> Response:
        """Replace the document."""
        given = _validated(wire.RoutingSerializer, request)
        system = requested_system(request, "admin")
        services.save_routing(system, given["document"], person(request), now=timezone.now())
        return Response(services.routing_of(system))

    @extend_schema(responses={204: None})
    def delete(self, request: Request) -> Response:
        """Let the system above say who is told, or the default."""
        services.drop_routing(requested_system(request, "admin"), person(request))
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(request=wire.TryRoutingSerializer, responses=wire.TriedSerializer(many=True))
    def post(self, request: Request) -> Response:
        """Say where an alert with these labels would go; nothing is changed."""
        given = _validated(wire.TryRoutingSerializer, request)
        return Response(services.try_routing(requested_system(request), given["labels"]))


class NotificationViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, InSystems[Notification]):
    """What was sent, is tried again, or was given up."""

    queryset = Notification.objects.select_related("system").defer("body")
    serializer_class = wire.NotificationSerializer
    filterset_class = wire.NotificationFilter
    ordering_fields = ["created_at", "id"]
    ordering = ["-created_at", "-id"]
    lookup_value_converter = "uuid"

    def get_serializer_class(self) -> Any:
        return wire.NotificationDetailSerializer if self.action == "retrieve" else wire.NotificationSerializer


class NoticeLineViewSet(mixins.ListModelMixin, InSystems[AlertNotice]):
    """Each alert's log: told by which notification, or withheld for which cause."""

    queryset = AlertNotice.objects.select_related("alert__system", "notification").defer("notification__body")
    serializer_class = wire.NoticeLineSerializer
    filterset_class = wire.NoticeLineFilter
    ordering_fields = ["at", "id"]
    ordering = ["-at", "-id"]

    def held(self, scope: str) -> QuerySet[AlertNotice]:
        user, token = caller(self.request)
        return self.queryset.filter(alert__system__in=systems_for(user, scope, token))


def _validated(serializer: Any, request: Request, *, partial: bool = False) -> dict[str, Any]:
    form = serializer(data=request.data, partial=partial, context={"request": request})
    form.is_valid(raise_exception=True)
    return dict(form.validated_data)


def _administered(request: Request, given: System | None) -> System:
    user, token = caller(request)
    return choose_system(user, token, "admin", None if given is None else given.slug)
