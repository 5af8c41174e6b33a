"""What moves notices on, and what people decide about them: silences, windows, routing, targets."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings as django_settings
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction

from alerts.delivery import sending
from alerts.delivery.channels import checked, divided
from alerts.notices import payload, queries
from alerts.notices.flushing import flush_due, release_held
from alerts.notices.matchers import all_match, read_matchers, text_of
from alerts.notices.models import MaintenanceWindow, Notification, Routing, Silence, Target
from alerts.notices.reporting import end_overdue
from alerts.notices.routing import DEFAULT, read_routing
from alerts.notices.silencing import LONGEST_SILENCE, MAX_PREVIEW, REMIND_BEFORE, check_hiding, check_recurrence
from alerts.notices.sorting import sort_batch
from alerts.people.models import EscalationPolicy
from subsystems.event_log import services as event_log
from subsystems.event_log.streams import Stream
from subsystems.kernel.errors import Invalid, Refused
from subsystems.kernel.times import moment_text
from subsystems.messaging.services import announce
from subsystems.recursion.models import System
from subsystems.s1_operations.sealing import seal

FLUSH_SECONDS = 1.0  # between two batches that are sorted
BUDGET_SECONDS = 12.0  # of one turn; the next one goes on
KEEP = timedelta(days=30)
FORGOTTEN_AT_ONCE = 5_000
MAX_TARGETS = 200  # of a system


# --- What moves ---


def turn(*, now: datetime) -> None:
    """Sort what changed and flush what is due, and look to the ends of things. Two at once share the work."""
    while end_overdue(now=now):
        pass
    release_held(now=now)
    remind(now=now)
    group(now=now)


def group(*, now: datetime) -> int:
    """Sort alerts into groups until none is left, and flush the groups that are due; return how many were sorted."""
    until = time.monotonic() + BUDGET_SECONDS
    sorted_ = 0
    busy = True
    while busy and time.monotonic() < until:
        found = sort_batch(now=now)
        sorted_ += found
        # By turns: the critical are sorted first, and wait neither for a storm to be sorted nor for it to be flushed.
        flushed = flush_due(now=now, budget=FLUSH_SECONDS)
        busy = bool(found or flushed)
    return sorted_


def notify(*, now: datetime, budget: float = BUDGET_SECONDS) -> int:
    """Send what is due until nothing is left; return how many were tried."""
    until, tried = time.monotonic() + budget, 0
    while time.monotonic() < until and (found := sending.send_due(now=now)):
        tried += found
    return tried


def remind(*, now: datetime) -> int:
    """Tell those who hear of a system's alerts that a silence ends soon; return how many were told of."""
    ending = Silence.objects.filter(reminded_at=None, ends_at__gt=now, ends_at__lte=now + REMIND_BEFORE)
    told = 0
    for silence in ending.select_related("system")[:50]:
        if silence.ends_at - silence.starts_at <= 2 * REMIND_BEFORE:
            continue  # whoever set it a moment ago remembers
        with transaction.atomic():
            if Silence.objects.filter(pk=silence.pk, reminded_at=None).update(reminded_at=now):
                told += 1
                _remind(silence, now)
    return told


def forget_old(*, now: datetime) -> int:
    """Delete the log of 30 days ago, and silences that have been over for as long; return how many rows."""
    old = Notification.objects.filter(created_at__lt=now - KEEP).exclude(state=Notification.State.WAITING)
    forgotten = Notification.objects.filter(pk__in=list(old.values_list("pk", flat=True)[:FORGOTTEN_AT_ONCE])).delete()
    return forgotten[0] + Silence.objects.filter(ends_at__lt=now - KEEP).delete()[0]


# --- Silences ---


