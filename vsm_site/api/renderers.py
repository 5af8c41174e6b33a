"""Writing answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rest_framework.renderers import BrowsableAPIRenderer, JSONRenderer

PROBLEM_TYPE = "application/problem+json"


class StrictJSONRenderer(JSONRenderer):
    """JSON whose errors say by their media type that they are problem documents (RFC 9457)."""

    def render(
        self, data: Any, accepted_media_type: str | None = None, renderer_context: Mapping[str, Any] | None = None
    ) -> Any:
        rendered = super().render(data, accepted_media_type, renderer_context)
        response = (renderer_context or {}).get("response")
        if response is not None and response.exception and response.accepted_renderer is self:  # not within a page
            response["Content-Type"] = PROBLEM_TYPE
        return rendered


class BrowsablePages(BrowsableAPIRenderer):
    """The API as pages. The framework's templates and scripts style from within, which is allowed to these alone."""

    def render(
        self, data: Any, accepted_media_type: str | None = None, renderer_context: Mapping[str, Any] | None = None
    ) -> Any:
        response = (renderer_context or {}).get("response")
        if response is not None:
            response._csp_update = {"style-src": ["'unsafe-inline'"]}
        return super().render(data, accepted_media_type, renderer_context)
