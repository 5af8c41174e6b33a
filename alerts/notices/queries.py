"""Reading who is told of what, and what was told."""

from __future__ import annotations

import json
from array import array
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from django.db.models import Count, Q, QuerySet

from alerts.models import Alert
from alerts.notices import routing
from alerts.notices.inhibition import PARENT_LABEL, PARENT_VALUE, Firing, Inhibitor
from alerts.notices.matchers import Op, read_matchers
from alerts.notices.models import AlertNotice, MaintenanceWindow, Notification, Routing, Silence, Target
from alerts.notices.silencing import Cause, Hiding, Muted, Recurrence, first_hiding
from alerts.people.models import EscalationPolicy
from subsystems.kernel.times import moment_text
from subsystems.recursion.models import System

Place = tuple[str, ...]
ESCALATION_LABEL = "escalation"  # by which an alert names a policy
READ_AT_ONCE = 2000
# To people, an alert fires until it is resolved; one that lost its data, or recovers, is not over.
FIRING_STATES = (Alert.State.FIRING, Alert.State.RECOVERING, Alert.State.NO_DATA, Alert.State.ERROR)


@dataclass
class Tree:
    """The systems, as far as routing goes up them; read once for many alerts."""

    parents: dict[int, int | None] = field(default_factory=dict)
    slugs: dict[int, str] = field(default_factory=dict)

    @classmethod
    def read(cls) -> Tree:
        rows = list(System.objects.values_list("pk", "parent_id", "slug"))
        return cls({pk: parent for pk, parent, _ in rows}, {pk: slug for pk, _, slug in rows})

    def upwards(self, system_id: int | None) -> Iterator[int]:
        """Yield the system and every one above it."""
        seen: set[int] = set()
        while system_id is not None and system_id not in seen:
            seen.add(system_id)
            yield system_id
            system_id = self.parents.get(system_id)

    def place(self, system_id: int, unit_id: int | None) -> Place:
        """Return where something is, from the root down."""
        path = tuple(self.slugs[pk] for pk in reversed(list(self.upwards(system_id))) if pk in self.slugs)
        return path if unit_id is None else (*path, f"unit {unit_id}")


@dataclass
class Policy:
    """The routing that holds for a system, whose it is, and its targets by name."""

    routing: routing.Routing
    owner_id: int | None = None
    targets: dict[str, Target] = field(default_factory=dict)
    escalations: dict[str, int] = field(default_factory=dict)  # the numbers of its policies, and of those above

    def escalation_of(self, receiver: str, labels: Mapping[str, str]) -> int | None:
        """Return the number of the policy that an alert names by its label, else the one of *receiver*."""
        named = self.routing.receivers.get(receiver)
        found = self.escalations.get(labels.get(ESCALATION_LABEL, ""))
        return found or self.escalations.get(named.escalation if named else "")

    def hears(self, receiver: str, labels: Mapping[str, str]) -> bool:
        """Return whether *receiver* stands for anybody at all."""
        return bool(self.targets_of(receiver)) or self.escalation_of(receiver, labels) is not None

    def targets_of(self, receiver: str) -> list[Target]:
        """Return the enabled targets that *receiver* stands for."""
        if receiver == routing.EVERYONE:
            return list(self.targets.values())
        named = self.routing.receivers.get(receiver)
        return [self.targets[name] for name in (named.targets if named else ()) if name in self.targets]

    def silent_about_resolved(self, receiver: str) -> bool:
        named = self.routing.receivers.get(receiver)
        return named is not None and not named.send_resolved


def policies(tree: Tree, system_ids: Iterable[int]) -> dict[int, Policy]:
    """Return the policy of each system: its own, else that of the nearest system above it which has one."""
    wanted = set(system_ids)
    line = {above for pk in wanted for above in tree.upwards(pk)}
    documents = {each.system_id: each for each in Routing.objects.filter(system_id__in=line)}
    targets: dict[int, dict[str, Target]] = defaultdict(dict)
    for target in Target.objects.filter(system_id__in=line, enabled=True):
        targets[target.system_id or 0][target.name] = target
    plans: dict[int, dict[str, int]] = defaultdict(dict)
    named = EscalationPolicy.objects.filter(system_id__in=line, enabled=True)
    for system_id, name, pk in named.values_list("system_id", "name", "pk"):
        plans[system_id][name] = pk
    found = {pk: _policy(list(tree.upwards(pk)), documents, targets) for pk in wanted}
    for pk, policy in found.items():
        for above in reversed(list(tree.upwards(pk))):  # the nearest last: it holds
            policy.escalations |= plans.get(above, {})
    return found


def _policy(line: Sequence[int], documents: Mapping[int, Routing], targets: Mapping[int, dict[str, Target]]) -> Policy:
    for pk in line:
        if pk in documents:
            return Policy(_parsed(json.dumps(documents[pk].document)), pk, dict(targets.get(pk, {})))
    owner = next((pk for pk in line if targets.get(pk)), None)
    default = _parsed(json.dumps(routing.DEFAULT))
    return Policy(default, owner, dict(targets.get(owner, {})) if owner is not None else {})


