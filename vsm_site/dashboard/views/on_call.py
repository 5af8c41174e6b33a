"""Who is on call: rotas with their picture, teams, escalation policies and what became of escalations."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils import timezone
from django.utils.translation import gettext

from alerts.models import EscalationPolicy, EscalationRun, Rota, RotaOverride, Team
from alerts.people import duties, planning, queries
from alerts.people.hours import wall
from alerts.people.rotas import shifts
from subsystems.kernel.errors import Refused
from subsystems.recursion.queries import people_in, systems_for
from vsm_site.dashboard import zones
from vsm_site.dashboard.on_call_forms import (
    LAYERS,
    STEPS,
    PolicyForm,
    RotaForm,
    ShiftForm,
    TeamForm,
    read_yaml,
    write_yaml,
)
from vsm_site.dashboard.on_call_picture import WEEK, picture
from vsm_site.dashboard.places import Place, in_system, operating, refuse_readers
from vsm_site.dashboard.reach import person
from vsm_site.dashboard.views.pages import page, parameters_without

PAGE_SIZE = 25


@in_system
def index(request: HttpRequest, place: Place) -> HttpResponse:
    """Show who is on call now, and all that says so."""
    rotas = list(Rota.objects.filter(system=place.system).select_related("system"))
    teams = Team.objects.filter(system=place.system).select_related("system").prefetch_related("members")
    policies = list(EscalationPolicy.objects.filter(system=place.system).select_related("system"))
    running = EscalationRun.objects.filter(system=place.system, state__in=EscalationRun.OPEN)
    return page(
        request, place, "dashboard/on_call.html", tab="on-call", may_administer=_administers(request, place),
        rotas=queries.rota_bodies(rotas, now=timezone.now()), teams=[queries.team_body(each) for each in teams],
        policies=[(each, len(each.steps)) for each in policies], open=running.count(),
    )  # fmt: skip


@in_system
def escalations(request: HttpRequest, place: Place) -> HttpResponse:
    """List escalations, the newest first, with each step, who was told by what, and who was not and why."""
    rows = EscalationRun.objects.filter(system=place.system).select_related("system")
    found = Paginator(rows.prefetch_related(*planning.RUN_PARTS), PAGE_SIZE).get_page(request.GET.get("page"))
    return page(
        request, place, "dashboard/escalations.html", tab="escalations", rows=found,
        shown=[planning.run_body(run) for run in found], parameters=parameters_without(request, "page"),
    )  # fmt: skip


# --- Rotas ---


@in_system
def add_rota(request: HttpRequest, place: Place) -> HttpResponse:
    """Plan a rota."""
    today = timezone.localdate().isoformat()
    layers = LAYERS.format(user=person(request).get_username(), today=today)
    form = RotaForm(request.POST or None, initial={"layers": layers, "time_zone": zones.here()})
    if request.method == "POST" and _saved_rota(request, place, form, Rota(system=place.system)):
        return redirect(f"/dashboard/on-call/{place.query}")
    return _show(request, place, form, gettext("New rota"))


@in_system
def rota(request: HttpRequest, place: Place, pk: int) -> HttpResponse:
    """Show who is on call in the next four weeks; take a shift, or change the plan."""
    row = get_object_or_404(Rota.objects.select_related("system"), pk=pk, system=place.system)
    now = timezone.now()
    plan = queries.plans([row], now, now + 4 * WEEK)[row.pk]
    starts = wall(now, plan.zone).replace(second=0, microsecond=0)
    taking = ShiftForm(
        request.POST if "take" in request.POST else None, people=_hands(place), zone=plan.zone,
        initial={"user": person(request).get_username(), "starts_at": starts, "ends_at": starts + timedelta(hours=8)},
    )  # fmt: skip
    body = queries.rota_bodies([row], now=now)[0]
    shown = {"name": row.name, "time_zone": row.time_zone, "tell_handover": row.tell_handover,
             "layers": write_yaml(body["layers"])}  # fmt: skip
    form = RotaForm(request.POST if "save" in request.POST else None, initial=shown)
    if request.method == "POST" and _posted(request, place, row, taking, form):
        return redirect(f"/dashboard/on-call/rotas/{row.pk}/{place.query}")
    names = queries.names_of([row])
    held = shifts(plan, now, now + 4 * WEEK)
    return page(
        request, place, "dashboard/rota.html", tab="on-call", rota=row, body=body, form=form, taking=taking,
        picture=picture(held, names, now, plan.zone), zone=plan.zone, may_administer=_administers(request, place),
        coming=[(names.get(each.user, ""), wall(each.starts_at, plan.zone), wall(each.ends_at, plan.zone), each.layer)
                for each in held[:20]],
        overrides=row.overrides.filter(ends_at__gt=now).select_related("user"), hands=_hands(place),
        status=400 if taking.is_bound or form.is_bound else 200,
    )  # fmt: skip


@operating
def drop_override(request: HttpRequest, place: Place, pk: int) -> HttpResponse:
    """Let those be on call again who were meant to be."""
    found = get_object_or_404(
        RotaOverride.objects.select_related("rota__system", "user"), pk=pk, rota__system=place.system
    )
    duties.drop_override(found, person(request))
    messages.success(request, gettext("{user} no longer takes that shift.").format(user=found.user))
    return redirect(f"/dashboard/on-call/rotas/{found.rota_id}/{place.query}")


def _posted(request: HttpRequest, place: Place, row: Rota, taking: ShiftForm, form: RotaForm) -> bool:
    if not taking.is_bound:
        return _saved_rota(request, place, form, row)
    refuse_readers(place)
    if not taking.is_valid():
        return False
    by = person(request)
    user = people_in(place.system.pk).filter(username=taking.cleaned_data["user"]).first() or by
    return _try(
        request, taking, lambda: duties.take_shift(row, user, by, *taking.moments(), now=timezone.now()),
        gettext("{user} takes that shift.").format(user=user),
    )  # fmt: skip


def _saved_rota(request: HttpRequest, place: Place, form: RotaForm, row: Rota) -> bool:
    _refuse_others(request, place)
    if not form.is_valid():
        return False
    given = form.cleaned_data

    def save() -> None:
        layers = read_yaml(given["layers"], "layers")
        duties.save_rota(row, person(request), now=timezone.now(), **{**given, "layers": layers})

    return _try(request, form, save, gettext("{name} is planned.").format(name=given["name"]))


# --- Teams and policies ---


@in_system
def team(request: HttpRequest, place: Place, pk: int | None = None) -> HttpResponse:
    """Add or change a team."""
    row = get_object_or_404(Team, pk=pk, system=place.system) if pk else Team(system=place.system)
    members = ", ".join(queries.team_body(row)["members"]) if pk else ""
    form = TeamForm(request.POST or None, initial={"name": row.name, "members": members})
    if request.method == "POST":
        _refuse_others(request, place)
        if form.is_valid():
            name = form.cleaned_data["name"]
            save = lambda: duties.save_team(row, person(request), name=name, members=form.people())  # noqa: E731
            if _try(request, form, save, gettext("{name} is saved.").format(name=name)):
                return redirect(f"/dashboard/on-call/{place.query}")
    return _show(
        request, place, form, (members and row.name) or gettext("New team"), row if pk else None, "on-call-team-delete"
    )


@in_system
def policy(request: HttpRequest, place: Place, pk: int | None = None) -> HttpResponse:
    """Add or change an escalation policy."""
    found = EscalationPolicy.objects.select_related("system")
    row = get_object_or_404(found, pk=pk, system=place.system) if pk else EscalationPolicy(system=place.system)
    steps = write_yaml(planning.policy_body(row)["steps"]) if pk else STEPS.format(user=person(request).get_username())
    form = PolicyForm(request.POST or None, named=bool(pk), initial={"steps": steps, "enabled": row.enabled})
    if request.method == "POST":
        _refuse_others(request, place)
        if form.is_valid():
            given = form.cleaned_data

            def save() -> None:
                read = read_yaml(given["steps"], "steps")
                planning.save_policy(row, person(request), **{**given, "steps": read})

            if _try(request, form, save, gettext("{name} is saved.").format(name=given.get("name", row.name))):
                return redirect(f"/dashboard/on-call/{place.query}")
    title = row.name if pk else gettext("New escalation policy")
    return _show(request, place, form, title, row if pk else None, "on-call-policy-delete")


@operating
def delete(request: HttpRequest, place: Place, pk: int, model: Any, verb: Callable[[Any, Any], None]) -> HttpResponse:
    """Delete a team, a rota or a policy that nothing names."""
    _refuse_others(request, place)
    row = get_object_or_404(model.objects.select_related("system"), pk=pk, system=place.system)
    try:
        verb(row, person(request))
    except Refused as error:
        messages.error(request, error.detail)
    else:
        messages.success(request, gettext("{name} is gone.").format(name=row.name))
    return redirect(f"/dashboard/on-call/{place.query}")


DELETED = (
    ("teams", "team", {"model": Team, "verb": duties.delete_team}),
    ("rotas", "rota", {"model": Rota, "verb": duties.delete_rota}),
    ("policies", "policy", {"model": EscalationPolicy, "verb": planning.delete_policy}),
)


# --- What they share ---


def _show(
    request: HttpRequest, place: Place, form: Any, title: str, row: Any = None, delete_url: str = ""
) -> HttpResponse:
    return page(
        request, place, "dashboard/on_call_form.html", tab="on-call", form=form, title=title, row=row,
        delete_url=delete_url, hands=_hands(place), may_administer=_administers(request, place),
        status=400 if form.is_bound else 200,
    )  # fmt: skip


def _try(request: HttpRequest, form: Any, verb: Callable[[], Any], done: str) -> bool:
    try:
        verb()
    except Refused as error:
        form.take(error)
        return False
    messages.success(request, done)
    return True


def _hands(place: Place) -> list[str]:
    """Return the names of those who may operate here."""
    return list(people_in(place.system.pk).order_by("username").values_list("username", flat=True)[:200])


def _administers(request: HttpRequest, place: Place) -> bool:
    return systems_for(person(request), "admin").filter(pk=place.system.pk).exists()


def _refuse_others(request: HttpRequest, place: Place) -> None:
    if not _administers(request, place):
        raise PermissionDenied(
            gettext("Whom {system} tells is for those who administer it.").format(system=place.system)
        )
