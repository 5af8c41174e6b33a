"""Every error as a problem document (RFC 9457): one place decides status, code and words."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any

from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.core.exceptions import ValidationError as DjangoValidationError
from django.db import DataError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.views import defaults
from kombu.exceptions import OperationalError as BrokerError
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import set_rollback

from subsystems.kernel.errors import Forbidden, Invalid, NotListed, Refused, TransientError
from subsystems.messaging.limits import RateLimited
from subsystems.messaging.pressure import ChannelFull
from subsystems.messaging.rejections import record_rejection
from vsm_site.api.renderers import PROBLEM_TYPE

logger = logging.getLogger(__name__)
RETRY_SECONDS = 5
Error = dict[str, str]


def document(status: int, code: str, detail: str, errors: list[Error] | None = None) -> dict[str, Any]:
    """Return the body of a problem; *code* is stable, *detail* is for people."""
    body: dict[str, Any] = {
        "type": f"urn:vsm:problem:{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code,
    }
    return {**body, "errors": errors} if errors else body


def problem(status: int, code: str, detail: str, errors: list[Error] | None = None) -> JsonResponse:
    """Return a problem as the answer of a plain Django view."""
    return JsonResponse(document(status, code, detail, errors), status=status, content_type=PROBLEM_TYPE)


def handle(error: Exception, context: Mapping[str, Any]) -> Response | None:
    """Answer an *error* of an API view; None for one nobody foresaw, which is then logged once and becomes a 500."""
    described = describe(error)
    if described is None:
        return None
    set_rollback()
    body, headers = described
    return Response(body, status=body["status"], headers=headers)


def answer(error: Exception) -> HttpResponse:
    """Answer an *error* of a plain Django view; one that nobody foresaw is raised again."""
    described = describe(error)
    if described is None:
        raise error
    body, headers = described
    return JsonResponse(body, status=body["status"], headers=headers, content_type=PROBLEM_TYPE)


def describe(error: Exception) -> tuple[dict[str, Any], dict[str, str]] | None:
    """Return the problem and the headers for *error*, or None when it is not a foreseen one."""
    match error:
        case RateLimited():
            return _rate_limited(error)
        case ChannelFull():
            record_rejection(error)
            wait = error.retry_after_seconds
            body = document(429, error.code, error.detail) | {"retry_after": wait}
            return body, {"Retry-After": str(math.ceil(wait))}
        case Refused():
            return _refused(error), {}
        case exceptions.APIException():
            return _of_framework(error), _headers(error)
        case TransientError() | OperationalError() | BrokerError():
            logger.warning("Answered 503: %s", type(error).__name__)
            detail = "Something this needs does not answer right now; try again."
            return document(503, "transient", detail), {"Retry-After": str(RETRY_SECONDS)}
        case DataError():  # a value that passed every check and yet fits no column
            return document(400, "invalid", "A value does not fit."), {}
        case Http404():
            return document(404, "not_found", "There is no such thing, or you may not see it."), {}
        case PermissionDenied():
            return document(403, "permission_denied", "You may not do this."), {}
        case RequestDataTooBig():
            return document(413, "too_large", "The body is too large."), {}
        case SuspiciousOperation():
            return document(400, "bad_request", "The request cannot be read."), {}
        case DjangoValidationError():
            return _invalid(list(_of_model(error))), {}
    return None


def _refused(error: Refused) -> dict[str, Any]:
    by_kind = ((NotListed, 404), (Invalid, 400), (Forbidden, 403))
    status = next((status for kind, status in by_kind if isinstance(error, kind)), 409)
    errors = [{"field": error.field, "code": error.code, "detail": error.detail}] if error.field else None
    return document(status, error.code, error.detail, errors)


def _rate_limited(error: RateLimited) -> tuple[dict[str, Any], dict[str, str]]:
    """Tell which layer refused and when to come back, and leave the trace that the caller's transaction could not."""
    record_rejection(error)
    body = document(429, error.code, error.detail)
    body |= {"layer": str(error.layer), "retry_after": error.retry_after_seconds}
    return body, {"Retry-After": str(max(1, math.ceil(error.retry_after_seconds)))}


def _of_framework(error: exceptions.APIException) -> dict[str, Any]:
    if isinstance(error, exceptions.ValidationError):
        return _invalid(list(_flattened(error.get_full_details())))
    codes = error.get_codes()
    code = codes if isinstance(codes, str) else error.default_code
    return document(error.status_code, code, str(error.detail))


def _invalid(errors: list[Error]) -> dict[str, Any]:
    first = errors[0]
    detail = f"{first['field']}: {first['detail']}" if first["field"] else first["detail"]
    return document(400, "invalid", detail, errors)


def _flattened(details: Any, path: str = "") -> Iterator[Error]:
    """Yield each mistake with its field's path, `samples.3.value`."""
    if isinstance(details, list):
        for number, item in enumerate(details):
            yield from _flattened(item, path if _is_mistake(item) else f"{path}.{number}".lstrip("."))
    elif _is_mistake(details):
        yield {"field": path, "code": str(details["code"]), "detail": str(details["message"])}
    elif isinstance(details, dict):
        for name, item in details.items():
            here = path if name == "non_field_errors" else f"{path}.{name}".lstrip(".")
            yield from _flattened(item, here)


def _is_mistake(item: Any) -> bool:
    return isinstance(item, dict) and set(item) == {"message", "code"} and isinstance(item["message"], str)


def _of_model(error: DjangoValidationError) -> Iterator[Error]:
    by_field = error.error_dict if hasattr(error, "error_dict") else {"": error.error_list}
    for name, items in by_field.items():
        field = "" if name == "__all__" else name
        yield from ({"field": field, "code": item.code or "invalid", "detail": item.messages[0]} for item in items)


def _headers(error: exceptions.APIException) -> dict[str, str]:
    headers = {}
    if header := getattr(error, "auth_header", None):
        headers["WWW-Authenticate"] = header
    wait = getattr(error, "wait", None)
    if isinstance(error, exceptions.Throttled):
        headers["Retry-After"] = str(max(1, round(wait or 1)))
    return headers


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """Answer what Django itself found unreadable."""
    if _for_programs(request):
        return answer(exception)
    return defaults.bad_request(request, exception)


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """Answer what Django itself refused."""
    if _for_programs(request):
        return problem(403, "permission_denied", "You may not do this.")
    return defaults.permission_denied(request, exception)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """Answer an address that does not exist."""
    if _for_programs(request):
        return problem(404, "not_found", "There is no such thing, or you may not see it.")
    return defaults.page_not_found(request, exception)


def server_error(request: HttpRequest) -> HttpResponseBase:
    """Answer a mistake of ours; it has been logged."""
    if _for_programs(request):
        return problem(500, "internal", "The platform made a mistake; it has been logged.")
    return defaults.server_error(request)


def locked_out(request: HttpRequest, *_: object) -> HttpResponse:
    """Answer somebody who has guessed too many passwords."""
    detail = "Too many wrong passwords. Wait a quarter of an hour."
    plain = HttpResponse(detail, status=429, content_type="text/plain")
    response = problem(429, "locked_out", detail) if _for_programs(request) else plain
    response["Retry-After"] = "900"
    return response


def _for_programs(request: HttpRequest) -> bool:
    return request.path.startswith("/api/")
