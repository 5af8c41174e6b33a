"""The front page of the API."""

from __future__ import annotations

from django.http import HttpResponseBase, JsonResponse
from django.urls import reverse
from drf_spectacular.utils import extend_schema
from drf_spectacular.views import SpectacularAPIView
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from vsm_site.api.renderers import PROBLEM_TYPE

LISTS = {
    "systems": "api:system-list",
    "units": "api:unit-list",
    "operations": "api:operation-list",
    "variety": "api:variety-list",
    "variety-now": "api:variety-now",
    "variety-units": "api:unit-variety-list",
    "fleets": "api:fleet-list",
    "workers": "api:worker-list",
    "worker-roles": "api:worker-roles",
    "queues": "api:queue-list",
    "stuck": "api:stuck-list",
    "expected-workers": "api:expected-workers-list",
    "series": "api:series-list",
    "query": "api:query",
    "export": "api:export",
    "ingest": "api:ingest",
    "ingest-operations": "api:ingest-operations",
    "assessments": "api:assessment-list",
    "viability": "api:viability",
    "forecasts": "api:forecast-list",
    "forecast-accuracy": "api:forecast-accuracy",
    "anomalies": "api:anomaly-list",
    "threats": "api:threat-list",
    "capacity": "api:capacity",
    "alert-rules": "api:alert-rule-list",
    "alerts": "api:alert-list",
    "silences": "api:silence-list",
    "maintenance-windows": "api:maintenance-window-list",
    "notifications": "api:notification-list",
    "notification-log": "api:notification-log-list",
    "notification-targets": "api:notification-target-list",
    "notification-routing": "api:notification-routing",
    "escalation-policies": "api:escalation-policy-list",
    "escalations": "api:escalation-list",
    "teams": "api:team-list",
    "contact-methods": "api:contact-method-list",
    "contact-rules": "api:contact-rules",
    "rotas": "api:rota-list",
    "signals": "api:signal-list",
    "messages": "api:message-list",
    "dead-letters": "api:dead-letter-list",
    "channels": "api:channel-list",
    "events": "api:event-list",
    "scores": "api:scores",
    "components": "api:components",
    "configuration": "api:configuration",
    "emergencies": "api:emergency-list",
    "policies": "api:policy-list",
    "goals": "api:goals",
    "identity": "api:identity",
    "decisions": "api:decision-list",
    "audit": "api:audit-list",
    "findings": "api:finding-list",
    "coordination": "api:coordination",
    "coordination-findings": "api:coordination-finding-list",
    "dampers": "api:damper-list",
    "damping": "api:damping",
    "patterns": "api:pattern-list",
    "pattern-detections": "api:pattern-detection-list",
    "schedules": "api:schedule-list",
    "tasks": "api:tasks",
    "runs": "api:run-list",
    "task-history": "api:task-history",
    "task-exceptions": "api:task-exception-list",
    "task-latencies": "api:task-latencies",
    "tokens": "api:token-list",
    "members": "api:member-list",
    "me": "api:me",
    "schema": "api:schema",
}


class RootView(APIView):
    """Where everything is."""

    permission_classes = [IsAuthenticated]

    @extend_schema(exclude=True)
    def get(self, request: Request) -> Response:
        return Response({name: request.build_absolute_uri(reverse(view)) for name, view in LISTS.items()})


class SchemaView(SpectacularAPIView):
    """The OpenAPI document. Its renderers know YAML and JSON documents but no problems."""

    def handle_exception(self, exc: Exception) -> HttpResponseBase:  # type: ignore[override]
        found = super().handle_exception(exc)
        headers = {name: value for name, value in found.items() if name != "Content-Type"}
        return JsonResponse(found.data, status=found.status_code, headers=headers, content_type=PROBLEM_TYPE)
