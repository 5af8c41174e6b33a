"""What people do with alerts. Each verb is claimed by one UPDATE, and doing it again changes nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from alerts.lifecycle import shown
from alerts.models import Alert
from alerts.notices.flushing import told_of
from alerts.people import escalating, waking
from alerts.people.models import AlertComment
from alerts.people.telling import tell_one
from alerts.transitions import Kind, note
from subsystems.kernel.errors import Invalid, Refused
from subsystems.kernel.times import moment_text
from subsystems.recursion.queries import people_in
from subsystems.s5_policy import services as s5
from subsystems.variety.gathering import decided

LONGEST_COMMENT, LONGEST_REMARK = 500, 2000  # with an acknowledgement; by itself
SHORTEST_TIMEOUT, LONGEST_TIMEOUT = timedelta(minutes=1), timedelta(days=7)
LONGEST_SNOOZE = timedelta(days=30)
MAX_COMMENTS = 1000  # of one alert


# --- It is somebody's ---


@transaction.atomic
def acknowledge(
    alert: Alert, by: User, comment: str = "", *, timeout: timedelta | None = None, now: datetime | None = None
) -> Alert:
    """Let *by* own the alert; after *timeout* it is nobody's again. Who owns it may say so again, and set another one.

    Whoever it was assigned to since may take it over. Raises Refused when it is over or somebody else was first, and
    Invalid naming the field.
    """
    _check_text(comment, "comment", LONGEST_COMMENT)
    now = now or timezone.now()
    until = _until(timeout, now)
    handed_over = Q(assigned_to=by) & ~Q(acknowledged_by=by)
    free = _open(alert).filter(Q(acknowledged_at=None) | handed_over)
    owned = {"acknowledged_at": now, "acknowledged_by": by, "assigned_to": by}
    if not free.update(**owned, acknowledged_until=until, comment=comment):
        return _acknowledged_again(alert, by, comment, until)
    _decided(alert, "acknowledge alert")
    s5.answer(alert.system_id, alert.fingerprint, at=now)
    escalating.heed(alert, now=now)
    said = {"by": by.get_username(), "comment": comment, "until": moment_text(until)}
    return _noted(alert, Kind.ACKNOWLEDGED, said, now)


@transaction.atomic
def unacknowledge(alert: Alert, by: User, *, now: datetime | None = None) -> Alert:
    """Let the alert be nobody's again, so that people go on being told. Raises Refused when it is over."""
    now = now or timezone.now()
    if not waking.give_back(_open(alert), now=now):
        return _unchanged(alert, "given back")
    _decided(alert, "unacknowledge alert")
    waking.ask_again(alert, now=now)
    return _noted(alert, Kind.UNACKNOWLEDGED, {"by": by.get_username(), "why": "hand"}, now)


@transaction.atomic
def assign(alert: Alert, to: User | None, by: User, *, now: datetime | None = None) -> Alert:
    """Say who is to look after the alert; None for nobody. Raises Invalid for who may not operate its system."""
    now = now or timezone.now()
    if to is not None and not people_in(alert.system_id).filter(pk=to.pk).exists():
        raise Invalid("Nobody of this name may operate this system.", field="to")
    others = Q(assigned_to=None) | ~Q(assigned_to=to) if to else Q(assigned_to__isnull=False)
    if not _open(alert).filter(others).update(assigned_to=to):
        return _unchanged(alert, "assigned")
    _decided(alert, "assign alert")
    if to is not None and to != by:
        _tell_assignee(alert, to, by, now)
    return _noted(alert, Kind.ASSIGNED, {"by": by.get_username(), "to": to.get_username() if to else None}, now)


def _tell_assignee(alert: Alert, to: User, by: User, now: datetime) -> None:
    now_known = Alert.objects.select_related("system", "external").get(pk=alert.pk)
    words = f"{by.get_username()} assigned this to you: {now_known.title}"
    url = f"{settings.EXTERNAL_URL}/dashboard/alerts/{alert.pk}/"
    told = replace(told_of(now_known, firing=True), title=words[:200], url=url)
    severity = str(now_known.severity)
    tell_one(to, told, system=now_known.system, reason="assigned", severity=severity, now=now)


# --- Not now ---


@transaction.atomic
def snooze(alert: Alert, by: User, until: datetime, *, now: datetime | None = None) -> Alert:
    """Let nobody be told of the alert until *until*; then they are, if it still fires. Raises Refused and Invalid."""
    now = now or timezone.now()
    if until <= now:
        raise Invalid("This must lie in the future.", field="until")
    if until - now > LONGEST_SNOOZE:
        raise Invalid(f"A snooze lasts {LONGEST_SNOOZE.days} days at most.", field="until")
    other = Q(snoozed_until=None) | ~Q(snoozed_until=until)
    if not _open(alert).filter(other).update(snoozed_until=until, snoozed_by=by):
        return _unchanged(alert, "snoozed")
    _decided(alert, "snooze alert")
    waking.hush(alert, by, until, now=now)
    escalating.heed(alert, now=now)
    return _noted(alert, Kind.SNOOZED, {"by": by.get_username(), "until": moment_text(until)}, now)


