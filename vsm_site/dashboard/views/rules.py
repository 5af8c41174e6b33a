"""Alert rules, written and changed by people."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect

from alerts import services
from alerts.models import AlertRule
from subsystems.kernel.errors import Refused
from vsm_site.dashboard import queries
from vsm_site.dashboard.forms import RuleForm
from vsm_site.dashboard.places import Place, in_system, operating, refuse_readers
from vsm_site.dashboard.views.pages import page


@in_system
def index(request: HttpRequest, place: Place) -> HttpResponse:
    """List the rules."""
    rules = AlertRule.objects.filter(system=place.system).select_related("unit")
    return page(request, place, "dashboard/rules.html", rules=rules)


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
    messages.success(request, f"The rule {name} is gone.")
    return redirect(f"/dashboard/alerts/rules/{place.query}")


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
        metrics=queries.known_metrics(place.system),
        status=400 if form.is_bound else 200,
    )


def _saved(request: HttpRequest, place: Place, form: RuleForm, rule: AlertRule | None) -> bool:
    assert isinstance(request.user, User)  # nobody else gets past the login
    try:
        if rule is None:
            rule = services.create_rule(place.system, request.user, **form.cleaned_data)
        else:
            rule = services.update_rule(rule, **form.cleaned_data)
    except Refused as error:
        form.take(error)
        return False
    messages.success(request, f"The rule {rule.name} is saved.")
    return True
