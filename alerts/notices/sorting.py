"""Sorting alerts that changed into their groups: batches, each in one transaction, the critical ones first."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from django.db import connection, transaction

from alerts.models import Alert
from alerts.notices.grouping import KEEP_EMPTY_SECONDS, Timing, first_due, still_due
from alerts.notices.models import AlertNotice, Group, GroupMember, Incoming
from alerts.notices.queries import FIRING_STATES, Policy, Tree, policies
from alerts.notices.routing import Route
from alerts.notices.silencing import Cause

BATCH = 500
NEEDED = ("system_id", "fingerprint", "severity", "labels", "state", "fired_at", "type")


def key_of(fingerprint: str, severity: str) -> int:
    """Return by which number a group knows an alert: one that becomes worse is another one."""
    return int(sha256(f"{fingerprint} {severity}".encode()).hexdigest()[:15], 16)


@transaction.atomic
def sort_batch(*, now: datetime) -> int:
    """Sort the next alerts that changed; return how many rows that were. Others work on other rows."""
    free = Incoming.objects.select_for_update(skip_locked=connection.features.has_select_for_update_skip_locked)
    rows = list(free.order_by("rank", "pk")[:BATCH])
    if not rows:
        return 0
    alerts = Alert.objects.only(*NEEDED).in_bulk({row.alert_id for row in rows})
    tree = Tree.read()
    batch = _Batch(now, policies(tree, {alert.system_id for alert in alerts.values()}))
    for row in rows:
        if row.alert_id in alerts:
            batch.add(row, alerts[row.alert_id])
    batch.write()
    Incoming.objects.filter(pk__in=[row.pk for row in rows]).delete()
    return len(rows)


@dataclass(frozen=True, slots=True)
class _Joining:
    route: Route
    labels: Mapping[str, str]
    alert: Alert
    version: int


@dataclass
class _Batch:
    now: datetime
    policies: Mapping[int, Policy]
    joining: dict[str, list[_Joining]] = field(default_factory=lambda: defaultdict(list))
    changed: list[tuple[Alert, int]] = field(default_factory=list)  # ended, where they are members already
    moved: list[tuple[Alert, int]] = field(default_factory=list)  # keys under another severity
    unheard: list[Alert] = field(default_factory=list)

    def add(self, row: Incoming, alert: Alert) -> None:
        """Note what one change means."""
        if row.severity_before and row.severity_before != alert.severity:
            self.moved.append((alert, key_of(alert.fingerprint, row.severity_before)))
        if not row.fired:
            self.changed.append((alert, row.pk))
            return
        policy = self.policies[alert.system_id]
        taken = policy.routing.route.match(alert.labels)
        routes = [route for route in taken if policy.hears(route.receiver, alert.labels)]
        if not routes:
            self.unheard.append(alert)
        for route in routes:
            labels = route.group_labels(alert.labels)
            self.joining[_group_key(policy.owner_id, alert.system_id, route, labels)].append(
                _Joining(route, labels, alert, row.pk)
            )

    def write(self) -> None:
        self._join(self._groups())
        self._leave()
        lines = [_line(alert, self.now) for alert in self.unheard]
        AlertNotice.objects.bulk_create(lines, batch_size=BATCH)

    def _groups(self) -> dict[str, Group]:
        """Return the groups that are joined, locked in one order; those that are not there yet are made."""
        if not self.joining:
            return {}
        made = [_new_group(key, joining[0], self.now) for key, joining in self.joining.items()]
        Group.objects.bulk_create(made, ignore_conflicts=True, batch_size=BATCH)
        locked = Group.objects.select_for_update().filter(key__in=self.joining).order_by("pk")
        return {group.key: group for group in locked}

    def _join(self, groups: Mapping[str, Group]) -> None:
        members: dict[tuple[int, int], GroupMember] = {}
        for key, group in groups.items():
            for each in self.joining[key]:
                _fit(group, each, self.now)
                number = key_of(each.alert.fingerprint, each.alert.severity)
                firing = each.alert.state in FIRING_STATES
                members[group.pk, number] = GroupMember(
                    group=group, key=number, alert=each.alert, firing=firing, version=each.version
                )
        Group.objects.bulk_update(groups.values(), _FITTED, batch_size=BATCH)
        GroupMember.objects.bulk_create(
            members.values(), update_conflicts=True, unique_fields=["group", "key"],
            update_fields=["alert", "firing", "version"], batch_size=BATCH,
        )  # fmt: skip

    def _leave(self) -> None:
        """Let those that ended be told as over; of those that became worse or better their former self is over."""
        over = [alert.pk for alert, _ in self.changed if alert.state not in FIRING_STATES]
        if over:
            version = max(number for _, number in self.changed)
            GroupMember.objects.filter(alert_id__in=over).update(firing=False, version=version)
        for alert, key in self.moved:
            stayed = GroupMember.objects.filter(alert=alert, key=key_of(alert.fingerprint, alert.severity))
            former = GroupMember.objects.filter(alert=alert, key=key)
            former.filter(group__in=stayed.values("group")).delete()
            former.update(firing=False)


_FITTED = [
    "receiver", "group_wait", "group_interval", "repeat_interval", "due_at", "flushed", "empty_since", "created_at",
]  # fmt: skip


def _new_group(key: str, first: _Joining, now: datetime) -> Group:
    route = first.route
    return Group(
        key=key, system_id=first.alert.system_id, receiver=route.receiver, labels=dict(first.labels),
        group_wait=route.group_wait, group_interval=route.group_interval, repeat_interval=route.repeat_interval,
        due_at=now + timedelta(seconds=route.group_wait), created_at=now,
    )  # fmt: skip


def _fit(group: Group, joining: _Joining, now: datetime) -> None:
    """Set when *group* is due now that one more alert joins; one that was empty for a while begins anew."""
    route = joining.route
    group.receiver = route.receiver
    group.group_wait, group.group_interval = route.group_wait, route.group_interval
    group.repeat_interval = route.repeat_interval
    timing = Timing(route.group_wait, route.group_interval, route.repeat_interval)
    starts_at, at = (joining.alert.fired_at or now).timestamp(), now.timestamp()
    if group.empty_since and (now - group.empty_since).total_seconds() >= KEEP_EMPTY_SECONDS:
        group.flushed, group.created_at = False, now
        due = first_due(starts_at, timing, now=at)
    else:
        due = still_due(group.due_at.timestamp(), starts_at, timing, flushed=group.flushed, now=at)
    group.empty_since = None
    group.due_at = now if due == at else datetime.fromtimestamp(due, now.tzinfo)


def _group_key(owner_id: int | None, system_id: int, route: Route, labels: Mapping[str, str]) -> str:
    """Return by which key a group is known: its route and its labels; each system has groups of its own."""
    parts: Sequence[Any] = [owner_id, system_id, route.key, route.receiver, sorted(labels.items())]
    return sha256(repr(parts).encode("utf-8", "surrogatepass")).hexdigest()


def _line(alert: Alert, now: datetime) -> AlertNotice:
    return AlertNotice(
        alert=alert, outcome=AlertNotice.Outcome.WITHHELD, cause=Cause.NO_RECEIVER, fingerprint=alert.fingerprint,
        at=now, detail="no target is set up for it",
    )  # fmt: skip
