"""The site of the admin: its index by parts of the viable system, its ways to the dashboard, its audit trail."""

from __future__ import annotations

from functools import wraps
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.contrib.auth.models import User
from django.db.models import Model
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.template.response import SimpleTemplateResponse
from django.urls import NoReverseMatch, reverse

from subsystems.event_log.services import append
from subsystems.event_log.streams import Stream
from subsystems.recursion.models import System
from vsm_site.back_office.places import DETAILS, GROUP_OF, GROUPS, LISTS
from vsm_site.dashboard.zones import in_their_zone


class BackOffice(admin.AdminSite):
    """Django's admin, for those who run the installation (docs/decisions/0005)."""

    site_header = site_title = "Viable system"
    index_title = "Administration"
    site_url = "/dashboard/"
    empty_value_display = "–"

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[dict[str, Any]]:
        """Return the models by part of the viable system, S1 first; of one Django app as Django lists them."""
        found = super().get_app_list(request, app_label)
        if app_label:
            return found
        groups: dict[int, list[tuple[int, dict[str, Any]]]] = {}
        for model in (model for app in found for model in app["models"]):
            at, number = GROUP_OF.get(model["model"]._meta.label, (len(GROUPS) - 1, 999))
            groups.setdefault(at, []).append((number, model))
        return [self._group(at, [model for _, model in sorted(groups[at], key=_number)]) for at in sorted(groups)]

    def _group(self, at: int, models: list[dict[str, Any]]) -> dict[str, Any]:
        group = GROUPS[at]
        return {
            "name": group.title, "app_label": group.key, "app_url": f"{reverse('admin:index')}#{group.key}",
            "has_module_perms": True, "models": models, "about": group.about,
            "live": reverse(f"dashboard:{group.page}"),
        }  # fmt: skip

    def admin_view(self, view: Any, cacheable: bool = False) -> Any:
        """Let times be those of the reader's zone, as in the dashboard."""
        inside = super().admin_view(view, cacheable)

        @wraps(inside)
        def rendered(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            answer = inside(request, *args, **kwargs)
            return answer.render() if isinstance(answer, SimpleTemplateResponse) else answer

        return in_their_zone(rendered)

    # --- Ways to the dashboard ---
    def has_live_page(self, model: type[Model]) -> bool:
        """Return whether the dashboard has a page for each row of *model*."""
        return model._meta.label in DETAILS

    def live_address(self, obj: Model) -> str | None:
        """Return where the dashboard shows *obj*; None where it shows no such thing."""
        name, field = DETAILS.get(obj._meta.label, ("", ""))
        value = getattr(obj, field) if name else None
        if value in (None, ""):
            return None
        system = getattr(obj, "system", None)
        query = f"?{urlencode({'system': system.slug})}" if isinstance(system, System) else ""
        try:
            return reverse(f"dashboard:{name}", args=[value]) + query
        except NoReverseMatch:  # an id that came from outside and that no address can hold
            return None

    def live_list(self, model: type[Model]) -> str:
        """Return the page of the dashboard that tells most of what *model* holds."""
        at, _ = GROUP_OF.get(model._meta.label, (len(GROUPS) - 1, 0))
        return reverse(f"dashboard:{LISTS.get(model._meta.label, GROUPS[at].page)}")

    # --- The audit trail ---
    def tell(self, by: User, what: str, obj: Model, message: Any) -> None:
        """Record in the event log who did what to *obj* here."""
        said = message if isinstance(message, str) else [each for each in message or [] if each]
        data = {"model": obj._meta.label, "id": str(obj.pk), "name": str(obj)[:200], "what": what, "said": said}
        system = getattr(obj, "system_id", None)
        append(Stream.AUDIT, "AdminChanged", data, system_id=system, actor=by.get_username())


def _number(pair: tuple[int, dict[str, Any]]) -> int:
    return pair[0]
