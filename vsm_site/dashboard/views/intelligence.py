"""What S4 sees coming: forecasts as bands, what is unusual, where things go."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import F
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils import timezone
from django.utils.translation import gettext

from subsystems.kernel.errors import Refused
from subsystems.s4_intelligence import queries, scanning
from subsystems.s4_intelligence.models import Finding, Forecast, Source, Threat
from subsystems.s4_intelligence.projecting import capacity_plans
from vsm_site.dashboard.intelligence_forms import FindingFilter, ForecastFilter, SourceForm
from vsm_site.dashboard.places import Place, in_system, operating, refuse_readers
from vsm_site.dashboard.reach import person
from vsm_site.dashboard.views.pages import page, parameters_without

SHOWN_CHARTS, SHOWN_FINDINGS, MOST_MARKS = 8, 25, 100
SHOWN_THREATS, SHOWN_PLANS = 20, 50


@in_system
def index(request: HttpRequest, place: Place) -> HttpResponse:
    """Show the findings that are open, and the forecasts of one span as charts, a page at a time; add a source."""
    form = SourceForm(request.POST if request.method == "POST" else None)
    if request.method == "POST":
        refuse_readers(place)
        if form.is_valid() and _added(request, place, form):
            return redirect(f"/dashboard/intelligence/{place.query}#sources-title")
    return _index(request, place, form)


@operating
def delete_source(request: HttpRequest, place: Place, pk: int) -> HttpResponse:
    """Look at a source no more."""
    source = get_object_or_404(Source, pk=pk, system=place.system)
    scanning.delete_source(source, person(request))
    messages.success(request, gettext("{name} is scanned no more.").format(name=source.name))
    return redirect(f"/dashboard/intelligence/{place.query}#sources-title")


def _added(request: HttpRequest, place: Place, form: SourceForm) -> bool:
    try:
        made = scanning.save_source(
            Source(system=place.system), person(request), now=timezone.now(), **form.cleaned_data
        )
    except Refused as error:
        form.take(error)
        return False
    messages.success(request, gettext("{name} is scanned within ten seconds.").format(name=made.name))
    return True


def _index(request: HttpRequest, place: Place, form: SourceForm) -> HttpResponse:
    wanted, asked = ForecastFilter(request.GET), FindingFilter(request.GET)
    valid = wanted.is_valid() and asked.is_valid()
    span = wanted.cleaned_data.get("span") or Forecast.Span.HOUR
    shown = Paginator(_forecasts(place, wanted, span), SHOWN_CHARTS).get_page(request.GET.get("page"))
    found = Paginator(_findings(place, asked), SHOWN_FINDINGS).get_page(request.GET.get("findings"))
    return page(
        request,
        place,
        "dashboard/intelligence.html",
        status=200 if valid and not form.errors else 400,
        filter=wanted,
        asked=asked,
        accuracy=[queries.accuracy(place.system, each) for each in Forecast.Span.values],
        found=found,
        findings=[_line(row) for row in found],
        shown=shown,
        threats=_threats(place),
        sources=[queries.source_body(row) for row in _sources(place)],
        aware=queries.awareness(place.system, now=timezone.now()),
        form=form,
        plans=capacity_plans(place.system, now=timezone.now())[:SHOWN_PLANS],
        span=span,
        parameters=parameters_without(request, "page"),
        finding_parameters=parameters_without(request, "findings"),
        script={"forecasts": [queries.forecast_body(row) for row in shown], "marks": _marks(list(shown))},
    )


def _marks(shown: list[Forecast]) -> dict[int, list[list[Any]]]:
    """Return for each forecast the moments at which something unusual began, with its name."""
    of = {row.series_id: row.pk for row in shown}
    found = Finding.objects.filter(series_id__in=list(of), kind=Finding.Kind.ANOMALY).order_by("-started_at")
    marks: dict[int, list[list[Any]]] = {}
    for series, at, name in found.values_list("series_id", "started_at", "name")[:MOST_MARKS]:
        marks.setdefault(of[series], []).append([at, name])
    return marks


def _threats(place: Place) -> list[dict[str, Any]]:
    rows = Threat.objects.filter(system=place.system, gone_at=None).select_related("system")
    ranked = rows.order_by("good", F("chance").desc(nulls_last=True), "pk")
    return [queries.threat_body(row) for row in ranked[:SHOWN_THREATS]]


def _sources(place: Place) -> Any:
    return Source.objects.filter(system=place.system).select_related("system").order_by("name")


def _forecasts(place: Place, wanted: ForecastFilter, span: str) -> Any:
    rows = Forecast.objects.filter(system=place.system, span=span).select_related("system", "series")
    search = wanted.cleaned_data.get("search", "")
    if search:
        rows = rows.filter(series__source__icontains=search) | rows.filter(series__metric__icontains=search)
    return rows.order_by("series__metric", "series__source", "pk")


def _findings(place: Place, asked: FindingFilter) -> Any:
    rows = Finding.objects.filter(system=place.system).select_related("system", "series")
    given = asked.cleaned_data
    if given.get("kind"):
        rows = rows.filter(kind=given["kind"])
    return rows if given.get("state") == "all" else rows.filter(ended_at=None)


def _line(row: Finding) -> dict[str, Any]:
    """Return a finding with its sentence."""
    if row.kind == Finding.Kind.TREND:
        way = "rises" if row.score > 0 else "falls"
        said = f"{way} by {abs(row.score):.3g} within {row.name}, to {row.value:.3g}"
    else:
        said = f"{row.name}: {row.value:.3g}, usual is {row.usual:.3g} ({row.score:+.1f} deviations)"
    return {**queries.finding_body(row), "said": said, "row": row}
