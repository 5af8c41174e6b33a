"""The front door: every address of the contract."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.views import LoginView, LogoutView
from django.urls import URLResolver, path
from django.urls.resolvers import RoutePattern
from django.views.generic import RedirectView

from vsm_site.api.ingest import view_of
from vsm_site.api.otlp import otlp
from vsm_site.exposition.view import metrics_view
from vsm_site.ping_door import ping_view
from vsm_site.probes import health, ready

LOGIN_CONTEXT = {"site_header": "Viable system", "site_title": "Viable system", "title": "Log in"}


def when_asked(route: str, module: str, name: str) -> URLResolver:
    """Return the addresses of *module*, loaded when one of them is asked for: nobody may ever look (003-17)."""
    return URLResolver(RoutePattern(route), module, app_name=name, namespace=name)


urlpatterns = [
    path("", RedirectView.as_view(url="/dashboard/", query_string=True), name="home"),
    path("favicon.ico", RedirectView.as_view(url=f"{settings.STATIC_URL}dashboard/icon.svg"), name="favicon"),
    when_asked("dashboard/", "vsm_site.dashboard.urls", "dashboard"),
    when_asked("api/", "vsm_site.api.urls", "api"),
    # The admin's own login refuses members who are not staff; this one is for everybody.
    path("login/", LoginView.as_view(template_name="admin/login.html", extra_context=LOGIN_CONTEXT), name="login"),
    path("logout/", LogoutView.as_view(next_page="login"), name="logout"),
    when_asked("admin/", "vsm_site.back_office.urls", "admin"),
    path("v1/metrics", view_of(otlp), name="otlp"),
    path("metrics", metrics_view, name="metrics"),
    path("ping/", ping_view),
    path("ping/<path:rest>", ping_view, name="ping"),
    path("health", health, name="health"),
    path("ready", ready, name="ready"),
]

handler400 = "vsm_site.api.problems.bad_request"
handler403 = "vsm_site.api.problems.permission_denied"
handler404 = "vsm_site.api.problems.not_found"
handler500 = "vsm_site.api.problems.server_error"
