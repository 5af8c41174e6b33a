"""The inbox: what is recommended, deciding it, and the loop as it happened, from what was felt to what came of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext

from subsystems.kernel.errors import Refused
from subsystems.s3_control import recommending, steering
from subsystems.s3_control.acts import ACTS
from subsystems.s3_control.models import Action, ActionPolicy, Hold, Recommendation
from vsm_site.dashboard import journeys, loops
from vsm_site.dashboard.inbox_forms import DEFERRALS, InboxFilter
from vsm_site.dashboard.places import Place, find_place, in_system, operating
from vsm_site.dashboard.reach import person, reach_of, whole_reach
from vsm_site.dashboard.views.pages import page, parameters_without

PAGE_SIZE = 50
OPEN_ACTS = 20


@in_system
def index(request: HttpRequest, place: Place) -> HttpResponse:
    """List what waits for a decision, what is being done, and what is held."""
    wanted = InboxFilter(request.GET, place)
    valid = wanted.is_valid()
    reach = reach_of(request, place, wanted.of if valid else "")
    mine = reach.condition()
    rows = wanted.applied(Recommendation.objects.filter(mine)) if valid else Recommendation.objects.none()
    return page(
        request,
        place,
        "dashboard/inbox.html",
        status=200 if valid else 400,
        filter=wanted,
        recommendations=Paginator(rows.select_related("fleet"), PAGE_SIZE).get_page(request.GET.get("page")),
        holds=Hold.objects.filter(mine, released_at=None),
        actions=Action.objects.filter(mine, state__in=Action.OPEN)[:OPEN_ACTS],
        policies=ActionPolicy.objects.filter(system=place.system),
        deferrals=DEFERRALS,
        parameters=parameters_without(request, "page"),
    )


@in_system
def detail(request: HttpRequest, place: Place, pk: Any) -> HttpResponse:
    """Show one recommendation and the loop as it happened."""
    visible = Recommendation.objects.filter(whole_reach(request, place).condition())
    row = get_object_or_404(visible.select_related("system", "fleet", "action__undone_by"), pk=pk)
    place = find_place(request.user, row.system.slug) or place
    act = ACTS.get(row.act_kind)
    return page(
        request,
        place,
        "dashboard/recommendation.html",
        row=row,
        act=act,
        steps=loops.steps(row, place.query),
        evidence=journeys.pretty(row.evidence),
        parameters=journeys.pretty(row.act_parameters),
        hold=Hold.objects.filter(system=row.system, subject=row.subject, released_at=None).first(),
        undoable=place.may_operate and row.action is not None and steering.can_undo(row.action),
        deferrals=DEFERRALS,
        script={"recommendation": {"id": str(row.pk), "state": row.state}},
    )


@operating
def decide(request: HttpRequest, place: Place, pk: Any, verb: str) -> HttpResponse:
    """Approve, refuse, defer or undo."""
    mine = Recommendation.objects.filter(system=place.system).select_related("fleet", "action__fleet")
    row = get_object_or_404(mine, pk=pk)
    return _answered(request, place, row.pk, lambda: VERBS[verb](row, request))


@operating
def release(request: HttpRequest, place: Place, pk: int) -> HttpResponse:
    """Let a subject be corrected again."""
    hold = get_object_or_404(Hold, pk=pk, system=place.system)
    if not recommending.release(hold, by=person(request)):
        messages.error(request, gettext("It was released before."))
    return redirect(f"{reverse('dashboard:inbox')}{place.query}")


def _answered(request: HttpRequest, place: Place, pk: Any, act: Callable[[], Recommendation]) -> HttpResponse:
    """Do what was asked, and answer as it was asked: a script gets a sentence, a form its page."""
    scripted = "json" in request.headers.get("Accept", "")
    try:
        row = act()
    except recommending.UNABLE as error:
        words = error.detail if isinstance(error, Refused) else f"The broker does not answer: {error}"
        if scripted:
            return JsonResponse({"detail": words}, status=409)
        messages.error(request, words)
        return redirect(f"{reverse('dashboard:recommendation', args=[pk])}{place.query}")
    if scripted:
        return JsonResponse({"id": str(row.pk), "state": row.state, "said": row.get_state_display()})
    return redirect(f"{reverse('dashboard:recommendation', args=[row.pk])}{place.query}")


def _approve(row: Recommendation, request: HttpRequest) -> Recommendation:
    return recommending.approve(row, by=person(request), reason=request.POST.get("reason", ""))


def _refuse(row: Recommendation, request: HttpRequest) -> Recommendation:
    return recommending.refuse(row, by=person(request), reason=request.POST.get("reason", ""))


def _defer(row: Recommendation, request: HttpRequest) -> Recommendation:
    hours = dict(DEFERRALS).get(request.POST.get("hours", ""))
    until = timezone.now() + timedelta(hours=float(request.POST["hours"]) if hours else 0)
    return recommending.defer(row, by=person(request), until=until, reason=request.POST.get("reason", ""))


def _undo(row: Recommendation, request: HttpRequest) -> Recommendation:
    return recommending.undo(row, by=person(request), reason=request.POST.get("reason", ""))


VERBS: Mapping[str, Callable[[Recommendation, HttpRequest], Recommendation]] = {
    "approve": _approve, "refuse": _refuse, "defer": _defer, "undo": _undo,
}  # fmt: skip
