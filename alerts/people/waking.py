"""Alerts that come back to people: an acknowledgement that ran out, a snooze that is over."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Case, F, Value, When

from alerts.lifecycle import shown
from alerts.models import Alert
from alerts.notices import intake
from alerts.notices.models import AlertNotice, Group, GroupMember, GroupTold
from alerts.notices.queries import packed, unpacked
from alerts.notices.silencing import Cause
from alerts.transitions import Kind, note
from subsystems.kernel.times import moment_text
from subsystems.recursion.models import System
from subsystems.s5_policy import services as s5
from subsystems.s5_policy.queries import alert_policy, answer_time

AT_ONCE = 500
_HELD = ("cooldown", "hourly_limit")  # these have an end of their own


def return_overdue(*, now: datetime) -> int:
    """Take alerts back whose acknowledgement ran out, and wake those that were snoozed until now; return how many."""
    still = Alert.objects.exclude(state=Alert.State.RESOLVED)
    owned = still.filter(acknowledged_until__lte=now).order_by("acknowledged_until")
    snoozed = still.filter(snoozed_until__lte=now).order_by("snoozed_until")
    return sum(_return(each, now) for each in owned[:AT_ONCE]) + sum(_wake(each, now) for each in snoozed[:AT_ONCE])


@transaction.atomic
def _return(alert: Alert, now: datetime) -> bool:
    overdue = Alert.objects.filter(pk=alert.pk, acknowledged_until__lte=now).exclude(state=Alert.State.RESOLVED)
    if not give_back(overdue, now=now):
        return False
    owner = alert.acknowledged_by.get_username() if alert.acknowledged_by else None
    ask_again(alert, now=now)
    note(shown(alert), Kind.UNACKNOWLEDGED, now=now, inputs={"by": None, "why": "timeout", "owner": owner})
    return True


@transaction.atomic
def _wake(alert: Alert, now: datetime) -> bool:
    overdue = Alert.objects.filter(pk=alert.pk, snoozed_until__lte=now).exclude(state=Alert.State.RESOLVED)
    if not wake(overdue, now=now):
        return False
    tell_anew([alert.pk], now=now)
    note(shown(alert), Kind.UNSNOOZED, now=now, inputs={"by": None, "why": "over"})
    return True


def give_back(alerts: Any, *, now: datetime) -> int:
    """Let those of *alerts* that are acknowledged be nobody's; return how many. Their comment stays."""
    owned = alerts.filter(acknowledged_at__isnull=False)
    changed: int = owned.update(acknowledged_at=None, acknowledged_by=None, acknowledged_until=None, returned_at=now)
    return changed


def ask_again(alert: Alert, *, now: datetime) -> None:
    """Ask S5 for another answer to an alert that fires and that nobody looks after any more."""
    within = answer_time(alert_policy(System(pk=alert.system_id)), alert.severity)
    if within is not None and alert.active:
        s5.ask(alert.system_id, alert.fingerprint, asked_at=now, within=within)


def hush(alert: Alert, by: User, until: datetime, *, now: datetime) -> None:
    """Note in the alert's log that it is snoozed, and show that; its groups leave it out from now on."""
    GroupMember.objects.filter(alert=alert, firing=True).update(cause=Cause.SNOOZED, cause_id=None)
    Alert.objects.filter(pk=alert.pk).exclude(suppressed__in=_HELD).update(suppressed=Cause.SNOOZED)
    AlertNotice.objects.create(
        alert=alert, outcome=AlertNotice.Outcome.WITHHELD, cause=Cause.SNOOZED, fingerprint=alert.fingerprint, at=now,
        detail=f"by {by.get_username()} until {moment_text(until)}"[:200],
    )  # fmt: skip


def wake(alerts: Any, *, now: datetime) -> int:
    """Let those of *alerts* that are snoozed be told again; return how many."""
    shown_as = Case(When(suppressed=str(Cause.SNOOZED), then=Value("")), default=F("suppressed"))
    snoozed = alerts.filter(snoozed_until__isnull=False)
    changed: int = snoozed.update(snoozed_until=None, snoozed_by=None, returned_at=now, suppressed=shown_as)
    return changed


def tell_anew(alert_ids: Sequence[int], *, now: datetime) -> None:
    """Let the groups of these alerts forget that they told of them, and be due: what still fires is news again."""
    members = GroupMember.objects.filter(alert_id__in=alert_ids, firing=True)
    keys: dict[int, set[int]] = {}
    for group_id, key in members.values_list("group_id", "key"):
        keys.setdefault(group_id, set()).add(key)
    if not keys:
        return
    groups = list(Group.objects.select_for_update().filter(pk__in=keys).order_by("pk"))
    for told in GroupTold.objects.filter(group__in=groups):
        left = unpacked(told.firing) - keys[told.group_id]
        GroupTold.objects.filter(pk=told.pk).update(firing=packed(left))
    Group.objects.filter(pk__in=[each.pk for each in groups], flushed=True).update(due_at=now)
    transaction.on_commit(intake.wake, robust=True)
