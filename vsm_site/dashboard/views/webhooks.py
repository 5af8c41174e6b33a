"""Webhooks to which acts are handed: which there are, writing one, and calling it."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils.translation import gettext

from subsystems.kernel.errors import Refused
from subsystems.recursion.queries import systems_for
from subsystems.s1_operations.models import Fleet
from subsystems.s1_operations.sealing import CannotOpen
from subsystems.s3_control import steering
from subsystems.s3_control.hooks import services
from subsystems.s3_control.hooks.models import Webhook
from subsystems.s3_control.models import Action
from vsm_site.dashboard.places import Place, in_system, operating
from vsm_site.dashboard.reach import person
from vsm_site.dashboard.views.pages import page, parameters_without
from vsm_site.dashboard.webhook_forms import CallForm, NewWebhookForm, WebhookForm

PAGE_SIZE = 50
KINDS = ("webhook.call", "webhook.undo")


@in_system
def index(request: HttpRequest, place: Place) -> HttpResponse:
    """List webhooks; a POST of an administrator adds one."""
    fleets = Fleet.objects.filter(system=place.system, own=False)
    form = NewWebhookForm(fleets, request.POST or None)
    if request.method == "POST":
        _refuse_others(request, place)
        if form.is_valid():
            given = dict(form.cleaned_data)
            try:
                row = services.save(given.pop("fleet"), given, by=person(request).get_username())
            except Refused as error:
                form.take(error)
            else:
                return redirect(_path(row, place))
    found = Webhook.objects.filter(system=place.system).select_related("fleet")
    rows = Paginator(found, PAGE_SIZE).get_page(request.GET.get("page"))
    return page(
        request, place, "dashboard/webhooks.html", status=400 if form.errors else 200, form=form,
        webhooks=[services.webhook_body(row) for row in rows], rows=rows,
        parameters=parameters_without(request, "page"), administers=_administers(request, place),
        has_fleets=fleets.exists(),
    )  # fmt: skip


@in_system
def detail(request: HttpRequest, place: Place, pk: int) -> HttpResponse:
    """Show one webhook and what it was told; a POST of an administrator changes it."""
    row = _row(place, pk)
    form = WebhookForm(request.POST or None, webhook=row)
    if request.method == "POST":
        _refuse_others(request, place)
        if form.is_valid():
            try:
                services.save(row.fleet, form.cleaned_data, by=person(request).get_username(), webhook=row)
            except Refused as error:
                form.take(error)
            else:
                return redirect(_path(row, place))
    return _page(request, place, _row(place, pk), form=form)


@operating
def call(request: HttpRequest, place: Place, pk: int) -> HttpResponse:
    """Call it, or only show what it would be told."""
    row = _row(place, pk)
    form = CallForm(request.POST)
    if form.is_valid():
        asked = steering.Request(
            row.fleet, "webhook.call", row.name, {"payload": form.cleaned_data["payload"]},
            form.cleaned_data["reason"], dry_run="dry_run" in request.POST,
        )  # fmt: skip
        try:
            action = steering.propose(asked, by=person(request))
        except Refused as error:
            form.add_error(None, error.detail)
        except CannotOpen as error:
            form.add_error(None, str(error))
        else:
            return redirect(f"{reverse('dashboard:action', args=[action.pk])}{place.query}")
    return _page(request, place, row, calling=form)


@operating
def drop(request: HttpRequest, place: Place, pk: int) -> HttpResponse:
    """Delete a webhook."""
    _refuse_others(request, place)
    services.drop(_row(place, pk), by=person(request).get_username())
    return redirect(f"{reverse('dashboard:webhooks')}{place.query}")


def _page(
    request: HttpRequest, place: Place, row: Webhook, *, form: WebhookForm | None = None,
    calling: CallForm | None = None,
) -> HttpResponse:  # fmt: skip
    form, calling = form or WebhookForm(webhook=row), calling or CallForm()
    return page(
        request, place, "dashboard/webhook.html", status=400 if form.errors or calling.errors else 200,
        webhook=services.webhook_body(row), form=form, calling=calling, administers=_administers(request, place),
        last=Action.objects.filter(fleet=row.fleet, target=row.name, kind__in=KINDS)[:10],
    )  # fmt: skip


def _row(place: Place, pk: int) -> Webhook:
    return get_object_or_404(Webhook.objects.select_related("fleet__system"), pk=pk, system=place.system)


def _path(row: Webhook, place: Place) -> Any:
    return f"{reverse('dashboard:webhook', args=[row.pk])}{place.query}"


def _administers(request: HttpRequest, place: Place) -> bool:
    return systems_for(request.user, "admin").filter(pk=place.system.pk).exists()


def _refuse_others(request: HttpRequest, place: Place) -> None:
    if not _administers(request, place):
        raise PermissionDenied(
            gettext("Webhooks are written by administrators of {system}.").format(system=place.system)
        )
