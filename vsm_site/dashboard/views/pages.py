"""What every page needs around its own content."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from subsystems.kernel.words import TITLES
from vsm_site.dashboard.key_metrics import KEY_METRICS
from vsm_site.dashboard.places import Place

SECTIONS = {
    "overview": "overview",
    "system": "overview",
    "unit": "overview",
    "variety": "variety",
    "intelligence": "intelligence",
    "signals": "signals",
    "signal": "signals",
    "signal-add": "signals",
    "events": "events",
    "event": "events",
    "journey": "events",
    "dead-letters": "events",
    "message": "events",
    "alerts": "alerts",
    "alert": "alerts",
    "checks": "checks",
    "check": "checks",
    "noise": "rules",
    "alert-statistics": "rules",
    "calendar": "notifications",
    "rules": "rules",
    "rule": "rules",
    "rule-add": "rules",
    "notifications": "notifications",
    "notification": "notifications",
    "silences": "notifications",
    "maintenance-windows": "notifications",
    "maintenance-window": "notifications",
    "targets": "notifications",
    "target": "notifications",
    "target-add": "notifications",
    "on-call": "on-call",
    "escalations": "on-call",
    "on-call-rota": "on-call",
    "on-call-rota-add": "on-call",
    "on-call-team": "on-call",
    "on-call-team-add": "on-call",
    "on-call-policy": "on-call",
    "on-call-policy-add": "on-call",
    "contact": "on-call",
    "contact-method": "on-call",
    "contact-method-add": "on-call",
    "fleets": "fleets",
    "workers": "workers",
    "queues": "queues",
    "unit-add": "fleets",
    "audit": "audit",
    "policy": "policy",
    "policy-kind": "policy",
    "policy-named": "policy",
    "policy-add": "policy",
    "policy-act": "policy",
    "scores": "scores",
    "emergencies": "policy",
    "goals": "policy",
    "identity": "policy",
    "decisions": "policy",
    "decision": "policy",
    "coordination": "coordination",
    "patterns": "patterns",
    "pattern": "patterns",
    "pattern-add": "patterns",
    "pattern-detections": "patterns",
    "pattern-detection": "patterns",
    "schedules": "schedules",
    "schedule": "schedules",
    "schedule-pause": "schedules",
    "unit-steer": "fleets",
    "fleet-steer": "fleets",
    "fleet-act": "fleets",
    "scaling": "scaling",
    "scaling-policy": "scaling",
    "inbox": "inbox",
    "recommendation": "inbox",
    "actions": "actions",
    "action": "actions",
    "tasks": "tasks",
    "task": "tasks",
    "task-exceptions": "tasks",
    "task-latencies": "tasks",
    "task-offers": "tasks",
    "task-trigger": "tasks",
}


def page(
    request: HttpRequest,
    place: Place,
    template: str,
    *,
    status: int = 200,
    script: dict[str, Any] | None = None,
    **context: Any,
) -> HttpResponse:
    """Render *template* with the frame it sits in; *script* is handed to its JavaScript as data."""
    match = request.resolver_match
    everything = {
        "place": place,
        "nav": SECTIONS.get(match.url_name or "" if match else "", ""),
        "flower_url": flower_url(request),
        "config": {**_config(place), **(script or {})},
        **context,
    }
    return render(request, template, everything, status=status)


def parameters_without(request: HttpRequest, name: str) -> str:
    """Return the parameters of this page, but the one that its links to other pages set themselves."""
    parameters = request.GET.copy()
    parameters.pop(name, None)
    return parameters.urlencode()


def flower_url(request: HttpRequest) -> str:
    """Return where Flower is: on the host by which this page was reached, at its own port; empty when it is off."""
    if not settings.FLOWER_PORT:
        return ""
    host, _, port = request.get_host().rpartition(":")
    name = host if host and port.isdigit() else request.get_host()
    return f"http://{name}:{settings.FLOWER_PORT}/"


def _config(place: Place) -> dict[str, Any]:
    return {
        "system": place.system.slug,
        "query": place.query,
        "mayOperate": place.may_operate,
        "keyMetrics": KEY_METRICS,
        "titles": {str(key): title for key, title in TITLES.items()},
    }
