"""Flushing groups that are due: what each target hears is written down, and what it does not, with its cause.

All of one flush is one transaction: a worker that dies has done all of it or nothing. What is sent was written before.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from typing import TypeVar

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Max

from alerts.limits import RANK
from alerts.models import Alert
from alerts.notices import payload
from alerts.notices.grouping import KEEP_EMPTY_SECONDS, Flush, Member, Notice, Told, flush
from alerts.notices.holding import WINDOW, flap_held
from alerts.notices.models import AlertNotice, Group, GroupMember, GroupTold, Notification, Target
from alerts.notices.queries import (
    FIRING_STATES,
    READ_AT_ONCE,
    Mutes,
    Policy,
    Tree,
    fired_lately,
    packed,
    policies,
    told_lately,
    unpacked,
)
from alerts.notices.silencing import Cause, Muted
from alerts.people import starting
from subsystems.kernel.times import moment_text
from subsystems.messaging.services import announce

GROUPS_AT_ONCE = 200
DUE = "alerts.notifications_due"  # the hint on which the sending starts
Item = TypeVar("Item")
HELD = {"cooldown": Cause.COOLDOWN, "hourly_limit": Cause.HOURLY_LIMIT}


def flush_due(*, now: datetime, budget: float = 10.0) -> int:
    """Flush groups that are due, for about *budget* seconds; return how many were flushed."""
    due = list(Group.objects.filter(due_at__lte=now).order_by("due_at").values_list("pk", "system_id")[:GROUPS_AT_ONCE])
    if not due:
        return 0
    tree = Tree.read()
    house = _House(tree, policies(tree, {system_id for _, system_id in due}), now)
    until, flushed = time.monotonic() + budget, 0
    for pk, _ in due:
        flushed += flush_group(pk, house)
        if time.monotonic() > until:
            break
    return flushed


@dataclass
class _House:
    """What the groups of one turn share."""

    tree: Tree
    policies: Mapping[int, Policy]
    now: datetime
    mutes: dict[int, Mutes] = field(default_factory=dict)

    def mutes_of(self, system_id: int) -> Mutes:
        if system_id not in self.mutes:
            self.mutes[system_id] = Mutes.read(self.tree, system_id, self.policies[system_id], self.now)
        return self.mutes[system_id]


@transaction.atomic
def flush_group(pk: int, house: _House) -> bool:
    """Flush one group; False when another worker has it or was quicker."""
    now = house.now
    free = Group.objects.select_for_update(skip_locked=connection.features.has_select_for_update_skip_locked)
    group = free.filter(pk=pk, due_at__lte=now).first()
    if group is None:
        return False
    if group.empty_since and (now - group.empty_since).total_seconds() >= KEEP_EMPTY_SECONDS:
        Notification.objects.filter(group=group).update(group=None)
        group.delete()
        return True
    written = _Flushing(group, house).run()
    _rest(group, now)
    if written:
        transaction.on_commit(lambda: announce(DUE, {}), robust=True)
    return True


def _rest(group: Group, now: datetime) -> None:
    """Set when the group is due again. Its pace is that of its own flushes, not of the worker's turns."""
    interval = timedelta(seconds=group.group_interval)
    due = group.due_at + interval
    group.due_at, group.flushed = (due if due > now else now + interval), True
    if not group.members.exists():
        group.empty_since = group.empty_since or now
        group.due_at = min(group.due_at, now + timedelta(seconds=max(KEEP_EMPTY_SECONDS, group.group_interval)))
    group.save(update_fields=["due_at", "flushed", "empty_since"])


@dataclass(frozen=True, slots=True)
class _Row:
    """A member as the database has it."""

    pk: int
    key: int
    firing: bool
    version: int
    cause: str
    cause_id: int | None
    alert_id: int
    fingerprint: str
    severity: str
    acknowledged: bool
    snoozed_until: datetime | None


