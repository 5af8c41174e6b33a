"""How whoever is logged in is reached: their methods, contact rules and quiet hours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils import timezone
from django.utils.translation import gettext
from django.views.decorators.http import require_POST

from alerts.models import Notification, Target
from alerts.people import reaching
from subsystems.kernel.errors import Refused
from vsm_site.dashboard.notice_forms import kinds
from vsm_site.dashboard.on_call_forms import ContactForm, MethodForm
from vsm_site.dashboard.places import Place, in_system
from vsm_site.dashboard.reach import person
from vsm_site.dashboard.views.pages import page


@in_system
def index(request: HttpRequest, place: Place) -> HttpResponse:
    """Show and change how you are reached."""
    by = person(request)
    form = ContactForm(request.POST or None, initial=ContactForm.shown(reaching.contact_body(by)))
    if request.method == "POST" and form.is_valid():
        try:
            reaching.save_contact(by, **form.rules())
        except Refused as error:
            form.take(error)
        else:
            messages.success(request, gettext("Kept."))
            return redirect(f"/dashboard/me/contact/{place.query}")
    return page(
        request, place, "dashboard/contact.html", tab="contact", form=form, kinds=kinds(),
        methods=Target.objects.filter(owner=by).order_by("pk"), status=400 if form.is_bound else 200,
    )  # fmt: skip


@in_system
def method(request: HttpRequest, place: Place, pk: int | None = None) -> HttpResponse:
    """Add or change one of your methods."""
    by = person(request)
    found = get_object_or_404(Target, pk=pk, owner=by) if pk else None
    kind = found.kind if found else request.GET.get("kind", "ntfy")
    if kind not in dict(kinds()):
        return redirect(f"/dashboard/me/contact/{place.query}")
    form = MethodForm(request.POST or None, kind, found)
    if request.method == "POST" and form.is_valid():
        given: dict[str, Any] = {} if found else {"name": form.cleaned_data["name"]}
        try:
            reaching.save_method(found or Target(owner=by, kind=kind), by, settings=form.settings(), **given)
        except Refused as error:
            form.take(error)
        else:
            messages.success(request, gettext("Saved. Send yourself a test."))
            return redirect(f"/dashboard/me/contact/{place.query}")
    return page(
        request, place, "dashboard/contact_method.html", tab="contact", form=form, method=found,
        kind=dict(kinds())[kind], status=400 if form.is_bound else 200,
    )  # fmt: skip


@require_POST
@in_system
def test(request: HttpRequest, place: Place, pk: int) -> HttpResponse:
    """Send yourself a test now."""
    found = get_object_or_404(Target, pk=pk, owner=person(request))
    sent = reaching.test_method(found, person(request), now=timezone.now())
    if sent.state == Notification.State.SENT:
        messages.success(request, gettext("{name} has taken the test.").format(name=found.name))
    else:
        messages.error(request, f"{found.name}: {sent.last_error}")
    return redirect(f"/dashboard/me/contact/{place.query}")


@require_POST
@in_system
def delete(request: HttpRequest, place: Place, pk: int) -> HttpResponse:
    """Delete one of your methods."""
    found = get_object_or_404(Target, pk=pk, owner=person(request))
    _try(
        request,
        lambda: reaching.delete_method(found, person(request)),
        gettext("{name} is gone.").format(name=found.name),
    )
    return redirect(f"/dashboard/me/contact/{place.query}")


def _try(request: HttpRequest, verb: Callable[[], None], done: str) -> None:
    try:
        verb()
    except Refused as error:
        messages.error(request, error.detail)
    else:
        messages.success(request, done)
