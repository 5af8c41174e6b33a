"""Alerts: what is wrong now, and what was; verbs for one, and for many at once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import Case, QuerySet, Value, When
from django.http import HttpRequest, HttpResponse, JsonResponse, QueryDict
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.utils.translation import gettext
from django.views.decorators.http import require_POST

from alerts import bulk, services
from alerts.models import Alert, Silence
from alerts.queries import PEOPLE, alert_body
from subsystems.kernel.errors import Refused
from vsm_site.dashboard import alert_stories
from vsm_site.dashboard.alert_forms import AlertFilter, QuietForm
from vsm_site.dashboard.lists import ALERTS
from vsm_site.dashboard.places import Place, find_place, in_system, operating
from vsm_site.dashboard.reach import operated, person, reach_of, whole_reach
from vsm_site.dashboard.views.pages import page, parameters_without

PAGE_SIZE = 50
URGENCY = Case(  # what is over comes last, whatever it was
    When(state=Alert.State.RESOLVED, then=Value(9)), When(severity="critical", then=Value(0)),
    When(severity="warning", then=Value(1)), default=Value(2),
)  # fmt: skip


# --- Looking ---


@in_system
def index(request: HttpRequest, place: Place) -> HttpResponse:
    """List alerts, the open ones first; the page follows what happens."""
    wanted = AlertFilter(request.GET, place)
    valid = wanted.is_valid()
    table = ALERTS.read(request)
    rows = table.ordered(_filtered(request, place, wanted)) if valid else Alert.objects.none()
    shown: dict[str, Any] = {
        "place": place, "table": table, "rows": Paginator(rows, PAGE_SIZE).get_page(request.GET.get("page")),
        "parameters": parameters_without(request, "page"),
    }  # fmt: skip
    if request.headers.get("X-Part") == "rows":
        return render(request, "dashboard/_alert_list.html", shown)
    shown.pop("place")
    return page(
        request, place, "dashboard/alerts.html", filter=wanted, quiet=QuietForm(auto_id="quiet-%s"), most=bulk.MOST,
        status=200 if valid and not table.mistakes else 400, **shown,
    )  # fmt: skip


@in_system
def detail(request: HttpRequest, place: Place, pk: int) -> HttpResponse:
    """Show one alert: its picture, its story, why it is as it is, and what else happened then and before."""
    rows = Alert.objects.select_related("system", "rule", "unit", *PEOPLE)
    alert = get_object_or_404(rows, pk=pk, system__in=place.systems)
    place = find_place(request.user, alert.system.slug) or place
    now = timezone.now()
    picture = alert_stories.picture(alert, now=now)
    return page(
        request, place, "dashboard/alert.html", alert=alert, picture=picture,
        steps=alert_stories.steps(alert, whole_reach(request, place)),
        explanations=alert_stories.explanations(alert, now=now), neighbours=alert_stories.neighbours(alert),
        similar=alert_stories.similar(alert), quiet=QuietForm(auto_id="quiet-%s"),
        hands=alert_stories.hands(alert), script={"alert": alert_body(alert), "picture": picture},
    )  # fmt: skip


# --- One ---


@operating
def acknowledge(request: HttpRequest, place: Place, pk: int) -> HttpResponse:
    """Say that someone has seen the alert and is on it."""
    comment = request.POST.get("comment", "")[:500]
    return _one(place, pk, lambda alert: services.acknowledge(alert, person(request), comment=comment))


@operating
def resolve(request: HttpRequest, place: Place, pk: int) -> HttpResponse:
    """Say that the alert is dealt with."""
    return _one(place, pk, lambda alert: services.resolve(alert, person(request)))


def _one(place: Place, pk: int, verb: Callable[[Alert], object]) -> HttpResponse:
    alert = get_object_or_404(Alert, pk=pk, system=place.system)
    try:
        verb(alert)
    except Refused as error:
        return _refusal(error)
    return JsonResponse(alert_body(Alert.objects.select_related("unit", *PEOPLE).get(pk=pk)))


# --- Many ---


@require_POST
@in_system
def acknowledge_many(request: HttpRequest, place: Place) -> HttpResponse:
    """Acknowledge the chosen alerts."""
    return _answer(bulk.acknowledge_all(_chosen(request), person(request)))


@require_POST
@in_system
def take_back_many(request: HttpRequest, place: Place) -> HttpResponse:
    """Take back acknowledgements just given."""
    return _answer(bulk.take_back_all(_chosen(request), person(request)))


@require_POST
@in_system
def resolve_many(request: HttpRequest, place: Place) -> HttpResponse:
    """End the chosen alerts by hand."""
    return _answer(bulk.resolve_all(_chosen(request), person(request)))


@require_POST
@in_system
def silence_many(request: HttpRequest, place: Place) -> HttpResponse:
    """Silence each of the chosen alerts for a while."""
    form = QuietForm(request.POST)
    chosen = _chosen(request)
    if not form.is_valid():
        field, mistakes = next(iter(form.errors.items()))
        return JsonResponse({"code": "invalid", "field": field, "detail": str(mistakes[0])}, status=400)
    now = timezone.now()
    ends_at = now + timedelta(minutes=int(form.cleaned_data["minutes"]))
    return _answer(bulk.silence_all(chosen, person(request), ends_at, form.cleaned_data["comment"], now=now))


@require_POST
@in_system
def end_many(request: HttpRequest, place: Place) -> HttpResponse:
    """End silences just made."""
    _refuse_onlookers(request)
    mine = Silence.objects.filter(operated(request).condition(), pk__in=_ids(request.POST)).select_related("system")
    return _answer(bulk.end_silences(mine, person(request), now=timezone.now()))


def _chosen(request: HttpRequest) -> QuerySet[Alert]:
    """Return the chosen alerts of systems where whoever asks may act."""
    _refuse_onlookers(request)
    alerts = Alert.objects.filter(operated(request).condition(), pk__in=_ids(request.POST))
    return alerts.select_related("system", "unit").order_by("pk")


def _refuse_onlookers(request: HttpRequest) -> None:
    where = operated(request)
    if not where.everything and not where.system_ids:
        raise PermissionDenied(gettext("You may look here, not act."))


def _ids(given: QueryDict) -> list[int]:
    return [int(each) for each in given.getlist("ids") if each.isdecimal() and len(each) < 19][: bulk.MOST]


def _answer(outcome: bulk.Outcome) -> JsonResponse:
    return JsonResponse(outcome.to_wire())


def _filtered(request: HttpRequest, place: Place, wanted: AlertFilter) -> QuerySet[Alert]:
    alerts = Alert.objects.filter(reach_of(request, place, wanted.of).condition())
    shown = alerts.select_related("system", "acknowledged_by", "assigned_to", "rule").defer("annotations")
    return wanted.narrowed(shown).order_by(URGENCY, "-pending_at", "-pk")


def _refusal(error: Refused) -> JsonResponse:
    body: dict[str, Any] = {"code": error.code, "detail": error.detail}
    return JsonResponse(body, status=409)
