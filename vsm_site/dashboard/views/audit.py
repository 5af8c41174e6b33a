"""The configuration audit: how each fleet is really set up, and what to do about it."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils import timezone
from django.utils.translation import gettext

from subsystems.kernel.errors import Refused
from subsystems.s3_control.audit import queries, services
from subsystems.s3_control.audit.models import Finding, FleetAudit
from subsystems.s3_control.audit.rules import RULES, WEIGHTS, Severity
from vsm_site.dashboard.journeys import pretty
from vsm_site.dashboard.places import Place, in_system, operating
from vsm_site.dashboard.reach import person
from vsm_site.dashboard.views.pages import page

WORST_FIRST = {severity.value: number for number, severity in enumerate(Severity)}
SHOWN_FIXED = 50


@in_system
def index(request: HttpRequest, place: Place) -> HttpResponse:
    """Show how each fleet stands, what is open, and what was accepted or fixed."""
    rows = queries.audit_bodies(queries.audits().filter(system=place.system))
    found = [_shown(finding) for finding in queries.findings().filter(system=place.system).exclude(state="fixed")]
    fixed = queries.findings().filter(system=place.system, state="fixed").order_by("-fixed_at")[:SHOWN_FIXED]
    found.sort(key=lambda finding: (WORST_FIRST[finding["severity"]], finding["fleet"], finding["rule"]))
    return page(
        request,
        place,
        "dashboard/audit.html",
        audits=rows,
        open=[finding for finding in found if finding["state"] == "open"],
        accepted=[finding for finding in found if finding["state"] == "accepted"],
        fixed=[_shown(finding) for finding in fixed],
        rule_count=len(RULES),
        weights=[(severity.value, WEIGHTS[severity]) for severity in Severity],
    )


@operating
def now(request: HttpRequest, place: Place, pk: int) -> HttpResponse:
    """Audit a fleet within a minute."""
    row = get_object_or_404(FleetAudit, fleet_id=pk, system=place.system)
    services.request(row, now=timezone.now())
    messages.success(request, gettext("{fleet} is audited within a minute.").format(fleet=row.fleet))
    return _back(place)


@operating
def accept(request: HttpRequest, place: Place, pk: int) -> HttpResponse:
    """Leave a finding as it is, for a reason."""
    finding = get_object_or_404(Finding, pk=pk, system=place.system)
    try:
        services.accept(
            finding, reason=request.POST.get("reason", ""), until=None, by=person(request), now=timezone.now()
        )
    except Refused as error:
        messages.error(request, error.detail)
    return _back(place)


@operating
def reopen(request: HttpRequest, place: Place, pk: int) -> HttpResponse:
    """Take an acceptance back."""
    finding = get_object_or_404(Finding, pk=pk, system=place.system)
    try:
        services.reopen(finding, by=person(request), now=timezone.now())
    except Refused as error:
        messages.error(request, error.detail)
    return _back(place)


def _back(place: Place) -> HttpResponse:
    return redirect(f"/dashboard/audit/{place.query}")


def _shown(finding: Finding) -> dict[str, Any]:
    return {**queries.finding_body(finding), "evidence_text": pretty(finding.evidence)}
