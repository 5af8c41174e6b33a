"""What is switched on, and what the parts of the platform agree on."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from vsm_site.components import health_check
from vsm_site.configuration import rows
from vsm_site.dashboard.places import Place, in_system
from vsm_site.dashboard.views.pages import page

BADGES = {"healthy": "healthy", "degraded": "degraded", "unhealthy": "unhealthy"}


@in_system
def index(request: HttpRequest, place: Place) -> HttpResponse:
    """Show each part with how it does, and each setting with where it comes from."""
    found = health_check(now=timezone.now())["components"]
    parts = [
        {"name": name.replace("_", " "), "badge": BADGES.get(each["status"], "unknown"), **each}
        for name, each in found.items()
    ]
    return page(request, place, "dashboard/configuration.html", parts=parts, settings=rows())
