"""Messages: one with its journey, and those that could not be delivered or read."""

from __future__ import annotations

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext
from django.views.decorators.http import require_POST

from subsystems.kernel.errors import Refused
from subsystems.messaging import services
from subsystems.messaging.models import DeadLetter, Message
from vsm_site.dashboard import journeys
from vsm_site.dashboard.nerve_forms import DeadLetterFilter
from vsm_site.dashboard.places import Place, find_place, in_system
from vsm_site.dashboard.reach import Reach, operated, person, reach_of, whole_reach
from vsm_site.dashboard.views.pages import page, parameters_without

PAGE_SIZE = 50


@in_system
def detail(request: HttpRequest, place: Place, message_id: str) -> HttpResponse:
    """Show one message, and what happened to it."""
    visible = journeys.visible_messages(whole_reach(request, place)).prefetch_related("deliveries", "dead_letters")
    message = get_object_or_404(visible, id=message_id.replace("\0", ""))
    may = operated(request)
    if message.system is not None:
        place = find_place(request.user, message.system.slug) or place
    return page(
        request,
        place,
        "dashboard/message.html",
        message=message,
        steps=journeys.timed(journeys.message_steps(message)),
        payload=journeys.pretty(message.payload),
        metadata=journeys.pretty({**message.metadata, **message.extra}),
        journey_link=journeys.journey_link(message.correlation_id or message.id),
        letters=[_row(letter, message, may) for letter in message.dead_letters.all()],
    )


@in_system
def dead_letters(request: HttpRequest, place: Place) -> HttpResponse:
    """List what could not be delivered or read, and why."""
    wanted = DeadLetterFilter(request.GET, place)
    valid = wanted.is_valid()
    found = _filtered(request, place, wanted) if valid else DeadLetter.objects.none()
    letters = Paginator(found, PAGE_SIZE).get_page(request.GET.get("page"))
    may = operated(request)
    return page(
        request,
        place,
        "dashboard/dead_letters.html",
        status=200 if valid else 400,
        filter=wanted,
        letters=letters,
        rows=[_row(letter, letter.message, may) for letter in letters],
        parameters=parameters_without(request, "page"),
    )


@require_POST
@in_system
def replay(request: HttpRequest, place: Place, pk: int) -> HttpResponse:
    """Send the message of a dead letter again, with three new tries."""
    letter = get_object_or_404(_visible(whole_reach(request, place)), pk=pk)
    if not operated(request).holds(letter.message.system_id if letter.message else None):
        raise PermissionDenied(gettext("You may look at this message, not send it again."))
    try:
        if services.replay(letter, by=person(request).get_username(), now=timezone.now()):
            messages.success(request, gettext("The message is sent again, with three new tries."))
        else:
            messages.warning(request, gettext("Somebody has sent it again before."))
    except Refused as error:
        messages.error(request, error.detail)
    back = request.POST.get("back", "")
    ours = url_has_allowed_host_and_scheme(back, allowed_hosts=None)
    return redirect(back if ours else f"{reverse('dashboard:dead-letters')}{place.query}")


def _filtered(request: HttpRequest, place: Place, wanted: DeadLetterFilter) -> QuerySet[DeadLetter]:
    given = wanted.cleaned_data
    found = _visible(reach_of(request, place, wanted.of))
    if text := given["q"]:
        found = found.filter(Q(detail__icontains=text) | Q(message__type__icontains=text) | Q(message__id=text))
    if reason := given["reason"]:
        found = found.filter(reason=reason)
    if replayed := given["replayed"]:
        found = found.filter(replayed_at__isnull=replayed == "no")
    return found


def _visible(within: Reach) -> QuerySet[DeadLetter]:
    """Return the dead letters of *within*; what came without a message of ours is of no system."""
    rows = DeadLetter.objects.select_related("message__system").prefetch_related("message__deliveries")
    return rows.filter(within.condition("message__system_id")).order_by("-created_at", "-pk")


def _row(letter: DeadLetter, message: Message | None, may: Reach) -> dict[str, object]:
    return {
        "letter": letter,
        "message": message,
        "link": journeys.message_link(message.id) if message else "",
        "attempts": _attempts(message) if message else [],
        "headers": journeys.pretty(letter.headers),
        "body": bytes(letter.body or b"")[:2_000].decode("utf-8", "replace"),
        "may_replay": message is not None and letter.replayed_at is None and may.holds(message.system_id),
    }


def _attempts(message: Message) -> list[dict[str, str]]:
    """Return each failed attempt of each handler, oldest first."""
    found = [
        {"at": str(failed["at"]), "handler": delivery.handler, "error": failed["error"], "worker": failed["worker"]}
        for delivery in message.deliveries.all()
        for failed in delivery.history
    ]
    return sorted(found, key=lambda attempt: attempt["at"])