@lru_cache(maxsize=64)
def _parsed(document: str) -> routing.Routing:
    return routing.read_routing(json.loads(document))


def escalations_of(system: System) -> dict[str, int]:
    """Return the escalation policies that *system* can name: its own, and those of the systems above."""
    return policies(Tree.read(), [system.pk])[system.pk].escalations


def escalation_name(policy: Policy, receiver: str, labels: Mapping[str, str]) -> str:
    """Return the name of the escalation policy that an alert with *labels* would start; empty for none."""
    chosen = policy.escalation_of(receiver, labels)
    return next((name for name, pk in policy.escalations.items() if pk == chosen), "")


# --- What hides alerts now ---


def silences_at(system_ids: Collection[int], moment: datetime) -> list[Hiding]:
    """Return the silences of these systems that are active at *moment*."""
    active = Silence.objects.filter(system_id__in=system_ids, starts_at__lte=moment, ends_at__gt=moment)
    rows = active.order_by("pk").values_list("pk", "matchers", "comment")
    return [Hiding(pk, read_matchers(text), Muted(Cause.SILENCE, pk, words[:200])) for pk, text, words in rows]


def windows_at(system_ids: Collection[int], moment: datetime) -> list[Hiding]:
    """Return the maintenance windows of these systems that are open at *moment*."""
    windows = MaintenanceWindow.objects.filter(system_id__in=system_ids, enabled=True, starts_at__lte=moment)
    return [
        Hiding(each.pk, read_matchers(each.matchers), Muted(Cause.MAINTENANCE, each.pk, each.name))
        for each in windows.order_by("pk")
        if recurrence_of(each).occurrence(moment) is not None
    ]


def recurrence_of(window: MaintenanceWindow) -> Recurrence:
    """Return when *window* is open."""
    duration = timedelta(seconds=window.duration_seconds)
    return Recurrence(window.starts_at, duration, window.time_zone, window.recurrence)


@dataclass
class Mutes:
    """All that hides alerts of one system at one moment, read once for all its groups."""

    hidings: list[Hiding]
    inhibitor: Inhibitor

    @classmethod
    def read(cls, tree: Tree, system_id: int, policy: Policy, moment: datetime) -> Mutes:
        line = list(tree.upwards(system_id))
        hidings = silences_at(line, moment) + windows_at(line, moment)
        sources = _sources(tree, line, system_id, policy.routing)
        return cls(hidings, Inhibitor(policy.routing.inhibitions, sources, children=policy.routing.inhibit_children))

    def mute(self, labels: Mapping[str, str], place: Place, *, firing: bool) -> Muted | None:
        """Return what keeps people from being told of an alert."""
        hidden = first_hiding(self.hidings, labels, firing=firing)
        if hidden is not None:
            return hidden
        by = self.inhibitor.inhibited(labels, place)
        if by is None:
            return None
        return Muted(Cause.INHIBITED if by.rule else Cause.PARENT, by.by, by.rule)


def _sources(tree: Tree, line: Sequence[int], system_id: int, wanted: routing.Routing) -> Iterator[Firing]:
    """Yield the firing alerts that could keep others quiet: of the system by rules, of those above as parents."""
    firing = Alert.objects.filter(state__in=FIRING_STATES)
    own = Q(system_id=system_id)
    severities = [_severities(rule.source) for rule in wanted.inhibitions]
    may = Q(pk__in=[]) if not severities else own
    if severities and all(severities):
        may = own & Q(severity__in=set().union(*severities))
    if wanted.inhibit_children:
        may |= Q(system_id__in=line, **{f"labels__{PARENT_LABEL}": PARENT_VALUE})
    rows = firing.filter(may).values_list("pk", "labels", "system_id", "unit_id").order_by("pk")
    for pk, labels, system, unit in rows.iterator(chunk_size=READ_AT_ONCE):
        yield Firing(pk, labels, tree.place(system, unit))


def _severities(source: Sequence[Any]) -> set[str]:
    """Return the severities that *source* can mean, where it says so plainly."""
    return {each.value for each in source if each.name == "severity" and each.op is Op.EQUAL}


# --- What was told ---


def told_lately(fingerprints: Collection[str], since: datetime) -> dict[str, list[datetime]]:
    """Return when people were told of each fingerprint, one moment per message."""
    found: dict[str, set[datetime]] = defaultdict(set)
    lines = AlertNotice.objects.filter(
        fingerprint__in=fingerprints, at__gt=since, outcome__in=(AlertNotice.Outcome.TOLD, AlertNotice.Outcome.OVER)
    )
    for fingerprint, at in lines.values_list("fingerprint", "at"):
        found[fingerprint].add(at)
    return {fingerprint: sorted(moments) for fingerprint, moments in found.items()}


