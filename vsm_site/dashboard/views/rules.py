"""Alert rules, written and changed by people."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils import timezone
from django.utils.translation import gettext

from alerts import exchange, looking, services
from alerts.models import AlertRule
from alerts.starters import PACKS
from subsystems.kernel.documents import Imported
from subsystems.kernel.errors import Refused
from vsm_site.dashboard import queries
from vsm_site.dashboard.forms import RuleForm
from vsm_site.dashboard.lists import RULES
from vsm_site.dashboard.places import Place, in_system, operating, refuse_readers
from vsm_site.dashboard.views.pages import page

MOST_EXPLAINED = 20


@in_system
def index(request: HttpRequest, place: Place) -> HttpResponse:
    """List the rules."""
    rules = AlertRule.objects.filter(system=place.system).select_related("unit")
    table = RULES.read(request)
    return page(
        request, place, "dashboard/rules.html", status=400 if table.mistakes else 200, table=table,
        rules=table.ordered(rules), packs=PACKS.values(),
    )  # fmt: skip


@in_system
def add(request: HttpRequest, place: Place) -> HttpResponse:
    """Write a new rule."""
    return _form(request, place, None)


@in_system
def edit(request: HttpRequest, place: Place, pk: int) -> HttpResponse:
    """Change a rule."""
    return _form(request, place, get_object_or_404(AlertRule, pk=pk, system=place.system))


@operating
def delete(request: HttpRequest, place: Place, pk: int) -> HttpResponse:
    """Drop a rule; its alerts stay in the history."""
    rule = get_object_or_404(AlertRule, pk=pk, system=place.system)
    name = rule.name
    services.delete_rule(rule)
    messages.success(request, gettext("The rule {name} is gone.").format(name=name))
    return redirect(f"/dashboard/alerts/rules/{place.query}")


@operating
def revert(request: HttpRequest, place: Place, pk: int) -> HttpResponse:
    """Give a rule the fields of an earlier version."""
    rule = get_object_or_404(AlertRule, pk=pk, system=place.system)
    version = request.POST.get("version", "")
    try:
        services.revert_rule(rule, int(version) if version.isdecimal() and len(version) < 9 else 0, _person(request))
    except Refused as error:
        messages.error(request, error.detail)
    else:
        messages.success(
            request,
            gettext("The rule {name} says again what it said in version {version}.").format(
                name=rule.name, version=version
            ),
        )
    return redirect(f"/dashboard/alerts/rules/{pk}/{place.query}")


@operating
def install(request: HttpRequest, place: Place) -> HttpResponse:
    """Add a set of rules to begin with."""
    try:
        found = exchange.install(place.system, _person(request), request.POST.get("name", ""))
    except Refused as error:
        messages.error(request, error.detail)
    else:
        left = f"; {len(found.refused)} were there before" if found.refused else ""
        messages.success(request, gettext("{added} rules are added{left}.").format(added=len(found.added), left=left))
    return redirect(f"/dashboard/alerts/rules/{place.query}")


@operating
def import_file(request: HttpRequest, place: Place) -> HttpResponse:
    """Add the rules of a file, and name those that do not translate; or try what it would do."""
    whole, dry_run = "whole" in request.POST, "try" in request.POST
    try:
        found = exchange.import_rules(
            place.system, _person(request), request.POST.get("text", ""), dry_run=dry_run, whole=whole
        )
    except Refused as error:
        messages.error(request, error.detail)
    else:
        tell_of(request, found, tried=dry_run)
    return redirect(f"/dashboard/alerts/rules/{place.query}")


@in_system
def export_file(request: HttpRequest, place: Place) -> HttpResponse:
    """Hand out the rules as YAML."""
    answer = HttpResponse(exchange.export_rules(place.system), content_type="application/yaml; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="rules-{place.system.slug}.yaml"'
    return answer


def tell_of(request: HttpRequest, found: Imported, *, tried: bool) -> None:
    """Say what became of a file, or would."""
    counts = gettext("{added} added, {changed} changed, {refused} refused").format(
        added=len(found.added), changed=len(found.changed), refused=len(found.refused)
    )
    if tried:
        messages.info(request, gettext("Tried, and nothing kept: {counts}.").format(counts=counts))
    elif found.kept:
        messages.success(request, f"{counts[0].upper()}{counts[1:]}.")
    else:
        messages.error(
            request, gettext("Nothing is kept, because {refused} were refused.").format(refused=len(found.refused))
        )
    for name, fields in list(found.changed.items())[:MOST_EXPLAINED]:
        told = "; ".join(f"{field} {before!r:.60} → {after!r:.60}" for field, (before, after) in fields.items())
        messages.info(request, f"{name}: {told}")
    for each in found.refused[:MOST_EXPLAINED]:
        line = gettext("line {number}, ").format(number=each["line"]) if each.get("line") else ""
        messages.warning(request, f"{line}{each['name']}: {each['reason']}")


def _person(request: HttpRequest) -> User:
    assert isinstance(request.user, User)  # nobody else gets past the login
    return request.user


def _form(request: HttpRequest, place: Place, rule: AlertRule | None) -> HttpResponse:
    form = RuleForm(request.POST or None, system=place.system, rule=rule, initial=dict(request.GET.items()))
    if request.method == "POST":
        refuse_readers(place)
        if form.is_valid() and _saved(request, place, form, rule):
            return redirect(f"/dashboard/alerts/rules/{place.query}")
    return page(
        request,
        place,
        "dashboard/rule.html",
        form=form,
        rule=rule,
        versions=rule.versions.select_related("by")[:20] if rule else [],
        explanations=looking.explanations(rule, now=timezone.now())[:MOST_EXPLAINED] if rule else [],
        metrics=queries.known_metrics(place.system),
        status=400 if form.is_bound else 200,
    )


def _saved(request: HttpRequest, place: Place, form: RuleForm, rule: AlertRule | None) -> bool:
    assert isinstance(request.user, User)  # nobody else gets past the login
    try:
        if rule is None:
            rule = services.create_rule(place.system, request.user, **form.cleaned_data)
        else:
            rule = services.update_rule(rule, request.user, **form.cleaned_data)
    except Refused as error:
        form.take(error)
        return False
    messages.success(request, gettext("The rule {name} is saved.").format(name=rule.name))
    return True
