"""The event log: searching it, following what belongs together, and proving that nothing was changed."""

from __future__ import annotations

from collections.abc import Sequence

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils.translation import gettext
from django.views.decorators.http import require_POST

from subsystems.event_log import queries
from subsystems.event_log.models import Event
from subsystems.kernel.errors import Refused
from subsystems.messaging.envelope import MAX_BYTES
from subsystems.s3_control import services
from vsm_site.dashboard import journeys, nerve_queries
from vsm_site.dashboard.lists import EVENTS
from vsm_site.dashboard.nerve_forms import EventFilter
from vsm_site.dashboard.places import Place, in_system
from vsm_site.dashboard.reach import person, reach_of, whole_reach
from vsm_site.dashboard.views.pages import page, parameters_without

PAGE_SIZE = 50


@in_system
def index(request: HttpRequest, place: Place) -> HttpResponse:
    """Search the event log, and tell how its chain is."""
    wanted = EventFilter(request.GET, place)
    valid = wanted.is_valid()
    rows = _found(request, place, wanted) if valid else []
    searched = queries.searched(wanted.wanted()) if valid and wanted.cleaned_data["q"] else None
    older = rows[PAGE_SIZE - 1].position if len(rows) > PAGE_SIZE else None
    if older is None and searched and searched[0] > 1:
        older = searched[0]
    may_verify = nerve_queries.may_verify(request.user)
    table = EVENTS.read(request)
    return page(
        request,
        place,
        "dashboard/events.html",
        status=200 if valid and not table.mistakes else 400,
        table=table,
        filter=wanted,
        events=_rows(rows[:PAGE_SIZE], place),
        older=older,
        searched=searched,
        newest=not wanted.cleaned_data.get("before"),
        parameters=parameters_without(request, "before"),
        may_verify=may_verify,
        script={"chain": nerve_queries.chain_body(told_all=may_verify)},
    )


@in_system
def detail(request: HttpRequest, place: Place, position: int) -> HttpResponse:
    """Show all of one event."""
    event = get_object_or_404(journeys.visible_events(whole_reach(request, place)), pk=position)
    return page(
        request,
        place,
        "dashboard/event.html",
        event=event,
        hash=bytes(event.hash).hex(),
        system=_names(place).get(event.system_id or 0, ""),
        data=journeys.pretty(journeys.data_of(event), limit=4 * MAX_BYTES) or "{}",
        links=_links(event),
    )


@in_system
def journey(request: HttpRequest, place: Place) -> HttpResponse:
    """Show all messages and events of one correlation in the order of time."""
    correlation_id = request.GET.get("id", "").replace("\0", "")
    if not correlation_id:  # it would be of all that belongs to none
        return redirect(f"{reverse('dashboard:events')}{place.query}")
    found = journeys.journey(correlation_id, whole_reach(request, place))
    return page(
        request, place, "dashboard/journey.html", correlation_id=correlation_id, journey=found,
        status=200 if found.steps else 404,
    )  # fmt: skip


@in_system
def chain(request: HttpRequest, place: Place) -> HttpResponse:
    """Answer how the chain is, for the page that follows it."""
    return JsonResponse(nerve_queries.chain_body(told_all=nerve_queries.may_verify(request.user)))


@require_POST
@in_system
def verify(request: HttpRequest, place: Place) -> HttpResponse:
    """Let a worker walk along the whole chain."""
    if not nerve_queries.may_verify(request.user):
        raise PermissionDenied(gettext("Only administrators of the root system may verify the chain."))
    try:
        services.trigger(nerve_queries.VERIFY, {}, by=person(request))
        messages.success(request, gettext("The chain is being verified; its result appears below."))
    except Refused as error:
        messages.error(request, error.detail)
    return redirect(f"{reverse('dashboard:events')}{place.query}")


def _found(request: HttpRequest, place: Place, wanted: EventFilter) -> list[Event]:
    """Return one page of events and one more, which says whether there are older ones."""
    found = queries.search(wanted.wanted(), within=journeys.visible_events(reach_of(request, place, wanted.of)))
    return queries.page(found, limit=PAGE_SIZE + 1)


def _rows(events: Sequence[Event], place: Place) -> list[dict[str, object]]:
    names = _names(place)
    return [
        {
            "event": event,
            "system": names.get(event.system_id or 0, ""),
            "data": journeys.pretty(journeys.data_of(event)),
            "links": _links(event),
        }
        for event in events
    ]


def _links(event: Event) -> list[tuple[str, str]]:
    correlation_id = event.correlation_id or event.message_id
    links = [("Whole journey", journeys.journey_link(correlation_id))] if correlation_id else []
    return [*links, ("Its message", journeys.message_link(event.message_id))] if event.message_id else links


def _names(place: Place) -> dict[int, str]:
    return {system.pk: system.name for system in place.systems}