class _Flushing:
    """One flush of one group."""

    def __init__(self, group: Group, house: _House) -> None:
        self.group, self.house, self.now = group, house, house.now
        self.policy = house.policies[group.system_id]
        self.targets = {str(each.pk): each for each in self.policy.targets_of(group.receiver)}
        self.told_rows = {
            str(each.target_id): each for each in GroupTold.objects.filter(group=group, target_id__in=self.targets)
        }
        self.rows: dict[int, _Row] = {}
        self.muted: dict[int, Muted] = {}
        self.escalations: dict[int, int] = {}  # by the member's key, the policy

    def run(self) -> int:
        """Read, decide, write; return how many notifications were written."""
        told = {target: self._told(target) for target in self.targets}
        known = frozenset[int]().union(*(each.firing for each in told.values() if each))
        for rows in self._members():
            self._mute(rows, known)
        members = [Member(r.key, r.firing, r.version, r.acknowledged) for r in self.rows.values()]
        silent = self.targets if self.policy.silent_about_resolved(self.group.receiver) else ()
        done = flush(
            members, told, lambda member: self.muted.get(member.key), now=self.now.timestamp(),
            repeat_interval=self.group.repeat_interval, silent_about_resolved=silent,
        )  # fmt: skip
        written = self._write(done)
        self._note_withheld(done)
        self._let_go(done)
        self._escalate(done)
        return written

    def _told(self, target: str) -> Told | None:
        row = self.told_rows.get(target)
        return Told(unpacked(row.firing), unpacked(row.resolved), row.at.timestamp()) if row else None

    def _members(self) -> Iterator[Sequence[tuple[_Row, Mapping[str, str], str, int | None]]]:
        """Yield the members in batches, each with its labels, why it is held back, and its unit."""
        rows = self.group.members.order_by("key").values_list(
            "pk", "key", "firing", "version", "cause", "cause_id", "alert_id", "alert__fingerprint", "alert__severity",
            "alert__acknowledged_at", "alert__labels", "alert__suppressed", "alert__unit_id", "alert__snoozed_until",
        )  # fmt: skip
        for batch in batched(rows.iterator(chunk_size=READ_AT_ONCE), READ_AT_ONCE):
            yield [(_Row(*each[:9], each[9] is not None, each[13]), each[10], each[11], each[12]) for each in batch]

    def _mute(self, rows: Sequence[tuple[_Row, Mapping[str, str], str, int | None]], known: Collection[int]) -> None:
        mutes = self.house.mutes_of(self.group.system_id)
        news = [row.fingerprint for row, *_ in rows if row.key not in known and row.severity != "critical"]
        since = self.now - WINDOW
        fired = fired_lately(news, since) if news else {}
        heard = told_lately([each for each, moments in fired.items() if len(moments) > 1], since)
        for row, labels, suppressed, unit_id in rows:
            self.rows[row.key] = row
            if plan := self.policy.escalation_of(self.group.receiver, labels):
                self.escalations[row.key] = plan
            place = self.house.tree.place(self.group.system_id, unit_id)
            why = _snoozed(row) or mutes.mute(labels, place, firing=row.firing)
            if why is None and suppressed in HELD and row.severity != "critical":
                why = Muted(HELD[suppressed], detail="people were told of the like of it a moment ago")
            at = fired.get(row.fingerprint, ())
            if why is None and flap_held(row.severity, at, heard.get(row.fingerprint, ()), now=self.now):
                why = Muted(Cause.FLAPPING, detail=f"it began to fire {len(at)} times within the hour")
            if why is not None:
                self.muted[row.key] = why

    def _write(self, done: Flush) -> int:
        """Write what is to be sent, and remember it as told."""
        shown: dict[bool, list[payload.Told]] = {}
        made: list[Notification] = []
        for target, notice in done.notices.items():
            self._remember(target, notice)
            if notice.quiet:
                continue
            if notice.send_resolved not in shown:
                shown[notice.send_resolved] = self._shown(notice)
            made.append(self._notification(self.targets[target], notice, shown[notice.send_resolved]))
        first = Notification.objects.filter(group=self.group).aggregate(last=Max("number"))["last"] or 0
        for number, notification in enumerate(made, first + 1):
            notification.number = number
        Notification.objects.bulk_create(made)
        for notification, notice in zip(made, _spoken(done), strict=True):
            self._log(notification, notice)
        return len(made)

    def _remember(self, target: str, notice: Notice) -> None:
        told = notice.told(self.now.timestamp())
        values = {"firing": packed(told.firing), "resolved": packed(told.resolved), "at": self.now}
        GroupTold.objects.update_or_create(group=self.group, target=self.targets[target], defaults=values)

    def _shown(self, notice: Notice) -> list[payload.Told]:
        """Return the alerts that there is room for: the worst of those that fire, then those that are over."""
        firing = sorted(notice.firing, key=lambda m: (-RANK[self.rows[m.key].severity], -m.version))
        chosen = [*firing, *(notice.resolved if notice.send_resolved else ())][: payload.MAX_ALERTS]
        alerts = Alert.objects.select_related("system", "external").in_bulk([self.rows[m.key].alert_id for m in chosen])
        return [told_of(alerts[self.rows[m.key].alert_id], firing=m.firing) for m in chosen]

    def _notification(self, target: Target, notice: Notice, shown: Sequence[payload.Told]) -> Notification:
        firing, resolved = len(notice.firing), len(notice.resolved) if notice.send_resolved else 0
        body = payload.body_of(
            shown, group_key=self.group.key, group_labels=self.group.labels, receiver=self.group.receiver,
            firing=firing, resolved=resolved, reason=notice.reason, external_url=settings.EXTERNAL_URL,
        )  # fmt: skip
        worst = max((self.rows[m.key].severity for m in notice.firing or notice.resolved), key=RANK.__getitem__)
        return Notification(
            system_id=self.group.system_id, group=self.group, target=target, target_name=target.name, kind=target.kind,
            receiver=self.group.receiver, reason=notice.reason, severity=worst, title=payload.title_of(body), body=body,
            firing_count=firing, resolved_count=resolved, created_at=self.now, due_at=self.now,
        )  # fmt: skip

    def _log(self, notification: Notification, notice: Notice) -> None:
        """Write a line for each alert that the notification tells of."""
        told = [(m, AlertNotice.Outcome.TOLD) for m in notice.firing]
        told += [(m, AlertNotice.Outcome.OVER) for m in notice.resolved] if notice.send_resolved else []
        for batch in batched(told, READ_AT_ONCE):
            lines = [self._line(m.key, outcome, notification=notification) for m, outcome in batch]
            AlertNotice.objects.bulk_create(lines, batch_size=READ_AT_ONCE)

    def _note_withheld(self, done: Flush) -> None:
        """Write a line for each alert that is withheld for another cause than at the last flush, and mark it."""
        news: dict[tuple[str, int | None], list[int]] = {}
        for key, row in self.rows.items():
            why = done.muted.get(key)
            found = (str(why.cause), why.id) if why else ("", None)
            if found != (row.cause, row.cause_id):
                news.setdefault(found, []).append(key)
        for (cause, cause_id), keys in news.items():
            self._mark(cause, cause_id, [self.rows[key] for key in keys])
            if cause:
                lines = [self._line(k, AlertNotice.Outcome.WITHHELD, why=done.muted[k]) for k in keys]
                AlertNotice.objects.bulk_create(lines, batch_size=READ_AT_ONCE)

    def _mark(self, cause: str, cause_id: int | None, rows: Iterable[_Row]) -> None:
        """Keep the cause with the member, and show it with the alert."""
        for batch in batched(rows, READ_AT_ONCE):
            GroupMember.objects.filter(pk__in=[row.pk for row in batch]).update(cause=cause, cause_id=cause_id)
            alerts = Alert.objects.filter(pk__in=[row.alert_id for row in batch])
            if cause not in HELD:
                alerts.exclude(suppressed__in=HELD).update(suppressed=cause)

    def _let_go(self, done: Flush) -> None:
        """Let those that are over leave, unless they came back since they were read."""
        over = [self.rows[m.key].pk for m in done.over]
        for batch in batched(over, READ_AT_ONCE):
            GroupMember.objects.filter(pk__in=batch, firing=False).delete()

    def _escalate(self, done: Flush) -> None:
        """Let the policy begin that the worst alert names which nobody looks after, else that of the receiver."""
        left = [
            (RANK[row.severity], self.escalations[key]) for key, row in self.rows.items()
            if row.firing and not row.acknowledged and key not in done.muted and key in self.escalations
        ]  # fmt: skip
        if left:
            starting.begin(self.group, max(left)[1], now=self.now)

    def _line(
        self, key: int, outcome: str, *, notification: Notification | None = None, why: Muted | None = None
    ) -> AlertNotice:
        row = self.rows[key]
        line = AlertNotice(
            alert_id=row.alert_id, notification=notification, outcome=outcome, fingerprint=row.fingerprint, at=self.now
        )  # fmt: skip
        if why is not None:
            line.cause, line.cause_id, line.detail = str(why.cause), why.id, why.detail[:200]
        return line


