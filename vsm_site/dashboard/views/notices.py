"""Who is told of alerts: the log, silences, maintenance windows, targets and routing."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils import timezone
from django.utils.translation import gettext

from alerts.models import AlertNotice, MaintenanceWindow, Notification, Silence, Target
from alerts.notices import queries, services
from alerts.notices.matchers import Op, read_matchers
from subsystems.kernel.errors import Invalid, Refused
from subsystems.recursion.queries import systems_for
from vsm_site.dashboard.lists import SILENCES
from vsm_site.dashboard.notice_forms import (
    NotificationFilter,
    RoutingForm,
    SilenceForm,
    TargetForm,
    TryForm,
    WindowForm,
    kinds,
    window_initial,
)
from vsm_site.dashboard.places import Place, in_system, operating, refuse_readers
from vsm_site.dashboard.reach import person
from vsm_site.dashboard.views.pages import page, parameters_without

PAGE_SIZE = 50
LATELY = timedelta(days=1)
RECURRENCES = ["FREQ=DAILY", "FREQ=WEEKLY;BYDAY=TU", "FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR", "FREQ=MONTHLY;BYDAY=1SU"]


# --- The log ---


@in_system
def index(request: HttpRequest, place: Place) -> HttpResponse:
    """List what was sent, or what was withheld for one cause."""
    wanted = NotificationFilter(request.GET)
    cause = wanted.cleaned_data["cause"] if wanted.is_valid() else ""
    rows: QuerySet[Any] = _withheld(place, wanted, cause) if cause else _sent(place, wanted)
    return page(
        request, place, "dashboard/notifications.html", tab="log", filter=wanted, cause=cause,
        rows=Paginator(rows, PAGE_SIZE).get_page(request.GET.get("page")),
        parameters=parameters_without(request, "page"),
        counts=queries.withheld_counts([place.system.pk], timezone.now() - LATELY),
        waiting=Notification.objects.filter(system=place.system, state="waiting").count(),
    )  # fmt: skip


@in_system
def detail(request: HttpRequest, place: Place, pk: str) -> HttpResponse:
    """Show one notification: what it says, how often it was tried, and what became of it."""
    found = get_object_or_404(Notification.objects.select_related("stands_in_for"), pk=pk, system=place.system)
    return page(request, place, "dashboard/notification.html", tab="log", notification=found, body=found.body)


def _sent(place: Place, wanted: NotificationFilter) -> QuerySet[Notification]:
    rows = Notification.objects.filter(system=place.system).defer("body")
    if wanted.is_valid():
        if state := wanted.cleaned_data["state"]:
            rows = rows.filter(state=state)
        if text := wanted.cleaned_data["q"]:
            rows = rows.filter(Q(title__icontains=text) | Q(target_name__icontains=text))
    return rows.order_by("-created_at", "-pk")


def _withheld(place: Place, wanted: NotificationFilter, cause: str) -> QuerySet[AlertNotice]:
    rows = AlertNotice.objects.filter(alert__system=place.system, outcome="withheld", cause=cause)
    if text := wanted.cleaned_data["q"]:
        rows = rows.filter(alert__title__icontains=text)
    return rows.select_related("alert").order_by("-at", "-pk")


# --- Silences ---


@in_system
def silences(request: HttpRequest, place: Place) -> HttpResponse:
    """List silences; preview and make another one."""
    if request.method != "POST":
        initial = {"matchers": request.GET.get("matchers", "")}
        return _silences(request, place, SilenceForm(initial=initial))
    refuse_readers(place)
    form = SilenceForm(request.POST)
    if "preview" in request.POST:
        return _silences(request, place, form, preview=_preview(place, form))
    if form.is_valid():
        now = timezone.now()
        given = form.cleaned_data
        try:
            services.create_silence(
                place.system, person(request), given["matchers"], now + form.duration(), given["comment"], now=now
            )
        except Refused as error:
            form.take(error)
        else:
            messages.success(request, gettext("Silenced. People are reminded before it ends."))
            return redirect(f"/dashboard/silences/{place.query}")
    return _silences(request, place, form, status=400)


@operating
def expire(request: HttpRequest, place: Place, pk: int) -> HttpResponse:
    """End a silence now."""
    silence = get_object_or_404(Silence, pk=pk, system=place.system)
    _try(request, lambda: services.expire_silence(silence, person(request), now=timezone.now()), gettext("It is over."))
    return redirect(f"/dashboard/silences/{place.query}")


def _silences(
    request: HttpRequest, place: Place, form: SilenceForm, *, preview: Any = None, status: int = 200
) -> HttpResponse:
    now = timezone.now()
    table = SILENCES.read(request)
    mine = table.ordered(Silence.objects.filter(system=place.system).select_related("system"))
    rows = Paginator(mine, PAGE_SIZE).get_page(request.GET.get("page"))
    shown = [queries.silence_body(each, now) for each in rows]
    return page(
        request, place, "dashboard/silences.html", tab="silences", form=form, preview=preview, rows=rows, shown=shown,
        table=table, parameters=parameters_without(request, "page"), status=400 if table.mistakes else status,
    )  # fmt: skip


def _preview(place: Place, form: SilenceForm) -> Any:
    try:
        return services.preview(place.system, form.data.get("matchers", ""))
    except Refused as error:
        form.is_valid()
        form.take(error)
        return None


# --- Maintenance windows ---


@in_system
def windows(request: HttpRequest, place: Place) -> HttpResponse:
    """List maintenance windows; plan another one."""
    return _window(request, place, None)


@in_system
def window(request: HttpRequest, place: Place, pk: int) -> HttpResponse:
    """Change a maintenance window."""
    return _window(request, place, get_object_or_404(MaintenanceWindow, pk=pk, system=place.system))


@operating
def delete_window(request: HttpRequest, place: Place, pk: int) -> HttpResponse:
    """Delete a maintenance window."""
    found = get_object_or_404(MaintenanceWindow, pk=pk, system=place.system)
    services.delete_window(found, person(request))
    messages.success(request, gettext("{name} is gone.").format(name=found.name))
    return redirect(f"/dashboard/maintenance-windows/{place.query}")


def _window(request: HttpRequest, place: Place, found: MaintenanceWindow | None) -> HttpResponse:
    form = WindowForm(request.POST or None, initial=window_initial(found) if found else None)
    if request.method == "POST":
        refuse_readers(place)
        if form.is_valid() and _window_saved(request, place, form, found):
            return redirect(f"/dashboard/maintenance-windows/{place.query}")
    now = timezone.now()
    mine = MaintenanceWindow.objects.filter(system=place.system).select_related("system")[:200]
    return page(
        request, place, "dashboard/maintenance.html", tab="maintenance", form=form, window=found,
        windows=[queries.window_body(each, now) for each in mine], recurrences=RECURRENCES,
        status=400 if form.is_bound else 200,
    )  # fmt: skip


def _window_saved(request: HttpRequest, place: Place, form: WindowForm, found: MaintenanceWindow | None) -> bool:
    given = dict(form.cleaned_data)
    try:
        given["starts_at"] = given.pop("starts")
        given["duration_seconds"] = given.pop("minutes") * 60
        services.save_window(found or MaintenanceWindow(system=place.system), person(request), **given)
    except Refused as error:
        form.take(error)
        return False
    messages.success(request, gettext("{name} is planned.").format(name=given["name"]))
    return True


# --- Targets and routing ---


@in_system
def targets(request: HttpRequest, place: Place) -> HttpResponse:
    """List the targets; show, change and try the routing."""
    if request.method != "POST":
        return _targets(request, place)
    _refuse_others(request, place)
    form = RoutingForm(request.POST)
    if "default" in request.POST:
        services.drop_routing(place.system, person(request))
        messages.success(request, gettext("The default holds again."))
        return redirect(f"/dashboard/notifications/targets/{place.query}")
    if form.is_valid():
        try:
            document = _read_yaml(form.cleaned_data["document"])
            services.save_routing(place.system, document, person(request), now=timezone.now())
        except Refused as error:
            form.take(error)
        else:
            messages.success(request, gettext("The routing is saved."))
            return redirect(f"/dashboard/notifications/targets/{place.query}")
    return _targets(request, place, form, status=400)


@in_system
def add_target(request: HttpRequest, place: Place) -> HttpResponse:
    """Set a target up."""
    return _target(request, place, request.GET.get("kind", "webhook"), None)


@in_system
def target(request: HttpRequest, place: Place, pk: int) -> HttpResponse:
    """Change a target."""
    found = get_object_or_404(Target.objects.select_related("fallback"), pk=pk, system=place.system)
    return _target(request, place, found.kind, found)


@operating
def test_target(request: HttpRequest, place: Place, pk: int) -> HttpResponse:
    """Send a test to a target now."""
    _refuse_others(request, place)
    found = get_object_or_404(Target, pk=pk, system=place.system)
    sent = services.test_target(found, person(request), now=timezone.now())
    if sent.state == Notification.State.SENT:
        messages.success(request, gettext("{name} has taken the test.").format(name=found.name))
    else:
        messages.error(request, f"{found.name}: {sent.last_error}")
    return redirect(f"/dashboard/notifications/targets/{place.query}")


@operating
def delete_target(request: HttpRequest, place: Place, pk: int) -> HttpResponse:
    """Delete a target."""
    _refuse_others(request, place)
    found = get_object_or_404(Target, pk=pk, system=place.system)
    _try(
        request,
        lambda: services.delete_target(found, person(request)),
        gettext("{name} is gone.").format(name=found.name),
    )
    return redirect(f"/dashboard/notifications/targets/{place.query}")


def _targets(request: HttpRequest, place: Place, form: RoutingForm | None = None, *, status: int = 200) -> HttpResponse:
    import yaml

    routing = services.routing_of(place.system)
    text = yaml.safe_dump(routing["document"], sort_keys=False, allow_unicode=True)
    trying = TryForm(request.GET if "labels" in request.GET else None)
    return page(
        request, place, "dashboard/targets.html", tab="targets", kinds=kinds(), routing=routing, trying=trying,
        targets=Target.objects.filter(system=place.system).select_related("fallback"), tried=_tried(place, trying),
        form=form or RoutingForm(initial={"document": text}), may_administer=_administers(request, place),
        status=status,
    )  # fmt: skip


def _tried(place: Place, form: TryForm) -> list[dict[str, Any]] | None:
    if not form.is_bound or not form.is_valid():
        return None
    try:
        given = read_matchers(form.cleaned_data["labels"], "labels")
    except Refused as error:
        form.add_error("labels", error.detail)
        return None
    labels = {each.name: each.value for each in given if each.op is Op.EQUAL}
    return services.try_routing(place.system, {"system": place.system.slug, **labels})


def _target(request: HttpRequest, place: Place, kind: str, found: Target | None) -> HttpResponse:
    if kind not in dict(kinds()):
        return redirect(f"/dashboard/notifications/targets/{place.query}")
    form = TargetForm(request.POST or None, place.system, kind, found)
    if request.method == "POST":
        _refuse_others(request, place)
        if form.is_valid() and _target_saved(request, place, form, found):
            return redirect(f"/dashboard/notifications/targets/{place.query}")
    return page(
        request, place, "dashboard/target.html", tab="targets", form=form, target=found, kind=dict(kinds())[kind],
        may_administer=_administers(request, place), status=400 if form.is_bound else 200,
    )  # fmt: skip


def _target_saved(request: HttpRequest, place: Place, form: TargetForm, found: Target | None) -> bool:
    target = found or Target(system=place.system, kind=form.kind)
    given: Mapping[str, Any] = {} if found else {"name": form.cleaned_data["name"]}
    fallback = form.cleaned_data["fallback"]
    try:
        services.save_target(target, person(request), settings=form.settings(), fallback=fallback, **given)
    except Refused as error:
        form.take(error)
        return False
    messages.success(request, gettext("{name} is saved. Send it a test.").format(name=target.name))
    return True


def _read_yaml(text: str) -> Any:
    import yaml

    if "&" in text and "*" in text:
        raise Invalid(gettext("Anchors are not read."), field="document")
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise Invalid(gettext("This is no YAML: {error}").format(error=str(error)[:200]), field="") from None


def _administers(request: HttpRequest, place: Place) -> bool:
    return systems_for(person(request), "admin").filter(pk=place.system.pk).exists()


def _refuse_others(request: HttpRequest, place: Place) -> None:
    if not _administers(request, place):
        raise PermissionDenied(
            gettext("Whom {system} tells is for those who administer it.").format(system=place.system)
        )


def _try(request: HttpRequest, verb: Any, done: str) -> None:
    try:
        verb()
    except Refused as error:
        messages.error(request, error.detail)
    else:
        messages.success(request, done)
