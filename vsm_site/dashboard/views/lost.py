"""Tasks that went down with their workers, and sending them again."""

from __future__ import annotations

from collections import defaultdict

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext

from subsystems.kernel.errors import Refused
from subsystems.s1_operations.models import Fleet
from subsystems.s3_control import handing_over, steering
from vsm_site.dashboard.places import Place, in_system, operating
from vsm_site.dashboard.reach import person
from vsm_site.dashboard.views.pages import page

SHOWN = 500  # of one fleet


@in_system
def index(request: HttpRequest, place: Place) -> HttpResponse:
    """List what lost workers held, and what became of it."""
    fleets = {fleet.pk: fleet for fleet in Fleet.objects.filter(system=place.system)}
    by_fleet: dict[int, list[handing_over.Left]] = defaultdict(list)
    for fleet_id, each in handing_over.orphans(list(fleets), now=timezone.now()):
        by_fleet[fleet_id].append(each)
    shown = [(fleet, by_fleet[pk][:SHOWN]) for pk, fleet in fleets.items() if by_fleet[pk]]
    return page(request, place, "dashboard/task_lost.html", fleets=shown)


@operating
def resend(request: HttpRequest, place: Place, pk: int) -> HttpResponse:
    """Send the marked tasks again, or say which would be."""
    fleet = get_object_or_404(Fleet, pk=pk, system=place.system)
    ids = request.POST.getlist("ids")
    asked = steering.Request(fleet, "task.resend", "", {"ids": ids}, dry_run="dry_run" in request.POST)
    try:
        action = steering.propose(asked, by=person(request))
    except Refused as error:
        messages.error(request, error.detail if ids else gettext("Mark the tasks that are meant."))
        return redirect(f"{reverse('dashboard:task-lost')}{place.query}")
    return redirect(f"{reverse('dashboard:action', args=[action.pk])}{place.query}")
