"""Saved views: the list of them, keeping one, and changing one's own."""

from __future__ import annotations

from collections.abc import Callable

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from subsystems.kernel.errors import Refused
from vsm_site.dashboard import saved_views, walls
from vsm_site.dashboard.forms import RefusableMixin
from vsm_site.dashboard.models import SavedView
from vsm_site.dashboard.places import Place, in_system
from vsm_site.dashboard.reach import person
from vsm_site.dashboard.views.pages import page


class ViewForm(RefusableMixin, forms.Form):
    """A page to keep."""

    of = forms.CharField(
        max_length=2300, label=_("Page"), help_text=_("Its address with all that is chosen there"),
        widget=forms.TextInput(attrs={"spellcheck": "false", "autocomplete": "off"}),
    )  # fmt: skip
    name = forms.CharField(max_length=80, label=_("Name"))
    shared = forms.BooleanField(required=False, label=_("Shared with all who see this system"))


@in_system
def index(request: HttpRequest, place: Place) -> HttpResponse:
    """List the views, and keep another."""
    form = ViewForm(request.POST or None, initial={"of": request.GET.get("of", "").replace("\0", "")})
    if request.method == "POST" and form.is_valid():
        given = form.cleaned_data
        try:
            view = saved_views.save(
                place.system, person(request), name=given["name"], address=given["of"], shared=given["shared"]
            )
        except Refused as error:
            form.take(error)
        else:
            messages.success(request, gettext("{name} is kept. It is found by the search, too.").format(name=view.name))
            return redirect(f"{reverse('dashboard:views')}{place.query}")
    rows = saved_views.visible(person(request), [place.system])
    gone = SavedView.objects.filter(owner=person(request), system=place.system).exclude(deleted_at=None).first()
    status = 400 if form.errors else 200
    with_system = len(place.systems) > 1
    views = [(view, saved_views.address(view, with_system=with_system)) for view in rows]
    return page(request, place, "dashboard/views.html", status=status, views=views, form=form, gone=gone)


@in_system
def wall(request: HttpRequest, place: Place) -> HttpResponse:
    """Begin a round of the chosen views on a wall screen."""
    begins = walls.chosen(request, place)
    if not begins:
        messages.error(request, _nothing_chosen(saved_views.visible(person(request), [place.system]).exists()))
    return redirect(begins or f"{reverse('dashboard:views')}{place.query}")


def _nothing_chosen(kept: bool) -> str:
    """Return what to do for a round: to choose, or first to keep something to choose from."""
    if kept:
        return gettext("Choose at least one view for the wall screen.")
    return gettext("A wall screen shows saved views, and none is kept yet: press the bookmark on any page to keep it.")


@require_POST
@in_system
def change(request: HttpRequest, place: Place, pk: int) -> HttpResponse:
    """Call one's own view something else, or share it or not."""
    given = request.POST
    return _done(
        request, place, pk,
        lambda view: saved_views.change(view, name=given.get("name", ""), shared=given.get("shared") == "on"),
        gettext("{} is changed."),
    )  # fmt: skip


@require_POST
@in_system
def delete(request: HttpRequest, place: Place, pk: int) -> HttpResponse:
    """Delete one's own view; the page then offers to take it back."""
    return _done(request, place, pk, saved_views.delete, gettext("{} is deleted."))


@require_POST
@in_system
def take_back(request: HttpRequest, place: Place, pk: int) -> HttpResponse:
    """Undo a deletion."""
    return _done(request, place, pk, saved_views.take_back, gettext("{} is back."))


def _done(
    request: HttpRequest, place: Place, pk: int, verb: Callable[[SavedView], object], sentence: str
) -> HttpResponse:
    view = get_object_or_404(SavedView, pk=pk, owner=person(request), system=place.system)
    try:
        verb(view)
        messages.success(request, sentence.format(view.name))
    except Refused as error:
        messages.error(request, error.detail)
    return redirect(f"{reverse('dashboard:views')}{place.query}")
