"""Checks: jobs that are to say that they ran."""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from alerts.checks import services
from alerts.checks.models import Check
from subsystems.kernel.errors import Invalid
from subsystems.recursion.queries import systems_for
from vsm_site.api.checks import CheckFilter, CheckSerializer, PingSerializer
from vsm_site.api.permissions import caller, person
from vsm_site.api.systems import InSystems, operated_system

NEWEST = 100


class CheckViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, InSystems[Check]):
    """Jobs that are to say that they ran; one that stays silent, or fails, raises an alert."""

    queryset = Check.objects.select_related("system")
    serializer_class = CheckSerializer
    filterset_class = CheckFilter
    ordering_fields = ["name", "pinged_at", "down_at", "id"]
    ordering = ["id"]
    lookup_value_converter = "int"

    def get_serializer_context(self) -> dict[str, Any]:
        user, token = caller(self.request)
        operated = frozenset(systems_for(user, "operate", token).values_list("pk", flat=True))
        return {**super().get_serializer_context(), "operated": operated}

    def create(self, request: Request) -> Response:
        """Watch a job: the answer has the address at which it says that it ran."""
        given = self._validated(request)
        system = operated_system(request, given.pop("system", None))
        made = services.save_check(Check(system=system), person(request), now=timezone.now(), **given)
        return Response(self.get_serializer(made).data, status=status.HTTP_201_CREATED)

    def partial_update(self, request: Request, pk: int) -> Response:
        """Change some fields of a check; `enabled` pauses and resumes it."""
        check = self.get_object()
        given = self._validated(request, partial=True)
        if given.pop("system", check.system) != check.system:
            raise Invalid("A check stays in its system.", field="system")
        services.save_check(check, person(request), now=timezone.now(), **given)
        return Response(self.get_serializer(self.get_object()).data)

    def destroy(self, request: Request, pk: int) -> Response:
        """Delete a check with its history."""
        services.delete_check(self.get_object(), person(request), now=timezone.now())
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(responses=PingSerializer(many=True))
    @action(detail=True, methods=["get"], filterset_class=None, pagination_class=None)
    def pings(self, request: Request, pk: int) -> Response:
        """What was heard of this check, the newest hundred first."""
        return Response(PingSerializer(self.get_object().history.all()[:NEWEST], many=True).data)

    def _validated(self, request: Request, *, partial: bool = False) -> dict[str, Any]:
        form = self.get_serializer(data=request.data, partial=partial)
        form.is_valid(raise_exception=True)
        return dict(form.validated_data)
