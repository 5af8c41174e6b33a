"""Saved views: what is kept, who sees it, and taking back what was deleted."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import parse_qsl, urlencode, urlsplit

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet
from django.urls import Resolver404, resolve
from django.utils import timezone
from django.utils.translation import gettext

from subsystems.kernel.errors import Invalid, Refused
from subsystems.recursion.models import System
from vsm_site.dashboard.models import SavedView
from vsm_site.dashboard.moments import FIRST, LAST, Moment

MOST = 100  # of one person in one system
NOT_KEPT = {"system", "page", "cursor", "before"}  # of an address: where its reader is, and how far down
NOT_KEPT_OF = "wall"  # where it hung
MOMENTS = {"from": FIRST, "to": LAST}
NAMESPACE = "dashboard"


def visible(user: User, systems: list[System]) -> QuerySet[SavedView]:
    """Return the views of *systems* that *user* made or that are shared."""
    rows = SavedView.objects.filter(Q(owner=user) | Q(shared=True), system__in=systems, deleted_at=None)
    return rows.select_related("owner", "system")


def kept(address: str) -> tuple[str, str]:
    """Return path and query of the page that *address* is. Raises Invalid naming `of`."""
    try:
        parts = urlsplit(address)
        match = resolve(parts.path)
    except (Resolver404, ValueError):
        raise Invalid(gettext("There is no such page."), field="of") from None
    if parts.scheme or parts.netloc or match.namespace != NAMESPACE:
        raise Invalid(gettext("Only the pages of the dashboard can be kept."), field="of")
    pairs = [(name, value) for name, value in parse_qsl(parts.query) if not name.startswith(NOT_KEPT_OF)]
    return parts.path, urlencode([(name, _kept(name, value)) for name, value in pairs if name not in NOT_KEPT])


def _kept(name: str, value: str) -> str:
    """Return a value that means the same to whoever follows it: a time of day is somebody's own."""
    if name not in MOMENTS:
        return value
    try:
        at: datetime = Moment(twice=MOMENTS[name]).clean(value)
    except ValidationError:
        return value
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%MZ")


def save(system: System, owner: User, *, name: str, address: str, shared: bool) -> SavedView:
    """Keep a view. Raises Invalid naming the field at fault, Refused when there are too many."""
    path, query = kept(address)
    if SavedView.objects.filter(system=system, owner=owner, deleted_at=None).count() >= MOST:
        raise Refused(gettext("You have {MOST} views in this system: delete one first.").format(MOST=MOST))
    view = SavedView(system=system, owner=owner, name=" ".join(name.split()), path=path, query=query, shared=shared)
    return _stored(view)


def change(view: SavedView, *, name: str, shared: bool) -> SavedView:
    """Call a view something else, and share it or not. Raises Invalid naming the field at fault."""
    view.name, view.shared = " ".join(name.split()), shared
    return _stored(view)


def delete(view: SavedView) -> None:
    """Delete a view, so that it can be taken back until the next one is."""
    with transaction.atomic():
        SavedView.objects.filter(owner_id=view.owner_id).exclude(deleted_at=None).delete()
        SavedView.objects.filter(pk=view.pk).update(deleted_at=timezone.now())


def take_back(view: SavedView) -> SavedView:
    """Undo a deletion. Raises Invalid when another view has its name by now."""
    view.deleted_at = None
    return _stored(view)


def address(view: SavedView, *, with_system: bool) -> str:
    """Return where *view* leads, in its own system."""
    query = urlencode([*([("system", view.system.slug)] if with_system else []), *parse_qsl(view.query)])
    return f"{view.path}?{query}" if query else view.path


def _stored(view: SavedView) -> SavedView:
    try:
        view.clean_fields()
        with transaction.atomic():
            view.save()
    except ValidationError as error:
        field, told = next(iter(error.message_dict.items()))
        raise Invalid(" ".join(told), field="of" if field in {"path", "query"} else field) from None
    except IntegrityError:
        raise Invalid(gettext("You have a view of this name."), field="name") from None
    return view