@transaction.atomic
def unsnooze(alert: Alert, by: User, *, now: datetime | None = None) -> Alert:
    """Let people be told again. Raises Refused when the alert is over."""
    now = now or timezone.now()
    if not waking.wake(_open(alert), now=now):
        return _unchanged(alert, "woken")
    _decided(alert, "unsnooze alert")
    waking.tell_anew([alert.pk], now=now)
    return _noted(alert, Kind.UNSNOOZED, {"by": by.get_username(), "why": "hand"}, now)


# --- What is said of it ---


@transaction.atomic
def comment(alert: Alert, by: User, text: str, *, now: datetime | None = None) -> AlertComment:
    """Write something about the alert, also when it is over. Raises Invalid and Refused."""
    now = now or timezone.now()
    _check_text(text, "text", LONGEST_REMARK)
    if not text.strip():
        raise Invalid("Write something.", field="text")
    if AlertComment.objects.filter(alert=alert).count() >= MAX_COMMENTS:
        raise Refused(f"An alert has at most {MAX_COMMENTS:,} comments.", code="too_many")
    made = AlertComment.objects.create(
        alert=alert, author=by, author_name=by.get_username(), text=text.strip(), at=now
    )  # fmt: skip
    _noted(alert, Kind.COMMENTED, {"by": made.author_name, "comment": made.pk, "text": made.text}, now)
    return made


@transaction.atomic
def resolve(
    alert: Alert, by: User, *, false_alarm: bool = False, comment: str = "", now: datetime | None = None
) -> Alert:
    """End an alert by hand; it does not fire again before its condition was once false.

    *false_alarm* says that there was nothing: it is counted against the rule. Raises Refused when it is over already.
    """
    _check_text(comment, "comment", LONGEST_REMARK)
    now = now or timezone.now()
    why = Alert.Resolution.FALSE_ALARM if false_alarm else Alert.Resolution.HAND
    ended = {"state": Alert.State.RESOLVED, "resolved_at": now, "resolution": why}
    if not _open(alert).update(**ended, resolved_by=by, held=True):
        raise _not_open(alert, "resolved")
    said = {"comment": comment.strip()} if comment.strip() else {}
    if said:
        AlertComment.objects.create(alert=alert, author=by, author_name=by.get_username(), text=comment.strip(), at=now)
    _decided(alert, "resolve alert")
    s5.answer(alert.system_id, alert.fingerprint, at=now)
    return _noted(alert, Kind.RESOLVED, {"by": by.get_username()} | said, now)


# --- What they share ---


def _open(alert: Alert) -> Any:
    return Alert.objects.filter(pk=alert.pk).exclude(state=Alert.State.RESOLVED)


def _acknowledged_again(alert: Alert, by: User, comment: str, until: datetime | None) -> Alert:
    """Take a new timeout or comment of who owns it already. Raises Refused for everybody else."""
    changed: dict[str, Any] = {"acknowledged_until": until} | ({"comment": comment} if comment else {})
    if not _open(alert).filter(acknowledged_at__isnull=False, acknowledged_by=by).update(**changed):
        raise _not_open(alert, "acknowledged")
    return shown(alert)


def _unchanged(alert: Alert, wanted: str) -> Alert:
    """Return the alert as it is: what was asked for is so already. Raises Refused when it is over."""
    if not _open(alert).exists():
        raise _not_open(alert, wanted)
    return shown(alert)


def _until(timeout: timedelta | None, now: datetime) -> datetime | None:
    if timeout is None:
        return None
    if not SHORTEST_TIMEOUT <= timeout <= LONGEST_TIMEOUT:
        raise Invalid("A timeout is a minute to 7 days.", field="timeout_seconds")
    return now + timeout


def _check_text(text: str, field: str, most: int) -> None:
    if len(text) > most or "\0" in text:
        raise Invalid(f"A comment is {most:,} characters at most.", field=field)


def _noted(alert: Alert, kind: Kind, inputs: dict[str, Any], now: datetime) -> Alert:
    note(shown(alert), kind, now=now, inputs=inputs)
    return alert


def _decided(alert: Alert, action: str) -> None:
    """Note what was decided, as a state of the management of the alert's unit, or of its system."""
    unit = alert.unit.name if alert.unit else ""
    transaction.on_commit(lambda: decided(unit, action, system_id=alert.system_id))


def _not_open(alert: Alert, wanted: str) -> Refused:
    now = Alert.objects.select_related("acknowledged_by").filter(pk=alert.pk).first()
    if now is not None and now.open and now.acknowledged_by:
        return Refused(f"{now.acknowledged_by} has acknowledged this alert already.", code="already_acknowledged")
    return Refused(f"This alert is over: it can no longer be {wanted}.", code="not_open")
