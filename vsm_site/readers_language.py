"""The language in which a page is answered; in use only where there is more than one."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.middleware.locale import LocaleMiddleware
from django.utils import translation

PAGES = ("/dashboard/", "/admin/", "/login/", "/logout/")


class ReadersLanguage(LocaleMiddleware):
    """Answers people in the language their browser asks for, and programs in English whatever they ask for."""

    def process_request(self, request: HttpRequest) -> None:
        """Choose the language of the answer."""
        if request.path_info.startswith(PAGES):
            super().process_request(request)
        else:
            translation.activate(settings.LANGUAGE_CODE)

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        """Tell caches that a page is not the same for every reader."""
        return super().process_response(request, response) if request.path_info.startswith(PAGES) else response