def create_silence(
    system: System, by: User, matchers: object, ends_at: datetime, comment: str, *, now: datetime,
    starts_at: datetime | None = None,
) -> Silence:  # fmt: skip
    """Hide what *matchers* mean in *system* and below until *ends_at*. Raises Invalid."""
    wanted = read_matchers(matchers)
    check_hiding(wanted)
    begins = max(starts_at or now, now)
    if ends_at <= begins:
        raise Invalid("It must end after it begins, and in the future.", field="ends_at")
    if ends_at - begins > LONGEST_SILENCE:
        raise Invalid(f"A silence lasts {LONGEST_SILENCE.days} days at most.", field="ends_at")
    if not comment.strip() or len(comment) > 500 or "\0" in comment:
        raise Invalid("Say why, in 500 characters at most.", field="comment")
    silence = Silence(
        system=system, matchers=text_of(wanted), starts_at=begins, ends_at=ends_at, author=by,
        author_name=by.get_username(), comment=comment.strip(), created_at=now,
    )  # fmt: skip
    with transaction.atomic():
        silence.save()
        _audit("silence.created", system, by, {"silence": silence.pk, "matchers": silence.matchers,
               "until": moment_text(ends_at), "comment": silence.comment})  # fmt: skip
    return silence


def expire_silence(silence: Silence, by: User, *, now: datetime) -> Silence:
    """End a silence now. Raises Refused when it is over already."""
    with transaction.atomic():
        starts = min(silence.starts_at, now)
        if not Silence.objects.filter(pk=silence.pk, ends_at__gt=now).update(ends_at=now, starts_at=starts):
            raise Refused("This silence is over already.", code="not_open")
        _audit("silence.expired", silence.system, by, {"silence": silence.pk})
    silence.refresh_from_db()
    return silence


def preview(system: System, matchers: object) -> dict[str, Any]:
    """Return which open alerts such a silence would hide now: how many, and the first hundred. Raises Invalid."""
    wanted = read_matchers(matchers)
    tree = queries.Tree.read()
    below = [pk for pk in tree.parents if system.pk in tree.upwards(pk)]
    found: list[dict[str, Any]] = []
    count = 0
    rows = queries.hidden_now(below, wanted).values("id", "title", "severity", "state", "labels")
    for row in rows.iterator(chunk_size=queries.READ_AT_ONCE):
        if all_match(wanted, row["labels"]):
            count += 1
            if len(found) < MAX_PREVIEW:
                found.append(dict(row))
    return {"count": count, "alerts": found, "hides_all": not wanted or all(each.matches({}) for each in wanted)}


# --- Maintenance windows ---

WINDOW_FIELDS = (
    "name", "matchers", "starts_at", "duration_seconds", "time_zone", "recurrence", "enabled", "comment",
)  # fmt: skip


def save_window(window: MaintenanceWindow, by: User, **fields: Any) -> MaintenanceWindow:
    """Set *fields* of a new or an old window and save it. Raises Invalid naming the field."""
    for name, value in fields.items():
        if name not in WINDOW_FIELDS:
            raise Invalid(f"A window has no field {name!r} that can be set.", field=name)
        setattr(window, name, value)
    if not window.name.strip() or len(window.name) > 120 or "\0" in window.name + window.comment:
        raise Invalid("A name has 1 to 120 characters.", field="name")
    window.matchers = text_of(read_matchers(window.matchers))
    check_recurrence(queries.recurrence_of(window))
    if window.pk is None:
        window.created_by = by
    with transaction.atomic():
        _save(window, "Another window has this name.")
        _audit("maintenance_window.saved", window.system, by, {"window": window.pk, "name": window.name})
    return window


def delete_window(window: MaintenanceWindow, by: User) -> None:
    """Delete a window."""
    with transaction.atomic():
        _audit("maintenance_window.deleted", window.system, by, {"window": window.pk, "name": window.name})
        window.delete()


# --- Routing ---


def routing_of(system: System) -> dict[str, Any]:
    """Return the document that *system* wrote, or the default."""
    found = Routing.objects.filter(system=system).first()
    document: dict[str, Any] = found.document if found else DEFAULT
    return {"document": document, "version": found.version if found else 0, "own": found is not None}


