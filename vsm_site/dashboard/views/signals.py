"""Signals: pain and pleasure that are open now, those on record, and each with its story."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext

from subsystems.algedonic import lifecycle, queries, services
from subsystems.algedonic.models import OPEN_STATES, Signal
from subsystems.kernel.errors import Invalid, Refused
from subsystems.messaging.channels import Party
from subsystems.messaging.limits import RateLimited
from subsystems.messaging.pressure import ChannelFull
from subsystems.messaging.rejections import record_rejection
from vsm_site.dashboard import journeys, nerve_queries
from vsm_site.dashboard.lists import SIGNALS
from vsm_site.dashboard.nerve_forms import OPEN, SignalFilter, SignalForm
from vsm_site.dashboard.places import Place, find_place, in_system, operating, refuse_readers
from vsm_site.dashboard.reach import person, reach_of, whole_reach
from vsm_site.dashboard.views.pages import page, parameters_without

PAGE_SIZE = 50
DOING = {
    "acknowledge": lifecycle.acknowledge,
    "respond": lifecycle.respond,
    "resolve": lifecycle.resolve,
    "false-alarm": lifecycle.call_false_alarm,
}


@in_system
def index(request: HttpRequest, place: Place) -> HttpResponse:
    """Show the open signals live, those on record in pages, and how the lane and the channels do."""
    wanted = SignalFilter(request.GET, place)
    valid = wanted.is_valid()
    table = SIGNALS.read(request, without=() if valid and wanted.of else ("system",))
    found = table.ordered(_filtered(request, place, wanted)) if valid else Signal.objects.none()
    return page(
        request,
        place,
        "dashboard/signals.html",
        status=200 if valid and not table.mistakes else 400,
        table=table,
        filter=wanted,
        signals=Paginator(found, PAGE_SIZE).get_page(request.GET.get("page")),
        parameters=parameters_without(request, "page"),
        script={
            "verbs": nerve_queries.verbs_body(),
            "nerves": nerve_queries.lane_and_channels(now=timezone.now()),
        },
    )


@in_system
def lane(request: HttpRequest, place: Place) -> HttpResponse:
    """Answer how the lane and the channels do, for the page that follows them."""
    return JsonResponse(nerve_queries.lane_and_channels(now=timezone.now()))


@in_system
def detail(request: HttpRequest, place: Place, pk: str) -> HttpResponse:
    """Show one signal: what is known of it, who heard it, what people did, and all messages and events about it."""
    signal = get_object_or_404(nerve_queries.signals_with_relatives(), pk=pk, system__in=place.systems)
    place = find_place(request.user, signal.system.slug) or place
    return page(
        request,
        place,
        "dashboard/signal.html",
        signal=signal,
        open=signal.open,
        data=journeys.pretty(signal.data),
        notes=signal.notes.select_related("by"),
        relatives=_relatives(signal, place),
        journey=journeys.journey(signal.pk, whole_reach(request, place)),
        verbs=[(name, title) for name, (title, _) in nerve_queries.VERBS.items()],
        script={"verbs": nerve_queries.verbs_body(), "signal": {"id": signal.pk, "state": signal.state}},
    )


@in_system
def add(request: HttpRequest, place: Place) -> HttpResponse:
    """Raise a signal."""
    form = SignalForm(request.POST or None, initial={"severity": Signal.Severity.MEDIUM})
    if request.method == "POST":
        refuse_readers(place)
        now = timezone.now()
        signal = _raised(place, form, now) if form.is_valid() else None
        if signal is not None:
            known = gettext("The same pain is open already: it counts once more.") if signal.raised_at < now else ""
            messages.success(request, known or gettext("The signal is raised."))
            return redirect(f"{reverse('dashboard:signal', args=[signal.pk])}{place.query}")
    return page(request, place, "dashboard/signal_add.html", form=form, status=400 if form.is_bound else 200)


@in_system
def preview(request: HttpRequest, place: Place) -> HttpResponse:
    """Answer where a signal would go, without raising it."""
    given = request.GET
    try:
        found = queries.dry_run(
            place.system, type_=given.get("type", ""), severity=given.get("severity") or None,
            intensity=_number(given.get("intensity", "")), origin=Party.OPERATOR,
        )  # fmt: skip
    except Invalid as error:
        return JsonResponse({"field": error.field, "detail": error.detail}, status=400)
    return JsonResponse(found)


@operating
def act(request: HttpRequest, place: Place, pk: str, verb: str) -> HttpResponse:
    """Acknowledge, respond to or end a signal."""
    signal = get_object_or_404(Signal, pk=pk, system=place.system)
    try:
        signal = DOING[verb](signal, person(request), request.POST.get("comment", ""))
    except Refused as error:
        status = 400 if isinstance(error, Invalid) else 409
        return JsonResponse({"code": error.code, "detail": error.detail}, status=status)
    return JsonResponse(queries.signal_body(signal))


def _filtered(request: HttpRequest, place: Place, wanted: SignalFilter) -> QuerySet[Signal]:
    given = wanted.cleaned_data
    found = queries.signals().filter(reach_of(request, place, wanted.of).condition())
    if state := given["state"]:
        found = found.filter(state__in=OPEN_STATES if state == OPEN else [state])
    exact: dict[str, Any] = {name: given[name] for name in ("severity", "type") if given[name]}
    if given["since"]:
        exact["raised_at__gte"] = given["since"]
    if given["until"]:
        exact["raised_at__lte"] = given["until"]
    if text := given["q"]:
        found = found.filter(Q(source__icontains=text) | Q(description__icontains=text))
    return found.filter(**exact)


def _raised(place: Place, form: SignalForm, now: datetime) -> Signal | None:
    """Raise what *form* says; None when it was not, which the form then explains."""
    given: dict[str, Any] = {**form.cleaned_data, "severity": form.cleaned_data["severity"] or None}
    try:
        signal = services.raise_signal(system_id=place.system.pk, origin=Party.OPERATOR, at=now, **given)
    except Refused as error:
        if isinstance(error, RateLimited | ChannelFull):
            record_rejection(error)
        form.take(error)
        return None
    if signal is None:
        form.add_error(
            "intensity", gettext("This is too faint to be felt: nothing was raised. Name a severity to be heard.")
        )
    return signal


def _relatives(signal: Signal, place: Place) -> list[tuple[str, Signal]]:
    """Return the signals of other systems that tell of the same, where their systems may be seen."""
    pairs = [("Passes on", signal.child_signal), ("Passed on as", getattr(signal, "parent_signal", None))]
    return [(words, other) for words, other in pairs if other is not None and other.system in place.systems]


def _number(text: str) -> float | None:
    try:
        return float(text) if text.strip() else None
    except ValueError:
        raise Invalid(gettext("An intensity is a number from 0 to 1."), field="intensity") from None
