"""`GET /metrics`: a page for whoever may read."""

from __future__ import annotations

import time
from collections.abc import Mapping

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from subsystems.recursion.queries import systems_for
from subsystems.telemetry.rendering import chosen_type, page
from vsm_site.api.authentication import principal
from vsm_site.exposition.collecting import families
from vsm_site.exposition.platform import process


@require_safe
def metrics_view(request: HttpRequest) -> HttpResponse:
    """Answer a scrape with what its token (or the person logged in) may read."""
    who = principal(request)
    if who is None:
        headers = {"WWW-Authenticate": 'Bearer realm="vsm"'}
        return _plain("A token with the scope read is needed, or a login.\n", 401, headers)
    user, token = who
    systems = list(systems_for(user, "read", token).order_by("slug"))
    if not systems:
        return _plain("This needs the scope read.\n", 403)
    content_type = chosen_type(request.headers.get("Accept", ""))
    body = page([*families(systems, now=time.time()), *process()], content_type)
    return HttpResponse(body, content_type=content_type, headers={"Cache-Control": "no-store", "Vary": "Accept"})


def _plain(text: str, status: int, headers: Mapping[str, str] | None = None) -> HttpResponse:
    return HttpResponse(text, status=status, content_type="text/plain; charset=utf-8", headers=dict(headers or {}))
