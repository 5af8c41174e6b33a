"""Recording what the web server is asked: each request by its route, its status and how long it took.

The route, not the address: there are as many as the platform has, whatever strangers ask for. They are operations of
this host, in the root system.
"""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable
from time import perf_counter

from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.decorators import sync_and_async_middleware

from subsystems.telemetry.recorders import OK
from subsystems.variety.gathering import operation_ended

HOST = socket.gethostname()
METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
NO_ROUTE = "(no such address)"
FIRST_FAILURE = 500
Answer = HttpResponseBase | Awaitable[HttpResponseBase]


@sync_and_async_middleware
def record_requests(get_response: Callable[[HttpRequest], Answer]) -> Callable[[HttpRequest], Answer]:
    """Return the middleware; first of all, so that what the others take is counted too."""

    async def later(request: HttpRequest) -> HttpResponseBase:
        started = perf_counter()
        response: HttpResponseBase = await get_response(request)  # type: ignore[misc]
        _note(request, response, started)
        return response

    def now(request: HttpRequest) -> HttpResponseBase:
        started = perf_counter()
        response: HttpResponseBase = get_response(request)  # type: ignore[assignment]
        _note(request, response, started)
        return response

    return later if iscoroutinefunction(get_response) else now


def operation_of(method: str | None, route: str | None) -> str:
    """Return the name of a request's operation: there are as many as routes and methods."""
    known = method if method in METHODS else "OTHER"
    return f"{known} {NO_ROUTE if route is None else '/' + route}"


def note_request(operation: str, status: int, seconds: float) -> None:
    """Note one request. An answer that refuses is an answer; only what the platform itself got wrong is a failure."""
    failed = status >= FIRST_FAILURE
    operation_ended(HOST, operation, outcome=f"status {status}" if failed else OK, duration_ms=1000 * seconds)


def _note(request: HttpRequest, response: HttpResponseBase, started: float) -> None:
    match = request.resolver_match
    note_request(
        operation_of(request.method, match.route if match else None), response.status_code, perf_counter() - started
    )
