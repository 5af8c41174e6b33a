"""Workers and queues of fleets, what is stuck among them, and who should be there."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils import timezone
from django.utils.translation import gettext, ngettext

from subsystems.fleets import topology, worker_queries
from subsystems.fleets.detectors.base import seconds_text
from subsystems.fleets.models import ExpectedWorkers, StuckFinding
from subsystems.kernel.errors import Refused
from subsystems.s1_operations.models import Fleet, Unit
from vsm_site.dashboard.places import Place, in_system, operating, refuse_readers
from vsm_site.dashboard.views.pages import page, parameters_without
from vsm_site.dashboard.worker_forms import HERE, ExpectedForm, MemberFilter, WorkerFilter

PAGE_SIZE = 50
MAX_SHOWN = 100  # open findings
ENDED_SHOWN = 10
ABOUT_QUEUES = (
    StuckFinding.Kind.QUEUE_WITHOUT_CONSUMER,
    StuckFinding.Kind.STARVED_PRIORITY,
    StuckFinding.Kind.LOST_TASKS,
)


@in_system
def workers(request: HttpRequest, place: Place) -> HttpResponse:
    """Show roles and workers, what is stuck, and who should be there; declare more."""
    if request.method != "POST":
        return _workers(request, place)
    refuse_readers(place)
    form = ExpectedForm(place, request.POST)
    if form.is_valid():
        try:
            topology.declare(**form.cleaned_data)
        except Refused as error:
            form.take(error)
        else:
            messages.success(request, gettext("Declared: from now on fewer are found missing."))
            return redirect(f"/dashboard/workers/{place.query}")
    return _workers(request, place, form=form, status=400)


def _workers(
    request: HttpRequest, place: Place, *, form: ExpectedForm | None = None, status: int = 200
) -> HttpResponse:
    wanted = WorkerFilter(request.GET, place)
    valid = wanted.is_valid()
    units = worker_queries.workers().filter(system=place.system)
    found = _filtered(units, wanted.cleaned_data) if valid else units.none()
    rows = Paginator(found.order_by("fleet", "name", "pk"), PAGE_SIZE).get_page(request.GET.get("page"))
    expected = ExpectedWorkers.objects.filter(fleet__system=place.system).select_related("fleet__system")
    return page(
        request,
        place,
        "dashboard/workers.html",
        status=status if valid else 400,
        filter=wanted,
        rows=rows,
        workers=[_worker_row(body) for body in worker_queries.worker_bodies(list(rows), now=timezone.now())],
        roles=worker_queries.role_bodies(units),
        stuck=_stuck(place),
        ended=_ended(place),
        fleets=list(Fleet.objects.filter(system=place.system)),
        expected=[worker_queries.expected_body(row) for row in expected],
        form=form or ExpectedForm(place),
        parameters=parameters_without(request, "page"),
    )


@in_system
def queues(request: HttpRequest, place: Place) -> HttpResponse:
    """Show queues: how deep they are, who reads them, and when they will be empty."""
    wanted = MemberFilter(request.GET, place)
    valid = wanted.is_valid()
    units = worker_queries.queues().filter(system=place.system)
    found = _filtered(units, wanted.cleaned_data) if valid else units.none()
    rows = Paginator(found.order_by("fleet", "name", "pk"), PAGE_SIZE).get_page(request.GET.get("page"))
    return page(
        request,
        place,
        "dashboard/queues.html",
        status=200 if valid else 400,
        filter=wanted,
        rows=rows,
        queues=[_queue_row(body) for body in worker_queries.queue_bodies(list(rows), now=timezone.now())],
        stuck=[row for row in _stuck(place) if row["kind"] in ABOUT_QUEUES],
        parameters=parameters_without(request, "page"),
    )


@operating
def declare_present(request: HttpRequest, place: Place, pk: int) -> HttpResponse:
    """Declare what is here now."""
    fleet = get_object_or_404(Fleet, pk=pk, system=place.system)
    try:
        n = len(topology.declare_present(fleet, now=timezone.now()))
        messages.success(
            request,
            ngettext(
                "Declared what is here now of {name}: {n} row.", "Declared what is here now of {name}: {n} rows.", n
            ).format(name=fleet.name, n=n),
        )
    except Refused as error:
        messages.error(request, error.detail)
    return redirect(f"/dashboard/workers/{place.query}")


@operating
def undeclare(request: HttpRequest, place: Place, pk: int) -> HttpResponse:
    """Forget a declaration."""
    get_object_or_404(ExpectedWorkers, pk=pk, fleet__system=place.system).delete()
    messages.success(request, gettext("Nobody is expected there any more."))
    return redirect(f"/dashboard/workers/{place.query}")


def _filtered(units: QuerySet[Unit], wanted: dict[str, Any]) -> QuerySet[Unit]:
    if wanted.get("q"):
        units = units.filter(name__icontains=wanted["q"])
    if wanted.get("fleet"):
        units = units.filter(fleet__name=wanted["fleet"])
    if wanted.get("role"):
        units = worker_queries.of_role(units, wanted["role"])
    if wanted.get("state") == HERE:
        return units.exclude(state=Unit.State.GONE)
    return units.filter(state=wanted["state"]) if wanted.get("state") else units


def _stuck(place: Place) -> list[dict[str, Any]]:
    found = worker_queries.findings().filter(fleet__system=place.system, ended_at=None)
    return [_finding_row(finding) for finding in found[:MAX_SHOWN]]


def _ended(place: Place) -> list[dict[str, Any]]:
    found = worker_queries.findings().filter(fleet__system=place.system, ended_at__isnull=False)
    return [_finding_row(finding) for finding in found[:ENDED_SHOWN]]


def _finding_row(finding: StuckFinding) -> dict[str, Any]:
    body = worker_queries.finding_body(finding)
    evidence = [(name.replace("_", " "), _said(value)) for name, value in finding.evidence.items()]
    return {**body, "title": finding.get_kind_display(), "facts": evidence, "percent": round(100 * finding.confidence)}


def _said(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key}: {each}" for key, each in value.items()) or "none"
    if isinstance(value, list):
        return ", ".join(str(each) for each in value) or "none"
    return "unknown" if value is None else str(value)


def _worker_row(body: dict[str, Any]) -> dict[str, Any]:
    idle = body["nothing_started_for_seconds"]
    return {
        **body,
        "idle": "" if idle is None else seconds_text(idle),
        "holding": [*({**each, "runs": True} for each in body["active"]), *body["reserved"]],
        "ages": {each["id"]: seconds_text(each["age_seconds"]) for each in body["active"] if each["age_seconds"]},
    }


def _queue_row(body: dict[str, Any]) -> dict[str, Any]:
    drain, age = body["drain_seconds"], body["oldest_age_seconds"]
    if body["ready"] == 0:
        empties = "empty"
    elif drain is not None:
        empties = f"in {seconds_text(drain)}"
    else:
        empties = "not at this rate" if body["draining"] is False else ""
    return {
        **body,
        "empties": empties,
        "oldest": "" if age is None or not body["ready"] else seconds_text(age),
        "levels": ", ".join(f"{level}: {depth:.0f}" for level, depth in body["by_priority"].items()),
    }
