"""Tasks that people may trigger, and their runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext

from subsystems.kernel import triggerable
from subsystems.kernel.errors import NotListed, Refused
from subsystems.s3_control import services
from subsystems.s3_control.queries import run_body, runs_for, triggerable_by
from vsm_site.dashboard import schema_fields
from vsm_site.dashboard.places import Place, in_system, operating
from vsm_site.dashboard.views.pages import page

SHOWN_RUNS = 20


@in_system
def index(request: HttpRequest, place: Place) -> HttpResponse:
    """List what may be triggered, each with a form for its arguments, and the last runs."""
    return _shown(request, place)


@in_system
def runs(request: HttpRequest, place: Place) -> HttpResponse:
    """Answer the last runs, for the page that follows them."""
    return JsonResponse({"results": _last_runs(request)})


@operating
def trigger(request: HttpRequest, place: Place, name: str) -> HttpResponse:
    """Trigger one task."""
    assert isinstance(request.user, User)  # nobody else passes `operating`
    try:
        entry = triggerable.find(name)
        if not triggerable_by(request.user)(entry):
            raise PermissionDenied(
                gettext("{name} acts on every system: it takes {scope!r} in the root system.").format(
                    name=name, scope=entry.scope
                )
            )
        arguments = schema_fields.arguments(schema_fields.fields(entry.schema()), request.POST.dict())
        services.trigger(name, arguments, by=request.user)
    except NotListed as error:
        return _shown(request, place, failed=name, error=error.detail, status=404)
    except (Refused, schema_fields.Unreadable) as error:
        return _shown(request, place, failed=name, field=error.field, error=error.detail, status=400)
    return redirect(f"{reverse('dashboard:task-offers')}{place.query}")


def _shown(
    request: HttpRequest, place: Place, *, failed: str = "", field: str = "", error: str = "", status: int = 200
) -> HttpResponse:
    may_trigger = triggerable_by(request.user)
    entries = [
        (entry, may_trigger(entry), _inputs(entry, request.POST if entry.name == failed else {}, {field: error}))
        for entry in triggerable.listed()
    ]
    return page(
        request,
        place,
        "dashboard/tasks.html",
        status=status,
        entries=entries,
        failed=failed,
        field=field,
        error=error,
        script={"runs": _last_runs(request)},
    )


def _inputs(
    entry: triggerable.Triggerable, typed: Mapping[str, Any], errors: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Return the inputs of one task's form, with what was typed into them and what was wrong with it."""
    return [
        {
            "field": field,
            "value": typed.get(field.name, field.shown_default),
            "error": errors.get(field.name, "") if typed else "",
        }
        for field in schema_fields.fields(entry.schema())
    ]


def _last_runs(request: HttpRequest) -> list[dict[str, Any]]:
    return [run_body(run) for run in runs_for(request.user)[:SHOWN_RUNS]]
