"""The front door: every address of the contract."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

from vsm_site.exposition import metrics_view
from vsm_site.probes import health, ready

admin.site.site_header = admin.site.site_title = "VSM"
admin.site.index_title = "Administration"

urlpatterns = [
    path("", RedirectView.as_view(url="/dashboard/", query_string=True), name="home"),
    path("dashboard/", include("vsm_site.dashboard.urls")),
    path("api/", include("vsm_site.api.urls")),
    path("admin/", admin.site.urls),
    path("metrics", metrics_view, name="metrics"),
    path("health", health, name="health"),
    path("ready", ready, name="ready"),
]

handler400 = "vsm_site.api.problems.bad_request"
handler403 = "vsm_site.api.problems.permission_denied"
handler404 = "vsm_site.api.problems.not_found"
handler500 = "vsm_site.api.problems.server_error"
