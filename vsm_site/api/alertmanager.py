"""`/api/v2/alerts`: what a Prometheus server sends to an Alertmanager, taken in here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import UnsupportedMediaType
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from alerts.models import Alert
from alerts.notices import reporting
from alerts.notices.payload import NO_END
from alerts.notices.queries import FIRING_STATES
from subsystems.kernel.strict_json import loads
from subsystems.kernel.times import moment_text
from subsystems.recursion.queries import systems_for
from vsm_site.api import problems
from vsm_site.api.ingest import JSON_TYPES, Question, Reply, admit, unpacked, view_of
from vsm_site.api.parsers import TooLarge
from vsm_site.api.permissions import caller
from vsm_site.api.renderers import PROBLEM_TYPE

MAX_BYTES = 4 * 1024 * 1024
MAX_LISTED = 1000


class Alerts:
    """Alerts as Prometheus posts them. Whoever posts them again changes nothing but how long they hold."""

    def receive(self, question: Question) -> Reply:
        grant = admit(question)
        if question.content_type not in JSON_TYPES:
            raise UnsupportedMediaType(question.content_type)
        body = unpacked(question)
        if len(body) > MAX_BYTES:
            raise TooLarge
        system = grant.system(question.headers.get("x-vsm-system") or None)
        accepted, rejected = reporting.receive(system, loads(body), now=timezone.now())
        if rejected and not accepted:
            return self.problem(*_refused(rejected), question)
        return Reply(200, json.dumps({"accepted": accepted, "rejected": rejected}).encode())

    def problem(self, document: Mapping[str, Any], headers: Mapping[str, str], question: Question) -> Reply:
        return Reply(document["status"], json.dumps(document).encode(), PROBLEM_TYPE, headers)


def _refused(rejected: list[dict[str, Any]]) -> tuple[Mapping[str, Any], Mapping[str, str]]:
    first = rejected[0]
    document = problems.document(400, first["code"], f"No alert could be taken. The first of them: {first['detail']}")
    return {**document, "errors": rejected[:100]}, {}


class AlertsView(APIView):
    """The open alerts as Alertmanager lists them."""

    @extend_schema(exclude=True)
    def get(self, request: Request) -> Response:
        user, token = caller(request)
        alerts = Alert.objects.filter(system__in=systems_for(user, "read", token), state__in=FIRING_STATES)
        return Response([_listed(alert) for alert in alerts.select_related("external").order_by("-pk")[:MAX_LISTED]])


def _listed(alert: Alert) -> dict[str, Any]:
    external = getattr(alert, "external", None)
    hidden = [str(alert.suppressed)] if alert.suppressed else []
    return {
        "labels": alert.labels,
        "annotations": alert.annotations,
        "startsAt": moment_text(alert.fired_at or alert.pending_at),
        "endsAt": moment_text(external.ends_at) if external else NO_END,
        "updatedAt": moment_text(external.received_at if external else alert.fired_at or alert.pending_at),
        "generatorURL": external.generator_url if external else "",
        "fingerprint": alert.fingerprint[:16],
        "receivers": [],
        "status": {
            "state": "suppressed" if hidden else "active",
            "silencedBy": [],
            "inhibitedBy": [],
            "mutedBy": hidden,
        },
    }


_post = view_of(Alerts())
_get = AlertsView.as_view()


@csrf_exempt  # posting takes a token alone, which a browser never sends by itself
def alerts(request: HttpRequest) -> HttpResponseBase:
    """Take alerts in, or list the open ones."""
    return _get(request) if request.method in ("GET", "HEAD", "OPTIONS") else _post(request)
