"""What S5 has said and decided: policies with their versions, goals, values, decisions."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils import timezone
from django.utils.translation import gettext
from django.views.decorators.http import require_POST

from subsystems.kernel.errors import Refused
from subsystems.recursion.queries import systems_for
from subsystems.s3_control.acts import ACTS
from subsystems.s5_policy import amending, deciding, exchange, queries
from subsystems.s5_policy.models import Decision, Policy
from subsystems.s5_policy.terms import TERMS, Kind, Terms
from vsm_site.dashboard.places import Place, find_place, in_system, operating, refuse_readers
from vsm_site.dashboard.policy_forms import AskForm, DecideForm, GoalValueForm, PolicyForm, ReviewForm
from vsm_site.dashboard.reach import person
from vsm_site.dashboard.views.pages import page, parameters_without
from vsm_site.dashboard.views.rules import tell_of

PAGE_SIZE = 50


def governs(request: HttpRequest, place: Place) -> bool:
    """Return whether whoever asks may change policy here."""
    return systems_for(request.user, "admin").filter(pk=place.system.pk).exists()


def refuse_others(request: HttpRequest, place: Place) -> None:
    """Raise PermissionDenied unless whoever asks may change policy here."""
    if not governs(request, place):
        raise PermissionDenied(
            gettext("You may look at the policy of {system}, not change it.").format(system=place.system)
        )


@in_system
def index(request: HttpRequest, place: Place) -> HttpResponse:
    """Show what is in force, and who changed what lately."""
    now = timezone.now()
    known = {row.kind: row for row in queries.policies().filter(system=place.system, name="")}
    shown = [_shown(terms, known.get(terms.kind), now) for terms in TERMS.values() if not terms.many]
    said = queries.said_of(place.system, Kind.ACTING, now=now)
    usual = TERMS[Kind.ACTING].defaults
    acts = [(name, {**usual, **said.get(name, {})}, name in said) for name in ACTS]
    return page(
        request, place, "dashboard/policy.html", tab="policy", policies=shown, acts=acts,
        changes=queries.versions_of(place.system)[:20], governs=governs(request, place),
    )  # fmt: skip


@in_system
def export_file(request: HttpRequest, place: Place) -> HttpResponse:
    """Hand out what S5 has said as YAML."""
    answer = HttpResponse(exchange.export_policies(place.system), content_type="application/yaml; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="policy-{place.system.slug}.yaml"'
    return answer


@require_POST
@in_system
def import_file(request: HttpRequest, place: Place) -> HttpResponse:
    """Let policy say what a file says, all of it or nothing; or try what it would change."""
    refuse_others(request, place)
    dry_run = "try" in request.POST
    text, reason = request.POST.get("text", ""), request.POST.get("reason", "")
    try:
        found = exchange.import_policies(place.system, person(request), text, reason=reason, dry_run=dry_run)
    except Refused as error:
        messages.error(request, error.detail)
    else:
        tell_of(request, found, tried=dry_run)
    return redirect(f"/dashboard/policy/{place.query}")


@in_system
def one(request: HttpRequest, place: Place, kind: str) -> HttpResponse:
    """Show and change the policy of a kind of which a system has one."""
    terms = _terms(kind, many=False)
    return _edit(request, place, terms, queries.policies().filter(system=place.system, kind=kind, name="").first())


@in_system
def act(request: HttpRequest, place: Place, name: str) -> HttpResponse:
    """Show and change who decides about acts of one kind."""
    if name not in ACTS:
        raise Http404("There is no such kind of act.")
    found = queries.policies().filter(system=place.system, kind=Kind.ACTING, name=name).first()
    return _edit(request, place, TERMS[Kind.ACTING], found, name)


@in_system
def named(request: HttpRequest, place: Place, pk: int) -> HttpResponse:
    """Show and change a goal or a value."""
    policy = get_object_or_404(queries.policies(), pk=pk, system__in=place.systems)
    place = find_place(request.user, policy.system.slug) or place
    if policy.kind not in TERMS:
        raise Http404("There are no such policies any more.")
    if not policy.name:
        return redirect(f"/dashboard/policy/{policy.kind}/{place.query}")
    return _edit(request, place, TERMS[Kind(policy.kind)], policy, policy.name)


@in_system
def add(request: HttpRequest, place: Place, kind: str) -> HttpResponse:
    """Make a goal or a value."""
    refuse_others(request, place)
    if kind == Kind.ACTING:
        raise Http404("The kinds of acts are given.")
    return _edit(request, place, _terms(kind, many=True), None)


@in_system
def revert(request: HttpRequest, place: Place, pk: int) -> HttpResponse:
    """Let a policy say again what it said in a version."""
    if request.method != "POST":
        raise Http404("This is no page.")
    refuse_others(request, place)
    policy = get_object_or_404(queries.policies(), pk=pk, system=place.system)
    version = request.POST.get("version", "")
    number = int(version) if version.isdecimal() and len(version) < 9 else 0
    try:
        amending.revert(policy, number, by=person(request), reason="")
    except Refused as error:
        messages.error(request, error.detail)
    else:
        messages.success(request, gettext("It says again what it said in version {number}.").format(number=number))
    return redirect(f"{_address(policy.kind, policy)}{place.query}")


@in_system
def goals(request: HttpRequest, place: Place) -> HttpResponse:
    """Show how far the system has come, and where each goal stands."""
    body = queries.goals_body(place.system, now=timezone.now())
    return page(
        request, place, "dashboard/goals.html", tab="goals", body=body, governs=governs(request, place),
        form=GoalValueForm(),
    )  # fmt: skip


@operating
def goal_value(request: HttpRequest, place: Place, pk: int) -> HttpResponse:
    """Record where a goal stands."""
    goal = get_object_or_404(Policy, pk=pk, kind=Kind.GOAL, system=place.system)
    form = GoalValueForm(request.POST)
    try:
        if form.is_valid():
            amending.enter_value(goal, by=person(request), **form.cleaned_data)
            messages.success(request, gettext("The value is recorded."))
        else:
            messages.error(request, gettext("Value: a finite number."))
    except Refused as error:
        messages.error(request, error.detail)
    return redirect(f"/dashboard/policy/goals/{place.query}")


@in_system
def identity(request: HttpRequest, place: Place) -> HttpResponse:
    """Show what the system stands for, and how much of what it decides serves that."""
    body = queries.identity_body(place.system, now=timezone.now())
    return page(request, place, "dashboard/identity.html", tab="identity", body=body, governs=governs(request, place))


@in_system
def decisions(request: HttpRequest, place: Place) -> HttpResponse:
    """List what was and is to be decided; put something down."""
    form = AskForm(place.system, request.POST or None)
    if request.method == "POST":
        refuse_readers(place)
        made = _asked(request, place, form) if form.is_valid() else None
        if made is not None:
            messages.success(request, gettext("{title} is put down.").format(title=made.title))
            return redirect(f"/dashboard/decisions/{made.pk}/{place.query}")
    alerts = request.GET.get("of") == "alerts"
    found = Decision.objects.filter(system=place.system).select_related("approver")
    found = found.filter(title="") if alerts else found.exclude(title="")
    now = timezone.now()
    return page(
        request, place, "dashboard/decisions.html", tab="decisions", form=form, of_alerts=alerts, now=now,
        rows=Paginator(found, PAGE_SIZE).get_page(request.GET.get("page")),
        parameters=parameters_without(request, "page"), counts=queries.decision_counts(place.system, now=now),
        status=400 if form.is_bound else 200,
    )  # fmt: skip


@in_system
def decision(request: HttpRequest, place: Place, pk: int) -> HttpResponse:
    """Show one decision; make it, or say what came of it."""
    found = Decision.objects.select_related("system", "asked_by", "approver")
    row = get_object_or_404(found, pk=pk, system__in=place.systems)
    place = find_place(request.user, row.system.slug) or place
    decided = row.answered_at is not None
    form: Any = ReviewForm(row, request.POST or None) if decided else DecideForm(row, request.POST or None)
    if request.method == "POST":
        refuse_readers(place)
        if form.is_valid() and _decided(request, row, form, reviewed=decided):
            return redirect(f"/dashboard/decisions/{pk}/{place.query}")
    mine = row.approver_id in (None, request.user.pk)
    return page(
        request, place, "dashboard/decision.html", tab="decisions", decision=row, form=form,
        may_answer=place.may_operate and (decided or (mine and bool(row.title))), now=timezone.now(),
        status=400 if form.is_bound else 200,
    )  # fmt: skip


def _terms(kind: str, *, many: bool) -> Terms:
    if kind not in TERMS or TERMS[Kind(kind)].many is not many:
        raise Http404("There are no such policies.")
    return TERMS[Kind(kind)]


def _shown(terms: Terms, policy: Policy | None, now: Any) -> dict[str, Any]:
    body = queries.policy_body(policy, now=now) if policy else None
    said = body["fields"] if body else terms.defaults
    fields = [(term.label, said[term.name], said[term.name] != term.default) for term in terms.terms]
    return {"terms": terms, "body": body, "fields": fields}


def _edit(request: HttpRequest, place: Place, terms: Terms, policy: Policy | None, name: str = "") -> HttpResponse:
    body = queries.policy_body(policy, now=timezone.now()) if policy else None
    newest = {**body, **_newest(policy)} if policy and body else None
    form = PolicyForm(terms, place.system, newest, request.POST or None)
    if request.method == "POST":
        refuse_others(request, place)
        made = _amended(request, place, form, name) if form.is_valid() else None
        if made is not None:
            messages.success(request, gettext("{title}: saved.").format(title=terms.title))
            return redirect(f"{_address(terms.kind, made)}{place.query}")
    return page(
        request, place, "dashboard/policy_edit.html", tab=_tab(terms), terms=terms, policy=policy, name=name, body=body,
        form=form,
        versions=policy.versions.all() if policy else [], governs=governs(request, place), now=timezone.now(),
        status=400 if form.is_bound else 200,
    )  # fmt: skip


def _newest(policy: Policy) -> dict[str, Any]:
    """Return what the newest version says: whoever changes a policy goes on from there."""
    last = policy.versions.all()[0] if policy.versions.all() else None
    if last is None:
        return {}
    return {
        "fields": {**TERMS[Kind(policy.kind)].defaults, **last.fields},
        "values": last.values,
        "judgement": last.judgement,
    }


def _amended(request: HttpRequest, place: Place, form: PolicyForm, name: str) -> Policy | None:
    kind, by = form.terms.kind, person(request)
    about = form.about()
    try:
        if form.terms.many and not name:
            return amending.add(place.system, kind, form.given(), by=by, **{**about, "expected": None})
        return amending.amend(place.system, kind, form.given(), by=by, name=name, **about).policy
    except Refused as error:
        form.take(error)
        return None


def _asked(request: HttpRequest, place: Place, form: AskForm) -> Decision | None:
    given: dict[str, Any] = dict(form.cleaned_data)
    try:
        given["approver"] = queries.approver(place.system, given["approver"])
        return deciding.put_down(place.system, by=person(request), **given)
    except Refused as error:
        form.take(error)
        return None


def _decided(request: HttpRequest, row: Decision, form: Any, *, reviewed: bool) -> bool:
    verb: Any = deciding.review if reviewed else deciding.decide
    try:
        verb(row, by=person(request), **form.given())
    except Refused as error:
        form.take(error)
        return False
    messages.success(request, gettext("The outcome is recorded.") if reviewed else gettext("It is decided."))
    return True


def _tab(terms: Terms) -> str:
    return {Kind.GOAL: "goals", Kind.VALUE: "identity"}.get(terms.kind, "policy")


def _address(kind: str, policy: Policy) -> str:
    return f"/dashboard/policy/{policy.pk}/" if policy.name else f"/dashboard/policy/{kind}/"
