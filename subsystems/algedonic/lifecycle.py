"""What people do with a signal: each verb is one UPDATE that claims it, a note, and an event."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Coalesce
from django.utils import timezone

from subsystems.algedonic import emission, queries, states
from subsystems.algedonic.models import Signal, SignalNote
from subsystems.algedonic.states import State, Verb
from subsystems.kernel.errors import Invalid, NotListed
from subsystems.messaging.channels import Party
from subsystems.messaging.envelope import encoded

MAX_COMMENT = 500


def acknowledge(signal: Signal, by: User | None, comment: str = "", *, now: datetime | None = None) -> Signal:
    """Say that *by* looks into a signal; its deadline stops. Raises Refused when somebody was first or it is over."""
    return _do(states.ACKNOWLEDGE, signal, by, comment, now)


def respond(signal: Signal, by: User | None, comment: str = "", *, now: datetime | None = None) -> Signal:
    """Say that *by* does something about a signal. Raises Refused."""
    return _do(states.RESPOND, signal, by, comment, now)


def resolve(signal: Signal, by: User | None, comment: str = "", *, now: datetime | None = None) -> Signal:
    """End a signal whose cause is gone. Raises Refused when it is over already."""
    return _do(states.RESOLVE, signal, by, comment, now)


def call_false_alarm(signal: Signal, by: User | None, comment: str = "", *, now: datetime | None = None) -> Signal:
    """End a signal that had no cause. Raises Refused when it is over already."""
    return _do(states.FALSE_ALARM, signal, by, comment, now)


@transaction.atomic
def _do(verb: Verb, signal: Signal, by: User | None, comment: str, now: datetime | None) -> Signal:
    now = now or timezone.now()
    _check(comment)
    before = _claim(verb, signal, by, now)
    SignalNote.objects.create(
        signal_id=signal.pk, at=now, by=by, from_state=before, to_state=verb.target, comment=comment
    )
    actor = by.get_username() if by else str(Party.PLATFORM)
    emission.append(
        signal, verb.fact, {"from": str(before), "to": str(verb.target), "by": actor, "comment": comment},
        at=now, actor=actor,
    )  # fmt: skip
    emission.show(signal.pk)
    return queries.signals().get(pk=signal.pk)


def _claim(verb: Verb, signal: Signal, by: User | None, now: datetime) -> State:
    """Move a signal to the verb's state and return where it was. Raises Refused when another verb was quicker."""
    changes: dict[str, Any] = {"state": verb.target, "deadline_at": None}
    if by is not None:
        changes |= {
            "acknowledged_by": Coalesce(F("acknowledged_by"), by.pk),
            "acknowledged_at": Coalesce(F("acknowledged_at"), now),
        }
    if verb.ends:
        changes["ended_at"] = now
    for source in verb.sources:
        if Signal.objects.filter(pk=signal.pk, state=source).update(**changes):
            return source
    found = Signal.objects.select_related("acknowledged_by").filter(pk=signal.pk).first()
    if found is None:
        raise NotListed("There is no such signal any more.")
    holder = found.acknowledged_by.get_username() if found.acknowledged_by else ""
    raise states.why_not(verb, State(found.state), holder)


def _check(comment: object) -> None:
    if not isinstance(comment, str) or len(comment) > MAX_COMMENT:
        raise Invalid(f"A comment is a text of at most {MAX_COMMENT} characters.", field="comment")
    encoded(comment, "comment")
