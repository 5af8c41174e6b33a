"""Steering by hand: what can be done to a worker, a queue or a fleet, doing it, and the audit trail."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils.translation import gettext

from subsystems.kernel.errors import Refused
from subsystems.s1_operations.adapters.celery_control import FleetUnreachable
from subsystems.s1_operations.models import Fleet, Unit
from subsystems.s1_operations.sealing import CannotOpen
from subsystems.s3_control import steering
from subsystems.s3_control.acts import ACTS, Act, Target
from subsystems.s3_control.models import Action, StandingOrder
from subsystems.s3_control.previews import Situation, situation
from subsystems.s3_control.queries import action_body
from vsm_site.dashboard import journeys, schema_fields
from vsm_site.dashboard.lists import ACTIONS
from vsm_site.dashboard.nerve_forms import ActionFilter
from vsm_site.dashboard.places import Place, find_place, in_system, operating
from vsm_site.dashboard.reach import person, reach_of, whole_reach
from vsm_site.dashboard.views.pages import page, parameters_without

PAGE_SIZE = 50
SHOWN_ITEMS = 100
UNITS = {"celery_worker": Target.WORKER, "celery_queue": Target.QUEUE}
OF_FLEET = (Target.FLEET, Target.TASK, Target.TASKS)
LISTS = {"ids", "nodes"}  # parameters that people write as words with blanks or commas between them


@in_system
def unit(request: HttpRequest, place: Place, pk: int) -> HttpResponse:
    """Show what can be done to a worker or a queue, asked of itself at this moment."""
    found = get_object_or_404(Unit.objects.select_related("fleet", "system"), pk=pk, system__in=place.systems)
    if found.fleet is None or found.kind not in UNITS:
        raise Http404("Only workers and queues of a fleet are steered.")
    name = found.name.removeprefix(f"{found.fleet.name}/")
    return _steer_page(request, found.fleet, (UNITS[found.kind],), name, unit=found)


@in_system
def fleet(request: HttpRequest, place: Place, pk: int) -> HttpResponse:
    """Show what can be done to a fleet and its tasks."""
    found = get_object_or_404(Fleet.objects.select_related("system"), pk=pk, system__in=place.systems)
    return _steer_page(request, found, OF_FLEET, found.name)


@operating
def act(request: HttpRequest, place: Place, pk: int) -> HttpResponse:
    """Do something to a fleet, or only say what it would do."""
    found = get_object_or_404(Fleet.objects.select_related("system"), pk=pk, system=place.system)
    kind = request.POST.get("kind", "")
    try:
        asked = _asked(request, found, kind)
        action = steering.propose(asked, by=person(request))
    except (Refused, schema_fields.Unreadable) as error:
        return _back(request, found, kind, error.detail, error.field)
    except (FleetUnreachable, CannotOpen) as error:
        return _back(request, found, kind, f"The broker of {found.name} does not answer: {error}", "", status=503)
    return redirect(f"{reverse('dashboard:action', args=[action.pk])}{place.query}")


@in_system
def index(request: HttpRequest, place: Place) -> HttpResponse:
    """List what was done by hand, the newest first."""
    wanted = ActionFilter(request.GET, place)
    valid = wanted.is_valid()
    reach = reach_of(request, place, wanted.of if valid else "")
    table = ACTIONS.read(request)
    rows = table.ordered(wanted.applied(Action.objects.filter(reach.condition()))) if valid else Action.objects.none()
    parameters = parameters_without(request, "page")
    return page(
        request,
        place,
        "dashboard/actions.html",
        status=200 if valid and not table.mistakes else 400,
        table=table,
        filter=wanted,
        actions=Paginator(rows, PAGE_SIZE).get_page(request.GET.get("page")),
        orders=_orders(StandingOrder.objects.filter(reach.condition("fleet__system_id"))),
        parameters=parameters,
        export=f"{reverse('api:action-export')}?{urlencode({'system': place.system.slug})}",
    )


@in_system
def detail(request: HttpRequest, place: Place, pk: Any) -> HttpResponse:
    """Show one action: who, why, how far it is, what was before and after."""
    visible = Action.objects.filter(whole_reach(request, place).condition()).select_related("system", "undone_by")
    action = get_object_or_404(visible, pk=pk)
    if action.system is not None:
        place = find_place(request.user, action.system.slug) or place
    return page(
        request,
        place,
        "dashboard/action.html",
        action=action,
        title=_title(action.kind),
        parameters=journeys.pretty(action_body(action)["parameters"]),
        before=journeys.pretty(action.before),
        after=journeys.pretty(action.after),
        items=action.items.all()[:SHOWN_ITEMS],
        orders=_orders(StandingOrder.objects.filter(action=action)),
        undoable=place.may_operate and steering.can_undo(action),
        repeatable=place.may_operate and action.dry_run and action.fleet_id is not None,
        undoes=Action.objects.filter(undone_by=action).first(),
        script={"action": {"id": str(action.pk), "state": action.state}},
    )


@operating
def undo(request: HttpRequest, place: Place, pk: Any) -> HttpResponse:
    """Do what reverses an action."""
    action = get_object_or_404(Action.objects.select_related("fleet"), pk=pk, system=place.system)
    return _follow(request, place, action, lambda: steering.undo(action, by=person(request)))


@operating
def apply(request: HttpRequest, place: Place, pk: Any) -> HttpResponse:
    """Do what was rehearsed, with the same parameters."""
    action = get_object_or_404(Action.objects.select_related("fleet"), pk=pk, system=place.system, dry_run=True)
    if action.fleet is None:
        raise Http404("The fleet is not watched any more.")
    asked = steering.Request(action.fleet, action.kind, action.target, action.parameters, action.reason)
    return _follow(request, place, action, lambda: steering.propose(asked, by=person(request)))


def _follow(request: HttpRequest, place: Place, action: Action, verb: Any) -> HttpResponse:
    try:
        done: Action = verb()
    except Refused as error:
        messages.error(request, error.detail)
        done = action
    except (FleetUnreachable, CannotOpen) as error:
        messages.error(request, gettext("The broker does not answer: {error}").format(error=error))
        done = action
    return redirect(f"{reverse('dashboard:action', args=[done.pk])}{place.query}")


def _back(request: HttpRequest, found: Fleet, kind: str, error: str, field: str, *, status: int = 400) -> HttpResponse:
    """Show the page that an act came from again, with what was typed and what was wrong with it."""
    known = ACTS.get(kind)
    target = request.POST.get("target", "")
    wrong = {"kind": kind, "error": error, "field": field.removeprefix("parameters.").partition(".")[0]}
    if known is not None and known.target in {Target.WORKER, Target.QUEUE}:
        unit = Unit.objects.filter(fleet=found, name=f"{found.name}/{target}").select_related("system").first()
        return _steer_page(request, found, (known.target,), target, unit=unit, wrong=wrong, status=status)
    return _steer_page(request, found, OF_FLEET, found.name, wrong=wrong, status=status)


def _steer_page(
    request: HttpRequest,
    found: Fleet,
    targets: tuple[Target, ...],
    name: str,
    *,
    unit: Unit | None = None,
    wrong: Mapping[str, str] | None = None,
    status: int = 200,
) -> HttpResponse:
    place = find_place(request.user, found.system.slug)
    if place is None:
        raise Http404
    now, trouble = _situation(found, targets[0], name)
    wrong = wrong or {}
    return page(
        request,
        place,
        "dashboard/steer.html",
        status=status,
        fleet=found,
        unit=unit,
        name=name,
        by_itself=targets[0] in {Target.WORKER, Target.QUEUE},
        now=now,
        trouble=trouble,
        forms=[_form(request, each, now, wrong) for each in ACTS.values() if each.target in targets],
        wrong=wrong,
        orders=_orders(StandingOrder.objects.filter(fleet=found)),
        last=Action.objects.filter(fleet=found, **({"target": name} if unit else {}))[:10],
    )


def _situation(found: Fleet, target: Target, name: str) -> tuple[Situation | None, str]:
    if found.own:
        return None, "The platform's own workers are run by the platform, not steered by it."
    try:
        return situation(found, target, name), ""
    except (FleetUnreachable, CannotOpen) as error:
        return None, f"The broker does not answer: {error}"


def _form(request: HttpRequest, each: Act, now: Situation | None, wrong: Mapping[str, str]) -> dict[str, Any]:
    typed = request.POST if wrong.get("kind") == each.kind else {}
    inputs = [
        {
            "field": field,
            "value": typed.get(field.name, field.shown_default),
            "error": wrong.get("error", "") if typed and wrong.get("field") == field.name else "",
        }
        for field in schema_fields.fields(each.parameters.model_json_schema())
    ]
    return {
        "act": each,
        "inputs": inputs,
        "names_task": each.target is Target.TASK,
        "target": typed.get("target", ""),
        "reason": typed.get("reason", ""),
        "cannot": "" if now is None else now.cannot.get(each.kind, ""),
        "open": bool(typed),
    }


def _asked(request: HttpRequest, found: Fleet, kind: str) -> steering.Request:
    known = ACTS.get(kind)
    given: dict[str, Any] = {}
    if known is not None:
        form = {name: _as_json(name, text) for name, text in request.POST.dict().items()}
        given = schema_fields.arguments(schema_fields.fields(known.parameters.model_json_schema()), form)
    return steering.Request(
        found, kind, request.POST.get("target", ""), given, request.POST.get("reason", "")[:500],
        dry_run="dry_run" in request.POST,
    )  # fmt: skip


def _as_json(name: str, text: str) -> str:
    """Return a list of words as JSON; what is JSON already stays."""
    if name not in LISTS or not text.strip() or text.lstrip().startswith("["):
        return text
    return json.dumps(text.replace(",", " ").split())


def _orders(orders: QuerySet[StandingOrder]) -> list[dict[str, Any]]:
    in_force = orders.filter(ended_at=None).select_related("fleet").prefetch_related("confirmations")
    return [{"order": order, "confirmed": sorted(order.holders(), key=_node)} for order in in_force[:100]]


def _node(confirmation: Any) -> str:
    return str(confirmation.node)


def _title(kind: str) -> str:
    return ACTS[kind].title if kind in ACTS else kind
