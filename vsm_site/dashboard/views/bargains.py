"""The resource bargain: what is shared, what each unit holds and uses, what is asked, offered and answered."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext

from subsystems.kernel.errors import Refused
from subsystems.s1_operations.models import Fleet
from subsystems.s3_control.bargaining import granting, pooling, queries, rounds, services
from subsystems.s3_control.bargaining.models import Bargain, PoolUnit, ResourcePool
from vsm_site.dashboard.bargain_forms import AskForm, BargainFilter, NewPoolForm, PoolForm, UnitForm
from vsm_site.dashboard.bargain_picture import shown
from vsm_site.dashboard.places import Place, in_system, operating, refuse_readers
from vsm_site.dashboard.reach import person, reach_of
from vsm_site.dashboard.views.pages import page, parameters_without

PAGE_SIZE = 25
SHARE_KEY = (
    ("held", "held"), ("used", "used"), ("offered", "offered"), ("guarantee", "guarantee"), ("ceiling", "ceiling"),
)  # fmt: skip
VERBS = (granting.ACCEPT, granting.REFUSE, granting.RELEASE)


@in_system
def index(request: HttpRequest, place: Place) -> HttpResponse:
    """Show the pools and their bargains; a POST shares a resource."""
    if request.method != "POST":
        return _index(request, place)
    refuse_readers(place)
    form = NewPoolForm(_fleets(place), request.POST)
    if form.is_valid():
        given = dict(form.cleaned_data)
        name, fleet = given.pop("name"), given.pop("fleet")
        try:
            row = pooling.save_pool(
                place.system, given, by=person(request).get_username(), name=name, fleet=fleet
            )  # fmt: skip
        except Refused as error:
            form.take(error)
        else:
            return redirect(f"{reverse('dashboard:bargain-pool', args=[row.pk])}{place.query}")
    return _index(request, place, pool_form=form)


@operating
def ask(request: HttpRequest, place: Place) -> HttpResponse:
    """Ask in the name of a unit."""
    form = AskForm(_units(place), request.POST)
    if form.is_valid():
        given = form.cleaned_data
        deadline = timezone.now() + timedelta(minutes=given["minutes"])
        wish = services.Wish(given["amount"], given["priority"], deadline, given["reason"])
        try:
            row = services.request(given["unit"], wish, by=person(request).get_username())
        except Refused as error:
            form.take(error)
        else:
            messages.success(request, " ".join(filter(None, (gettext("Asked."), row.why))))
            return redirect(f"{reverse('dashboard:bargains')}{place.query}")
    return _index(request, place, ask_form=form)


@operating
def answer(request: HttpRequest, place: Place, pk: Any, verb: str) -> HttpResponse:
    """Accept or refuse an offer, give back what is held, withdraw what is asked."""
    row = get_object_or_404(Bargain.objects.select_related("pool", "unit"), pk=pk, system=place.system)
    number = request.POST.get("number", "")
    try:
        services.answer(
            row, verb, by=person(request).get_username(), reason=request.POST.get("reason", "").strip()[:500],
            number=int(number) if number.isascii() and number.isdigit() and len(number) < 10 else None,
        )  # fmt: skip
    except Refused as error:
        messages.error(request, error.detail)
    return redirect(f"{reverse('dashboard:bargains')}{place.query}")


@in_system
def pool(request: HttpRequest, place: Place, pk: int) -> HttpResponse:
    """Show one pool; a POST changes it."""
    row = _pool(place, pk)
    form = PoolForm(request.POST or None, instance=row)
    if request.method == "POST":
        refuse_readers(place)
        if form.is_valid():
            try:
                pooling.save_pool(place.system, form.settings(), by=person(request).get_username(), pool=row)
            except Refused as error:
                form.take(error)
            else:
                return _to_pool(place, pk)
    return _shown(request, place, pk, form=form)


@operating
def unit(request: HttpRequest, place: Place, pk: int) -> HttpResponse:
    """Let a unit share a pool, or change its terms."""
    row, form = _pool(place, pk), UnitForm(request.POST)
    if form.is_valid():
        try:
            pooling.save_unit(row, form.cleaned_data["name"], form.terms(), by=person(request).get_username())
        except Refused as error:
            form.take(error)
        else:
            return _to_pool(place, pk)
    return _shown(request, place, pk, unit_form=form)


@operating
def drop(request: HttpRequest, place: Place, pk: int) -> HttpResponse:
    """Share a resource no more, or let one unit share it no more."""
    row, name, by = _pool(place, pk), request.POST.get("unit", ""), person(request).get_username()
    if not name:
        pooling.drop_pool(row, by=by)
        return redirect(f"{reverse('dashboard:bargains')}{place.query}")
    try:
        pooling.drop_unit(row, name, by=by)
    except Refused as error:
        messages.error(request, error.detail)
    return _to_pool(place, pk)


def _index(
    request: HttpRequest, place: Place, *, ask_form: AskForm | None = None, pool_form: NewPoolForm | None = None
) -> HttpResponse:
    wanted = BargainFilter(request.GET, place)
    valid = wanted.is_valid()
    mine = reach_of(request, place, wanted.of if valid else "").condition()
    rows = wanted.applied(queries.bargains().filter(mine)) if valid else Bargain.objects.none()
    pools = ResourcePool.objects.filter(system=place.system).select_related("fleet", "system")
    units = _units(place)
    return page(
        request, place, "dashboard/bargains.html",
        status=400 if not valid or ask_form or pool_form else 200,
        pools=[shown(each) for each in queries.pools_now(pools)], bargains=Paginator(rows, PAGE_SIZE).get_page(
            request.GET.get("page")
        ),
        filter=wanted, ask_form=ask_form or AskForm(units), pool_form=pool_form or NewPoolForm(_fleets(place)),
        has_units=units.exists(), share_key=SHARE_KEY, parameters=parameters_without(request, "page"),
    )  # fmt: skip


def _shown(
    request: HttpRequest, place: Place, pk: int, *, form: PoolForm | None = None, unit_form: UnitForm | None = None
) -> HttpResponse:
    row = _pool(place, pk)
    wrong = (form is not None and form.errors) or unit_form is not None
    return page(
        request, place, "dashboard/bargain_pool.html", status=400 if wrong else 200,
        shown=shown(queries.pools_now([row])[0]), form=form or PoolForm(instance=row),
        unit_form=unit_form or UnitForm(), records=rounds.records(row), share_key=SHARE_KEY,
    )  # fmt: skip


def _pool(place: Place, pk: int) -> ResourcePool:
    return get_object_or_404(ResourcePool.objects.select_related("fleet", "system"), pk=pk, system=place.system)


def _to_pool(place: Place, pk: int) -> HttpResponse:
    return redirect(f"{reverse('dashboard:bargain-pool', args=[pk])}{place.query}")


def _units(place: Place) -> Any:
    return PoolUnit.objects.filter(system=place.system, pool__enabled=True).select_related("pool").order_by(
        "pool__name", "name"
    )  # fmt: skip


def _fleets(place: Place) -> Any:
    return Fleet.objects.filter(system=place.system, own=False)
