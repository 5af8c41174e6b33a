"""What people decide about how they are reached: their own methods, contact rules and quiet hours."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction

from alerts.notices import services as notices
from alerts.notices.models import Notification, Target
from alerts.people.contacts import CRITICAL, OTHER, Contact, read_contact
from alerts.people.models import ContactSettings
from subsystems.event_log import services as event_log
from subsystems.event_log.streams import Stream
from subsystems.kernel.errors import Invalid, Refused
from subsystems.recursion.queries import systems_for

FIELDS = ("time_zone", "quiet_hours", CRITICAL, OTHER)


def save_method(method: Target, by: User, **given: Any) -> Target:
    """Save one of *by*'s own methods: a target that is theirs. Raises Invalid naming the field."""
    return notices.save_target(method, by, **given)


def delete_method(method: Target, by: User) -> None:
    """Delete a method. Raises Refused while a contact rule names it."""
    found = ContactSettings.objects.filter(user=by).first()
    if found and any(step["method"] == method.pk for step in [*found.critical, *found.other]):
        raise Refused("A contact rule names this method.", code="in_use")
    notices.delete_target(method, by)


def test_method(method: Target, by: User, *, now: datetime) -> Notification:
    """Send a test to one of *by*'s methods now; its log is kept in the first system that is theirs."""
    return notices.try_target(method, by, systems_for(by).order_by("pk").first(), now=now)


@transaction.atomic
def save_contact(by: User, **given: Any) -> ContactSettings:
    """Keep how *by* wants to be reached; steps name methods by their names. Raises Invalid naming the place."""
    row = ContactSettings.objects.filter(user=by).first() or ContactSettings(user=by)
    methods = {each.name: each.pk for each in methods_of(by)}
    for name, value in given.items():
        if name not in FIELDS:
            raise Invalid(f"There is no {name!r} here.", field=name)
        setattr(row, name, _numbered(value, methods, name) if name in (CRITICAL, OTHER) else value)
    contact = read_contact(row.time_zone, row.quiet_hours, row.critical, row.other)
    row.quiet_hours = [each.to_wire() for each in contact.quiet]
    row.save()
    event_log.append(Stream.AUDIT, "contact.saved", {name: getattr(row, name) for name in FIELDS},
                     system_id=None, actor=by.get_username())  # fmt: skip
    return row


def contact_body(user: User) -> dict[str, Any]:
    """Return how *user* is reached as JSON: methods by their names."""
    row = ContactSettings.objects.filter(user=user).first() or ContactSettings(user=user)
    names = {each.pk: each.name for each in methods_of(user)}
    body: dict[str, Any] = {"time_zone": row.time_zone, "quiet_hours": row.quiet_hours}
    for urgency in (CRITICAL, OTHER):
        steps = getattr(row, urgency)
        body[urgency] = [{**step, "method": names[step["method"]]} for step in steps if step["method"] in names]
    return body


def methods_of(user: User) -> list[Target]:
    """Return the methods by which *user* can be reached."""
    return list(Target.objects.filter(owner=user, enabled=True).order_by("pk"))


def contacts_of(user_ids: Collection[int]) -> dict[int, Contact]:
    """Return what each of these people said of how to reach them; who said nothing is not among them."""
    rows = ContactSettings.objects.filter(user_id__in=user_ids)
    return {each.user_id: read_contact(each.time_zone, each.quiet_hours, each.critical, each.other) for each in rows}


def methods_by_user(user_ids: Collection[int]) -> dict[int, list[Target]]:
    """Return the methods of each of these people, in one query."""
    found: dict[int, list[Target]] = {pk: [] for pk in user_ids}
    for method in Target.objects.filter(owner_id__in=user_ids, enabled=True).order_by("pk"):
        found[method.owner_id or 0].append(method)
    return found


def _numbered(given: object, methods: Mapping[str, int], place: str) -> list[dict[str, Any]]:
    """Return steps whose methods are numbers, where they were names. Raises Invalid."""
    if not isinstance(given, list | tuple) or not all(isinstance(each, Mapping) for each in given):
        raise Invalid("This is a list of steps.", field=place)
    steps: Sequence[Mapping[str, Any]] = given
    for number, step in enumerate(steps):
        name = step.get("method")
        if not isinstance(name, str) or name not in methods:
            raise Invalid(f"You have no method {str(name)[:60]!r}.", field=f"{place}[{number}].method")
    return [{**step, "method": methods[step["method"]]} for step in steps]
