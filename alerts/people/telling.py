"""Telling one person something that is theirs alone, by the first of their methods and not in their quiet hours."""

from __future__ import annotations

from datetime import datetime

from django.contrib.auth.models import User
from django.db import transaction

from alerts.notices import payload
from alerts.notices import services as notices
from alerts.notices.flushing import DUE
from alerts.notices.models import Notification
from alerts.people.contacts import Contact
from alerts.people.reaching import contacts_of, methods_by_user
from subsystems.messaging.services import announce
from subsystems.recursion.models import System


def tell_one(user: User, told: payload.Told, *, system: System, reason: str, severity: str, now: datetime) -> bool:
    """Write to *user*, due when their quiet hours are over; return False when they have no method."""
    methods = {each.pk: each for each in methods_by_user([user.pk])[user.pk]}
    contact = contacts_of([user.pk]).get(user.pk, Contact())
    steps = contact.steps(severity, list(methods))
    if not steps:
        return False
    method = methods[steps[0].method]
    made = notices.write_plain(method, system, reason, told, now)
    due_at = contact.quiet_until(severity, now) or now
    name = f"{user.get_username()}: {method.name}"[:120]
    Notification.objects.filter(pk=made.pk).update(target_name=name, due_at=due_at)
    transaction.on_commit(lambda: announce(DUE, {}), robust=True)
    return True
