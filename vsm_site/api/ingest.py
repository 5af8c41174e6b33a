"""Samples from outside, in a plain view: at hundreds of batches a second the framework would be most of the cost."""

from __future__ import annotations

import time
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from rest_framework.exceptions import (
    APIException,
    AuthenticationFailed,
    NotAuthenticated,
    PermissionDenied,
    UnsupportedMediaType,
)

from subsystems.kernel import strict_json
from subsystems.kernel.errors import Refused, TransientError
from subsystems.messaging import limits
from subsystems.recursion.models import ApiToken, System
from subsystems.recursion.queries import holds
from subsystems.s1_operations import services
from vsm_site.api import problems
from vsm_site.api.authentication import principal
from vsm_site.api.batches import batch_of
from vsm_site.api.parsers import inflate, read_bounded
from vsm_site.api.systems import choose_system


class _Nobody(NotAuthenticated):
    """No token at all; the header says what would be one."""

    default_detail = "Samples need a token: Authorization: Bearer <token>."
    auth_header = 'Bearer realm="vsm"'


class _Unknown(AuthenticationFailed):
    """A token that is not valid."""

    default_detail = "This token is not valid."
    auth_header = 'Bearer realm="vsm"'


@csrf_exempt  # only a token is let in, and a browser never sends one by itself
def ingest(request: HttpRequest) -> HttpResponse:
    """Record one batch. Answers 202 with what was accepted and, by index, what was not."""
    if request.method != "POST":
        response = problems.problem(405, "method_not_allowed", "Samples are posted.")
        response["Allow"] = "POST"
        return response
    try:
        return JsonResponse(_receive(request), status=202)
    except (Refused, TransientError, APIException) as error:
        return problems.answer(error)


def _receive(request: HttpRequest) -> dict[str, Any]:
    token = _ingest_token(request)
    limits.check_ingest(token.pk, token.system_id)
    body = strict_json.loads(_body(request))
    batch = batch_of(body, now=time.time())
    outcome = services.receive_batch(_system(token, body), batch.source, batch.samples)
    return batch.with_outcome(outcome)


def _ingest_token(request: HttpRequest) -> ApiToken:
    """Return the token. A session is no way in: a page of another site could make a browser use one."""
    user, token = principal(request) or (None, None)
    if user is None or token is None:
        known = "Authorization" in request.headers
        raise _Unknown() if known else _Nobody()
    if not holds(user, "ingest", token):
        raise PermissionDenied("This needs the scope 'ingest', which this token does not hold.")
    return token


def _system(token: ApiToken, body: dict[str, Any]) -> System:
    return choose_system(token.user, token, "ingest", body.get("system"))


def _body(request: HttpRequest) -> bytes:
    if request.content_type not in {"application/json", ""}:
        raise UnsupportedMediaType(request.content_type or "")
    raw = read_bounded(request)
    encoding = request.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding == "identity":
        return raw
    if encoding != "gzip":
        raise UnsupportedMediaType(encoding, detail="A body may be packed with gzip and nothing else.")
    return inflate(raw)
