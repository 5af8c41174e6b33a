"""Alerts: what is wrong now, and what was."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.core.paginator import Paginator
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404

from alerts import services
from alerts.models import Alert, Severity
from alerts.queries import PEOPLE, alert_body
from subsystems.kernel.errors import Refused
from vsm_site.dashboard.forms import AlertFilter
from vsm_site.dashboard.places import Place, in_system, operating
from vsm_site.dashboard.views.pages import page

PAGE_SIZE = 50


@in_system
def index(request: HttpRequest, place: Place) -> HttpResponse:
    """Show the open alerts live and the resolved ones in pages."""
    wanted = AlertFilter(request.GET)
    alerts = Paginator(_filtered(place, wanted), PAGE_SIZE).get_page(request.GET.get("page"))
    parameters = request.GET.copy()
    parameters.pop("page", None)
    return page(
        request,
        place,
        "dashboard/alerts.html",
        filter=wanted,
        alerts=alerts,
        parameters=parameters.urlencode(),
        severities=Severity.choices,
    )


@operating
def acknowledge(request: HttpRequest, place: Place, pk: int) -> HttpResponse:
    """Say that someone has seen the alert and is on it."""
    alert = get_object_or_404(Alert, pk=pk, system=place.system)
    try:
        services.acknowledge(alert, _person(request), comment=request.POST.get("comment", "")[:500])
    except Refused as error:
        return _refusal(error)
    return JsonResponse(_fresh(pk))


@operating
def resolve(request: HttpRequest, place: Place, pk: int) -> HttpResponse:
    """Say that the alert is dealt with."""
    alert = get_object_or_404(Alert, pk=pk, system=place.system)
    try:
        services.resolve(alert, _person(request))
    except Refused as error:
        return _refusal(error)
    return JsonResponse(_fresh(pk))


def _filtered(place: Place, wanted: AlertFilter) -> QuerySet[Alert]:
    alerts = Alert.objects.filter(system=place.system).select_related("unit", "rule", *PEOPLE)
    if not wanted.is_valid():
        return alerts
    if severity := wanted.cleaned_data["severity"]:
        alerts = alerts.filter(severity=severity)
    if state := wanted.cleaned_data["state"]:
        alerts = alerts.filter(state=state)
    if text := wanted.cleaned_data["q"]:
        alerts = alerts.filter(Q(title__icontains=text) | Q(subject__icontains=text))
    return alerts


def _fresh(pk: int) -> dict[str, object]:
    return alert_body(Alert.objects.select_related("unit", "rule", *PEOPLE).get(pk=pk))


def _refusal(error: Refused) -> JsonResponse:
    return JsonResponse({"code": error.code, "detail": error.detail}, status=409)


def _person(request: HttpRequest) -> User:
    assert isinstance(request.user, User)  # nobody else passes `operating`
    return request.user
