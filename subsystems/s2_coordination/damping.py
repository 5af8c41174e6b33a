"""The dampers of S2: who may act on what, and when.

Whoever acts automatically asks `clear()` first and tells `note()` afterwards. A clearance is a lease on the subject:
one row for each, changed by an UPDATE that names the epoch it was read at, so that of two writers at once one wins on
every database.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import F, Q

from subsystems.event_log.services import append
from subsystems.event_log.streams import Stream
from subsystems.kernel.errors import Invalid, Refused
from subsystems.kernel.times import moment_text
from subsystems.s2_coordination import dampers
from subsystems.s2_coordination.dampers import Code, DampingTerms, Past, Verdict, Wish
from subsystems.s2_coordination.models import Clearing, Damper, DampingRules

TRIES = 3  # whoever loses a race looks again, and finds the lease of who won
MAX_SUBJECT = 200
MAX_WRITER = 100
SAME_WISH = timedelta(minutes=10)  # asked again and again in vain, it is one wish
LONGEST_HOLD = timedelta(days=7)
KEEP = timedelta(days=7)
KEEP_DAMPERS = timedelta(days=30)


@dataclass(frozen=True)
class Clearance:
    """Whether an act may be done. With *token* `note()` gives the lease back before it ends by itself."""

    allowed: bool
    reason: str
    retry_at: datetime | None
    token: str = ""
    code: str = Code.CLEAR


# --- What who acts calls ----------------------------------------------------------------------------------------------
def clear(
    system_id: int,
    subject: str,
    direction: int,
    now: datetime,
    *,
    writer: str = "",
    since: datetime | None = None,
    extra: float | None = None,
) -> Clearance:
    """Ask for leave to act on *subject*: +1 adds, -1 takes away, 0 does neither.

    *since* is from when on it has been wanted without a break; *extra* by how much more there is than was needed, on
    average (0.5: half as much again), so that holding it does not cost more than policy allows. A clearance that is
    allowed holds the subject for a minute (`DampingRules.lease_seconds`) against every other writer. Raises Invalid
    naming `subject` or `direction`.
    """
    wish = Wish(_checked(subject, direction), since, extra)
    terms = terms_of(system_id)
    for _ in range(TRIES):
        row = _damper(system_id, subject)
        verdict = dampers.decide(row.past, terms, wish, now=now)
        if not verdict.allowed:
            _refuse(row, verdict, terms, wish, writer, now)
            return Clearance(False, verdict.reason, verdict.retry_at, code=verdict.code)
        token = _lease(row, verdict, wish.direction, writer, terms, now)
        if token:
            return Clearance(True, verdict.reason, None, token, verdict.code)
    return Clearance(False, "Others were faster.", now + timedelta(seconds=terms.lease_seconds), code=Code.TAKEN)


def note(
    system_id: int,
    subject: str,
    direction: int,
    now: datetime,
    *,
    token: str = "",
    done: bool = True,
    writer: str = "",
    since: datetime | None = None,
    magnitude: float | None = None,
) -> None:
    """Tell that an act was done, or with *done* False that it was not; the lease of *token* ends. *since* is as above.

    What people do by hand may be told as well, without a token: what follows automatically is damped against it.
    *magnitude* is how far it went, in slots, workers or queues; None where nobody knows. Each act done that adds or
    takes away is the event `coordination.adjusted` (requirements 004-25). Raises Invalid naming `subject` or
    `direction`.
    """
    sign = _checked(subject, direction)
    terms = terms_of(system_id)
    while True:
        row = _damper(system_id, subject)
        with transaction.atomic():
            after = dampers.acted(row.past, terms, Wish(sign, since), now=now) if done else row.past
            fields = {"leased_until": None, "leased_to": "", "token": ""} if token and token == row.token else {}
            if _swap(row, {**_columns(after), **fields, "asked_at": now}):
                _write_down(row, sign, token, done, writer, now)
                if done and sign:
                    _tell_adjusted(row, sign, magnitude, writer, now)
                return


@transaction.atomic
def hold(system_id: int, subject: str, until: datetime, why: str, *, now: datetime) -> bool:
    """Put the damper of *subject* down until a moment: nothing may be taken away, only added.

    Returns False when it is held for longer already. Raises Invalid naming `subject` or `until`.
    """
    _checked(subject, 0)
    if not now < until <= now + LONGEST_HOLD:
        raise Invalid("A hold ends in the future, within seven days.", field="until")
    row = _damper(system_id, subject)
    shorter = Damper.objects.filter(Q(held_until=None) | Q(held_until__lt=until), pk=row.pk)
    if not shorter.update(held_until=until, held_why=why[:300], held_since=now, epoch=F("epoch") + 1):
        return False
    _record("damper.held", system_id, now, subject=subject, until=moment_text(until), why=why[:300])
    return True


def expect(damper_ids: Iterable[int], period_seconds: float, *, now: datetime) -> None:
    """Tell that the demand for some subjects swings: what is not needed now will be wanted again within a period."""
    Damper.objects.filter(pk__in=list(damper_ids)).update(period_seconds=period_seconds, period_at=now)


@transaction.atomic
def lift(damper: Damper, *, by: User | None, now: datetime) -> None:
    """Let a subject go: forget its reversals and every hold, but not who acts on it now. Raises Refused when free."""
    row = Damper.objects.get(pk=damper.pk)
    if not row.in_force(terms_of(row.system_id), now=now):
        raise Refused("No damper holds it back.", code="not_held")
    Damper.objects.filter(pk=row.pk).update(
        held_until=None, held_since=now, held_why="", reversals=0, unrest_at=None, direction=0, idle_since=None,
        returns_seconds=0.0, period_seconds=None, epoch=F("epoch") + 1,
    )  # fmt: skip
    _record("damper.lifted", row.system_id, now, actor=by, subject=row.subject)


# --- Rules ------------------------------------------------------------------------------------------------------------
def terms_of(system_id: int) -> DampingTerms:
    """Return how a system damps; without a row, as by default."""
    row = DampingRules.objects.filter(system_id=system_id).first()
    return row.terms if row else DampingTerms()


@transaction.atomic
def set_rules(system_id: int, fields: Mapping[str, Any], *, by: User | None, now: datetime) -> DampingRules:
    """Change how a system damps, or switch it off (`enabled`). Raises Invalid naming the field at fault."""
    row, _ = DampingRules.objects.get_or_create(system_id=system_id)
    for name, value in fields.items():
        setattr(row, name, value)
    row.check_sane()
    row.save(update_fields=list(fields))
    _record("damping.changed", system_id, now, actor=by, **fields)
    return row


# --- Forgetting -------------------------------------------------------------------------------------------------------
def forget_clearings(*, now: datetime) -> int:
    """Delete what was asked more than a week ago, and dampers of which nobody has asked for a month."""
    old, _ = Clearing.objects.filter(last_at__lt=now - KEEP).delete()
    idle = Damper.objects.filter(Q(held_until=None) | Q(held_until__lt=now), asked_at__lt=now - KEEP_DAMPERS)
    return old + idle.delete()[0]


# --- Rows -------------------------------------------------------------------------------------------------------------
def _checked(subject: str, direction: int) -> int:
    if not subject or len(subject) > MAX_SUBJECT or "\0" in subject:
        raise Invalid(f"A subject has 1 to {MAX_SUBJECT} characters.", field="subject")
    if isinstance(direction, bool) or not isinstance(direction, int):
        raise Invalid("A direction is a whole number: its sign counts.", field="direction")
    return (direction > 0) - (direction < 0)


def _damper(system_id: int, subject: str) -> Damper:
    return Damper.objects.get_or_create(system_id=system_id, subject=subject)[0]


def _swap(row: Damper, fields: Mapping[str, Any]) -> bool:
    """Change the row unless somebody else did since it was read."""
    mine = Damper.objects.filter(pk=row.pk, epoch=row.epoch)
    return bool(mine.update(**fields, epoch=row.epoch + 1))


@transaction.atomic
def _lease(row: Damper, verdict: Verdict, sign: int, writer: str, terms: DampingTerms, now: datetime) -> str:
    token = uuid4().hex
    until = now + timedelta(seconds=terms.lease_seconds)
    lease = {"token": token, "leased_to": writer[:MAX_WRITER], "leased_until": until, "asked_at": now}
    if not _swap(row, lease):
        return ""
    Clearing.objects.create(
        damper=row, writer=writer[:MAX_WRITER], direction=sign, code=verdict.code, asked_at=now, last_at=now,
        reversal=dampers.is_reversal(row.past, sign), token=token,
    )  # fmt: skip
    return token


@transaction.atomic
def _refuse(row: Damper, verdict: Verdict, terms: DampingTerms, wish: Wish, writer: str, now: datetime) -> None:
    sign = wish.direction
    past = dampers.refused(row.past, terms, wish, now=now) if verdict.code == Code.REVERSAL else row.past
    _swap(row, {"asked_at": now, **_columns(past)})  # whoever came between has asked later
    holder = (row.leased_to or "another") if verdict.code == Code.TAKEN else ""
    same = Clearing.objects.filter(damper=row, writer=writer[:MAX_WRITER], direction=sign, code=verdict.code)
    again = same.filter(last_at__gte=now - SAME_WISH).order_by("-pk").values_list("pk", flat=True).first()
    if again is not None:
        Clearing.objects.filter(pk=again).update(
            times=F("times") + 1, last_at=now, retry_at=verdict.retry_at, reason=verdict.reason[:300]
        )
        return
    Clearing.objects.create(
        damper=row, writer=writer[:MAX_WRITER], direction=sign, code=verdict.code, reason=verdict.reason[:300],
        held_by=holder, asked_at=now, last_at=now, retry_at=verdict.retry_at,
        reversal=dampers.is_reversal(row.past, sign),
    )  # fmt: skip


def _columns(past: Past) -> dict[str, Any]:
    return {
        "direction": past.direction,
        "acted_at": past.acted_at,
        "reversals": past.reversals,
        "unrest_at": past.unrest_at,
        "idle_since": past.idle_since,
        "returns_seconds": past.returns_seconds,
    }


def _write_down(row: Damper, sign: int, token: str, done: bool, writer: str, now: datetime) -> None:
    cleared = Clearing.objects.filter(damper=row, token=token) if token else Clearing.objects.none()
    if cleared.update(done=done, ended_at=now) or not done:
        return
    Clearing.objects.create(
        damper=row, writer=writer[:MAX_WRITER], direction=sign, code=Code.CLEAR, asked_at=now, last_at=now,
        reversal=dampers.is_reversal(row.past, sign), done=True, ended_at=now, told=True,
    )  # fmt: skip


def _tell_adjusted(row: Damper, sign: int, magnitude: float | None, writer: str, now: datetime) -> None:
    data: dict[str, Any] = {
        "action": "adjust", "subject": row.subject, "direction": sign, "writer": writer[:MAX_WRITER],
        "reversal": dampers.is_reversal(row.past, sign),
    }  # fmt: skip
    if magnitude is not None:
        data["adjustment_magnitude"] = abs(float(magnitude))
    append(Stream.COORDINATION, "coordination.adjusted", data, system_id=row.system_id, at=now)


def _record(type_: str, system_id: int, now: datetime, *, actor: User | None = None, **data: Any) -> None:
    name = actor.get_username() if actor else ""
    append(Stream.COORDINATION, type_, data, system_id=system_id, actor=name, at=now)