def fired_lately(fingerprints: Collection[str], since: datetime) -> dict[str, list[datetime]]:
    """Return when alerts with each fingerprint began to fire."""
    found: dict[str, list[datetime]] = defaultdict(list)
    rows = Alert.objects.filter(fingerprint__in=fingerprints, fired_at__gt=since).values_list("fingerprint", "fired_at")
    for fingerprint, at in rows:
        if at is not None:
            found[fingerprint].append(at)
    return found


def packed(keys: Iterable[int]) -> bytes:
    """Return *keys* as they are stored: eight bytes each."""
    return array("q", sorted(keys)).tobytes()


def unpacked(stored: bytes | memoryview) -> frozenset[int]:
    """Return what `packed` stored."""
    found = array("q")
    found.frombytes(bytes(stored))
    return frozenset(found)


# --- On the wire ---


def target_body(target: Target) -> dict[str, Any]:
    """Return one target as JSON; of its secrets only which are set."""
    return {
        "id": target.pk,
        "system": target.system.slug if target.system else None,
        "name": target.name,
        "kind": target.kind,
        "config": target.config,
        "secrets": dict.fromkeys(target.secret_names, "••••"),
        "fallback": target.fallback.name if target.fallback else None,
        "enabled": target.enabled,
        "failures": target.failures,
        "rests_until": moment_text(target.rests_until),
        "last_error": target.last_error,
        "last_sent_at": moment_text(target.last_sent_at),
    }


def silence_body(silence: Silence, now: datetime) -> dict[str, Any]:
    """Return one silence as JSON."""
    state = "pending" if silence.starts_at > now else "active" if silence.ends_at > now else "expired"
    return {
        "id": silence.pk,
        "system": silence.system.slug,
        "matchers": [each.to_wire() for each in read_matchers(silence.matchers)],
        "text": silence.matchers,
        "starts_at": moment_text(silence.starts_at),
        "ends_at": moment_text(silence.ends_at),
        "state": state,
        "created_by": silence.author_name,
        "comment": silence.comment,
        "created_at": moment_text(silence.created_at),
    }


def window_body(window: MaintenanceWindow, now: datetime) -> dict[str, Any]:
    """Return one window as JSON, with when it is open next."""
    recurrence = recurrence_of(window)
    current, coming = recurrence.occurrence(now), recurrence.upcoming(now)
    return {
        "id": window.pk,
        "system": window.system.slug,
        "name": window.name,
        "matchers": window.matchers,
        "starts_at": moment_text(window.starts_at),
        "duration_seconds": window.duration_seconds,
        "time_zone": window.time_zone,
        "recurrence": window.recurrence,
        "enabled": window.enabled,
        "comment": window.comment,
        "open_until": moment_text(current[1]) if current and window.enabled else None,
        "next": [moment_text(each) for each in coming] if coming else None,
    }


def notification_body(notification: Notification) -> dict[str, Any]:
    """Return one notification as JSON."""
    return {
        "id": str(notification.pk),
        "system": notification.system.slug,
        "title": notification.title,
        "target": notification.target_name,
        "kind": notification.kind,
        "receiver": notification.receiver,
        "reason": notification.reason,
        "severity": notification.severity,
        "state": str(notification.state),
        "firing": notification.firing_count,
        "resolved": notification.resolved_count,
        "created_at": moment_text(notification.created_at),
        "sent_at": moment_text(notification.sent_at),
        "attempts": notification.attempts,
        "next_try_at": moment_text(notification.due_at) if notification.state == "waiting" else None,
        "last_error": notification.last_error,
        "stands_in_for": str(notification.stands_in_for_id) if notification.stands_in_for_id else None,
    }


def line_body(line: AlertNotice) -> dict[str, Any]:
    """Return one line of an alert's log as JSON."""
    sent = line.notification
    return {
        "alert_id": line.alert_id,
        "alert": line.alert.title,
        "system": line.alert.system.slug,
        "outcome": str(line.outcome),
        "cause": line.cause,
        "cause_id": line.cause_id,
        "detail": line.detail,
        "at": moment_text(line.at),
        "notification": str(sent.pk) if sent else None,
        "target": sent.target_name if sent else None,
        "state": str(sent.state) if sent else None,
    }


def withheld_counts(system_ids: Collection[int], since: datetime) -> dict[str, int]:
    """Return for how many alerts each cause withheld something since then."""
    lines = AlertNotice.objects.filter(alert__system_id__in=system_ids, outcome="withheld", at__gte=since)
    counted = lines.values("cause").annotate(alerts=Count("alert", distinct=True)).order_by("-alerts")
    return {row["cause"]: row["alerts"] for row in counted}


def hidden_now(system_ids: Collection[int], matchers: Sequence[Any]) -> QuerySet[Alert]:
    """Return the open alerts that could be hidden, narrowed by what a database can compare; see `preview`."""
    alerts = Alert.objects.filter(system_id__in=system_ids).exclude(state=Alert.State.RESOLVED)
    for each in matchers:
        if each.name == "severity" and each.op is Op.EQUAL:
            alerts = alerts.filter(severity=each.value)
    return alerts.order_by("-pk")