def save_routing(system: System, document: object, by: User, *, now: datetime) -> Routing:
    """Let *document* say who is told of the alerts of *system*. Raises Invalid naming the place."""
    wanted = read_routing(document)
    unknown = wanted.target_names() - set(Target.objects.filter(system=system).values_list("name", flat=True))
    if unknown:
        raise Invalid(f"There is no target {sorted(unknown)[0]!r} in this system.", field="receivers")
    missing = wanted.escalation_names() - set(queries.escalations_of(system))
    if missing:
        raise Invalid(f"There is no escalation policy {sorted(missing)[0]!r} here or above.", field="receivers")
    with transaction.atomic():
        made, _ = Routing.objects.get_or_create(system=system, defaults={"document": document, "version": 0})
        made = Routing.objects.select_for_update().get(pk=made.pk)
        made.document, made.version, made.updated_at, made.updated_by = document, made.version + 1, now, by
        made.save()
        _audit("routing.saved", system, by, {"version": made.version})
    return made


def drop_routing(system: System, by: User) -> None:
    """Let the system above say who is told, or the default."""
    with transaction.atomic():
        if Routing.objects.filter(system=system).delete()[0]:
            _audit("routing.dropped", system, by, {})


def try_routing(system: System, labels: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return where an alert of *system* with *labels* would go, and with which others it would be told."""
    policy = queries.policies(queries.Tree.read(), [system.pk])[system.pk]
    return [
        {
            "receiver": route.receiver,
            "targets": [target.name for target in policy.targets_of(route.receiver)],
            "escalation": queries.escalation_name(policy, route.receiver, labels),
            "group": route.group_labels(labels),
            "group_wait": route.group_wait,
            "group_interval": route.group_interval,
            "repeat_interval": route.repeat_interval,
        }
        for route in policy.routing.route.match(labels)
    ]


# --- Targets ---


def save_target(
    target: Target, by: User, *, settings: Mapping[str, object] | None = None, fallback: str | None = None,
    **fields: Any,
) -> Target:  # fmt: skip
    """Save a new or an old target. Of an old one, secrets that are not given stay. Raises Invalid naming the field."""
    for name in ("name", "kind", "enabled"):
        if name in fields:
            setattr(target, name, fields[name])
    _check_names(target)
    if settings is not None:
        _set(target, settings)
    if fallback is not None:
        target.fallback = _fallback(target, fallback)
    target.failures, target.rests_until, target.last_error = 0, None, ""  # what was changed is tried at once
    with transaction.atomic():
        _save(target, "Another target has this name.")
        _audit("target.saved", target.system, by, {"target": target.pk, "name": target.name, "kind": target.kind})
    return target


def delete_target(target: Target, by: User) -> None:
    """Delete a target. Raises Refused while the routing names it."""
    routing = Routing.objects.filter(system=target.system).first()
    if routing and target.name in read_routing(routing.document).target_names():
        raise Refused("The routing names this target.", code="in_use")
    for policy in EscalationPolicy.objects.filter(system=target.system) if target.system else ():
        if any(step.get("notify") == {"target": target.pk} for step in policy.steps):
            raise Refused(f"The escalation policy {policy.name!r} names this target.", code="in_use")
    with transaction.atomic():
        _audit("target.deleted", target.system, by, {"target": target.pk, "name": target.name})
        target.delete()


def test_target(target: Target, by: User, *, now: datetime) -> Notification:
    """Send a test to *target* now, and return what became of it."""
    return try_target(target, by, target.system, now=now)


def try_target(target: Target, by: User, home: System | None, *, now: datetime) -> Notification:
    """Send a test to *target* now, and return what became of it; *home* is the system whose log keeps it."""
    if home is None:
        raise Refused("A test is logged in a system, and there is none.", code="no_system")
    told = payload.Told(
        {"alertname": "Test", "system": home.slug, "severity": "info"},
        {"summary": f"{by.get_username()} tests whether this arrives."}, True, moment_text(now), None, "0" * 64, "info",
        "A test", url=f"{django_settings.EXTERNAL_URL}/dashboard/notifications/",
    )  # fmt: skip
    notification = write_plain(target, home, "test", told, now)
    mine = Notification.objects.filter(pk=notification.pk)
    mine.update(claimed_until=now + sending.LEASE, attempts=1)
    _audit("target.tested", target.system, by, {"target": target.pk, "name": target.name})
    return sending.send_test(notification, now=now)


def write_plain(target: Target, system: System, reason: str, told: payload.Told, now: datetime) -> Notification:
    """Write a notification that is about no alert."""
    body = payload.body_of(
        [told], group_key=f"{reason} {target.pk} {now.timestamp():.0f}", group_labels={"alertname": told.title},
        receiver="", firing=1, resolved=0, reason=reason, external_url=django_settings.EXTERNAL_URL,
    )  # fmt: skip
    return Notification.objects.create(
        system=system, target=target, target_name=target.name, kind=target.kind, receiver="", reason=reason,
        severity=told.severity, title=payload.title_of(body), body=body, firing_count=0, created_at=now, due_at=now,
    )  # fmt: skip


def _remind(silence: Silence, now: datetime) -> None:
    policy = queries.policies(queries.Tree.read(), [silence.system_id])[silence.system_id]
    told = payload.Told(
        {"alertname": "SilenceEnds", "severity": "info", "system": silence.system.slug},
        {"summary": f"A silence ends at {moment_text(silence.ends_at)}: {silence.matchers} ({silence.comment})"},
        True, moment_text(now), None, "0" * 64, "info", "A silence ends soon",
        url=f"{django_settings.EXTERNAL_URL}/dashboard/silences/?system={silence.system.slug}",
    )  # fmt: skip
    for target in policy.targets_of(policy.routing.route.receiver):
        write_plain(target, silence.system, "silence_ends", told, now)
    transaction.on_commit(lambda: announce("alerts.notifications_due", {}), robust=True)


def _check_names(target: Target) -> None:
    if not target.name.strip() or len(target.name) > 120 or "\0" in target.name:
        raise Invalid("A name has 1 to 120 characters.", field="name")
    before = Target.objects.filter(pk=target.pk).first() if target.pk else None
    if before and before.kind != target.kind:
        raise Invalid("A target keeps its kind.", field="kind")
    if before and before.name != target.name:
        raise Invalid("A target keeps its name: the routing knows it by that.", field="name")
    if before is None and target.beside().count() >= MAX_TARGETS:
        raise Invalid(f"At most {MAX_TARGETS} targets.", field="name")


def _set(target: Target, settings: Mapping[str, object]) -> None:
    shown, secret = divided(target.kind, settings)
    kept = {}
    if target.pk and target.secrets_sealed:
        kept = {k: v for k, v in sending.settings_of(target).items() if k in target.secret_names}
    emptied = {name for name, value in settings.items() if isinstance(value, str) and not value.strip()}
    secrets = {name: value for name, value in {**kept, **secret}.items() if name not in emptied or name in secret}
    checked(target.kind, {**shown, **secrets})
    target.config, target.secret_names = shown, sorted(secrets)
    sealed = seal(json.dumps(secrets), django_settings.SECRET_KEY, sending.PURPOSE) if secrets else ""
    target.secrets_sealed = sealed


def _fallback(target: Target, name: str) -> Target | None:
    if not name:
        return None
    found = target.beside().filter(name=name).exclude(pk=target.pk).first()
    if found is None:
        raise Invalid(f"There is no other target {name[:60]!r} here.", field="fallback")
    return found


def _save(row: MaintenanceWindow | Target, taken: str) -> None:
    try:
        with transaction.atomic():
            row.save()
    except IntegrityError:
        raise Invalid(taken, field="name") from None


def _audit(type_: str, system: System | None, by: User, data: Mapping[str, Any]) -> None:
    event_log.append(Stream.AUDIT, type_, data, system_id=system.pk if system else None, actor=by.get_username())
