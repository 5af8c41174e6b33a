"""The overview, and one page per subsystem or system."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from alerts.services import create_rule
from subsystems.health.queries import viability_body
from subsystems.kernel.errors import Invalid, Refused
from subsystems.kernel.words import Subsystem
from subsystems.s1_operations.services import watch_fleet
from vsm_site.dashboard import nerve_queries, overview_queries, queries, time_ranges
from vsm_site.dashboard.lists import LIVE_UNITS
from vsm_site.dashboard.model_queries import IN_SIGHT, line_of, model_body
from vsm_site.dashboard.monitors import monitors
from vsm_site.dashboard.monitors.base import Asked, Monitors
from vsm_site.dashboard.people import preferences_of
from vsm_site.dashboard.places import Place, find_place, in_system, operating
from vsm_site.dashboard.reach import person
from vsm_site.dashboard.time_ranges import DAY, read_span
from vsm_site.dashboard.views.pages import page
from vsm_site.dashboard.views.preferences import first_page
from vsm_site.dashboard.words import TITLES

MAX_SPARKLINES = 100
LONGEST_ID = 18  # digits that fit a database's column whatever they are


VIEWS = {"viability": _("Viability"), "performance": _("Performance"), "algedonic": _("Algedonic")}
TILES = (
    ("viability", _("Viability"), "dashboard:scores"),
    ("alerts", _("Firing alerts"), "dashboard:alerts"),
    ("pains", _("Open pains"), "dashboard:signals"),
    ("workers", _("Workers"), "dashboard:workers"),
    ("rate", _("Tasks a second"), "dashboard:tasks"),
    ("failing", _("Failing"), "dashboard:task-exceptions"),
    ("waiting", _("Waiting"), "dashboard:queues"),
)  # by the name that `tiles.js` fills them by
LONGEST_PERFORMANCE = DAY  # it merges the sketches of every five minutes of every kind of task
GUIDE_CLOSED = "guide_closed"
GUIDE_RULE = {
    "name": "Queue grows old", "metric": "oldest_age_seconds", "unit_kind": "celery_queue", "for_seconds": 60,
    "annotations": {"summary": "The oldest message of {{ unit }} waits for {{ value | duration }}"},
}  # fmt: skip


@in_system
def overview(request: HttpRequest, place: Place) -> HttpResponse:
    """Show the whole system, live: how viable it is, how it performs, or what hurts."""
    if instead := first_page(request, place):
        return redirect(instead)
    view = request.GET.get("view") or preferences_of(request.user).overview
    view = view if view in VIEWS else next(iter(VIEWS))
    table = LIVE_UNITS.read(request)
    return page(
        request,
        place,
        "dashboard/overview.html",
        view=view,
        views=VIEWS,
        tiles=TILES,
        line=line_of(place),
        guide=_guide(request, place),
        table=table,
        status=400 if table.mistakes else 200,
        script={
            "tab": view,
            "columns": [name for name, shown in table.shows.items() if shown],
            **time_ranges.script(LONGEST_PERFORMANCE),
            **_told(place, view),
        },
    )


@in_system
def facts(request: HttpRequest, place: Place) -> HttpResponse:
    """Answer what the view of viability shows beside the live numbers; a page asks again after each assessment."""
    return JsonResponse(_told(place, "viability"))


@in_system
def performance(request: HttpRequest, place: Place) -> HttpResponse:
    """Answer the small charts of a range."""
    try:
        span = read_span(request.GET.dict(), longest=LONGEST_PERFORMANCE)
    except Invalid as error:
        return JsonResponse({"detail": error.detail, "field": error.field}, status=400)
    return JsonResponse(overview_queries.performance(place.system, span.seconds, now=span.end))


@in_system
def felt(request: HttpRequest, place: Place) -> HttpResponse:
    """Answer the pains and pleasures of a day."""
    return JsonResponse({"felt": overview_queries.felt(place.system, now=timezone.now())})


def _told(place: Place, view: str) -> dict[str, Any]:
    """Return what the scripts of a view begin with."""
    now = timezone.now()
    if view == "viability":
        model = model_body(place, now=now)
        return {"view": IN_SIGHT, "model": model, **overview_queries.overview_body(place.system, now=now)}
    if view == "algedonic":
        return {
            "felt": overview_queries.felt(place.system, now=now), "nerves": nerve_queries.lane_and_channels(now=now),
            "verbs": nerve_queries.verbs_body(),
        }  # fmt: skip
    return {}


# --- The first steps --------------------------------------------------------------------------------------------------
def _guide(request: HttpRequest, place: Place) -> dict[str, Any] | None:
    """Return the first steps where somebody has to take them, or asks to see them again."""
    asked = request.GET.get("guide") == "1"
    if not place.may_operate or (request.session.get(GUIDE_CLOSED) and not asked):
        return None
    steps = overview_queries.first_steps(place.system)
    return steps if asked or steps["fleet"] is None else None


@operating
def guide_connect(request: HttpRequest, place: Place) -> HttpResponse:
    """Connect the first fleet."""
    try:
        fleet = watch_fleet(place.system, request.POST.get("url", ""))
    except Refused as error:
        messages.error(request, error.detail)
    else:
        messages.success(
            request, gettext("{name} is watched: its workers and queues appear by themselves.").format(name=fleet.name)
        )
    return _to_guide(place)


@operating
def guide_rule(request: HttpRequest, place: Place) -> HttpResponse:
    """Make the first rule: somebody is told when messages wait too long."""
    try:
        minutes = float(request.POST.get("minutes", ""))
        rule = create_rule(place.system, person(request), threshold=minutes * 60, **GUIDE_RULE)
    except ValueError:
        messages.error(request, gettext("Minutes are a number, such as 5."))
    except Refused as error:
        messages.error(request, error.detail)
    else:
        messages.success(request, gettext("The rule {name} watches every queue from now on.").format(name=rule.name))
    return _to_guide(place)


@operating
def guide_close(request: HttpRequest, place: Place) -> HttpResponse:
    """Close the guide until somebody asks for it."""
    request.session[GUIDE_CLOSED] = True
    return redirect(f"{reverse('dashboard:overview')}{place.query}")


def _to_guide(place: Place) -> HttpResponse:
    return redirect(f"{reverse('dashboard:overview')}?{urlencode({'system': place.system.slug, 'guide': 1})}")


@in_system
def system_detail(request: HttpRequest, place: Place, slug: str) -> HttpResponse:
    """Show one of S1-S5 of the current system, or (by its own slug) a whole system."""
    if slug not in set(Subsystem):
        place = find_place(request.user, slug) or place
    subsystem = slug if slug in set(Subsystem) else ""
    panels, needs = _monitors(place, Subsystem(slug)) if subsystem else ([], [])
    title = f"{slug.upper()} {TITLES[Subsystem(slug)]}" if subsystem else place.system.name
    return page(
        request,
        place,
        "dashboard/system.html",
        title=title,
        subsystem=subsystem,
        panels=panels,
        needs=needs,
        viability=viability_body(place.system),
        script={"subsystem": subsystem, **time_ranges.script()},
    )


def _monitors(place: Place, subsystem: Subsystem) -> Monitors:
    readable = tuple(system.pk for system in place.systems)
    return monitors(subsystem, Asked(place.system, timezone.now(), readable))


@in_system
def history(request: HttpRequest, place: Place) -> HttpResponse:
    """Answer the scores of a subsystem, or of the whole, over a range."""
    subsystem = request.GET.get("subsystem", "")
    if subsystem and subsystem not in set(Subsystem):
        raise Http404("There is no such history.")
    try:
        span = read_span(request.GET.dict())
    except Invalid as error:
        return JsonResponse({"detail": error.detail, "field": error.field}, status=400)
    return JsonResponse(queries.history(place.system, subsystem, span.start, span.end))


@in_system
def sparklines(request: HttpRequest, place: Place) -> HttpResponse:
    """Answer the last 15 minutes of the key metric of each unit asked for."""
    wanted = request.GET.getlist("unit")[:MAX_SPARKLINES]
    ids = [int(text) for text in wanted if text.isdecimal() and len(text) <= LONGEST_ID]
    return JsonResponse(queries.unit_sparklines(place.system, ids))