def release_held(*, now: datetime) -> int:
    """Let go of alerts that a cooldown or the hourly limit held back and that still fire when its time is over.

    They are told at their group's next flush. Held back is not the same as never told.
    """
    from alerts.queries import told_last_hour
    from subsystems.s5_policy.queries import alert_policy

    held = Alert.objects.filter(suppressed__in=HELD, state__in=FIRING_STATES).select_related("rule", "system")
    room: dict[tuple[int, str], int] = {}
    freed = []
    for alert in held.order_by("fired_at")[:READ_AT_ONCE]:
        key = (alert.system_id, alert.type)
        if key not in room:
            room[key] = alert_policy(alert.system).max_alerts_per_hour - told_last_hour(*key, now=now)
        cooldown = timedelta(seconds=alert.rule.cooldown_seconds if alert.rule else 300)
        if room[key] > 0 and (alert.fired_at or now) + cooldown <= now:
            room[key] -= 1
            freed.append(alert.pk)
    # It counts from now: what was not told an hour ago must not make room for others.
    return Alert.objects.filter(pk__in=freed, suppressed__in=HELD).update(suppressed="", released_at=now)


def _snoozed(row: _Row) -> Muted | None:
    """Return that *row* is snoozed; also when its time is over: whoever wakes it says so to its groups."""
    if row.snoozed_until is None or not row.firing:
        return None
    return Muted(Cause.SNOOZED, detail=f"until {moment_text(row.snoozed_until)}")


def _spoken(done: Flush) -> list[Notice]:
    return [notice for notice in done.notices.values() if not notice.quiet]


def told_of(alert: Alert, *, firing: bool) -> payload.Told:
    """Return *alert* as it is told; read its system and what is external beforehand."""
    external = getattr(alert, "external", None)
    started = moment_text(alert.fired_at or alert.pending_at)
    ended = None if firing else moment_text(alert.resolved_at or alert.fired_at)
    return payload.Told(
        alert.labels, alert.annotations, firing, started, ended, alert.fingerprint, str(alert.severity), alert.title,
        url=f"{settings.EXTERNAL_URL}/dashboard/alerts/?system={alert.system.slug}",
        generator_url=external.generator_url if external else "",
    )  # fmt: skip


def batched(items: Iterable[Item], size: int) -> Iterator[tuple[Item, ...]]:
    """Yield *items* in pieces of *size*."""
    rest = iter(items)
    while piece := tuple(islice(rest, size)):
        yield piece
