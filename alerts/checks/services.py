"""What people decide about checks, what jobs say, and what becomes of silence."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import F

from alerts import lifecycle
from alerts.checks import queries, raising
from alerts.checks.models import Check, Ping
from alerts.checks.timing import Heard, after, missed
from alerts.models import Alert, Severity
from subsystems.event_log import services as event_log
from subsystems.event_log.streams import Stream
from subsystems.fleets.masking import Masking
from subsystems.kernel.errors import Invalid

KEEP = timedelta(days=30)
KEPT_PINGS = 1000  # of one check
AT_ONCE = 500
MAX_BODY = 10_000  # bytes
MAX_CHECKS = 5000  # of one system
MAX_TAGS = 20
TAG = re.compile(r"[\w.:/-]{1,60}|[a-zA-Z_][a-zA-Z0-9_]{0,59}=[^\0\n]{1,200}")
OURS = frozenset({"alertname", "severity", "system", "unit", "unit_kind", "check"})  # labels that no tag may set
FIELDS = ("name", "every_seconds", "crontab", "time_zone", "grace_seconds", "severity", "tags", "enabled")
_masking = Masking()


# --- What people decide ---


@transaction.atomic
def save_check(check: Check, by: User, *, now: datetime, **fields: Any) -> Check:
    """Set *fields* of a new or an old check and save it. Raises Invalid naming the field."""
    if check.pk is None and Check.objects.filter(system=check.system).count() >= MAX_CHECKS:
        raise Invalid(f"A system has at most {MAX_CHECKS:,} checks.", field="name")
    was_enabled = check.enabled if check.pk else True
    for name, value in fields.items():
        if name not in FIELDS:
            raise Invalid(f"A check has no field {name!r} that can be set.", field=name)
        setattr(check, name, value)
    _check(check, now)
    if check.enabled != was_enabled:
        _switch(check, now)
    elif check.status == Check.Status.UP and check.pinged_at:
        course = after(queries.course_of(check), queries.plan_of(check), Heard.SUCCESS, None, now=check.pinged_at)
        check.expected_at, check.down_at = course.expected_at, course.down_at
    try:
        with transaction.atomic():
            check.save()
    except IntegrityError:
        raise Invalid("Another check has this name.", field="name") from None
    _audit("check.saved", check, by)
    return check


@transaction.atomic
def delete_check(check: Check, by: User, *, now: datetime) -> None:
    """Delete a check with its history; its open alert ends."""
    still = Alert.objects.filter(fingerprint=raising.key_of(check)).exclude(state=Alert.State.RESOLVED)
    for alert in still:
        lifecycle.end(alert, Alert.Resolution.RULE, now=now)
    _audit("check.deleted", check, by)
    check.delete()


def _switch(check: Check, now: datetime) -> None:
    """Let a check that was paused or resumed begin anew, and its alert end."""
    check.status, check.reason, check.changed_at = Check.Status.NEW, "", now
    check.started_at = check.expected_at = check.down_at = None
    check.unsettled = True


def _check(check: Check, now: datetime) -> None:
    check.name = str(check.name).strip()
    if not check.name or "\0" in check.name:
        raise Invalid("A name has 1 to 120 characters.", field="name")
    if (check.every_seconds is None) == (not check.crontab):
        raise Invalid("Say how often, or give a crontab: one of them.", field="every_seconds")
    if check.severity not in Severity.values:
        raise Invalid(f"The severities are {', '.join(Severity.values)}.", field="severity")
    check.tags = _tags(check.tags)
    try:
        check.clean_fields(exclude=["system"])
    except ValidationError as error:
        name, mistakes = next(iter(error.message_dict.items()))
        raise Invalid(str(mistakes[0]), field=name) from None
    if queries.plan_of(check).expected(now) is None:
        raise Invalid("This crontab never comes.", field="crontab")


def _tags(given: Any) -> list[str]:
    if not isinstance(given, list) or len(given) > MAX_TAGS:
        raise Invalid(f"At most {MAX_TAGS} tags, as a list.", field="tags")
    for tag in given:
        if not isinstance(tag, str) or not TAG.fullmatch(tag):
            raise Invalid("A tag is a word, or name=value.", field="tags")
        if tag.partition("=")[0] in OURS and "=" in tag:
            raise Invalid(f"The label {tag.partition('=')[0]!r} is the platform's own.", field="tags")
    return list(dict.fromkeys(given))


def _audit(type_: str, check: Check, by: User) -> None:
    data = {"check": check.pk, "name": check.name}
    event_log.append(Stream.AUDIT, type_, data, system_id=check.system_id, actor=by.get_username())


# --- What jobs say ---


@dataclass(frozen=True, slots=True)
class Said:
    """One ping: what it says, and from where."""

    heard: Heard
    exit_code: int | None = None
    body: bytes = b""
    method: str = ""
    remote: str = ""
    agent: str = ""


def take(address: uuid.UUID, said: Said, *, now: datetime) -> bool:
    """Take a ping in; False when no check has this address. Alerts follow with the next tick."""
    with transaction.atomic():
        check = Check.objects.select_for_update().filter(address=address).first()
        if check is None:
            return False
        before = queries.course_of(check)
        course = after(before, queries.plan_of(check), said.heard, said.exit_code, now=now)
        ended = said.heard in (Heard.SUCCESS, Heard.FAIL)
        _note(check, said, course.duration_seconds if ended and before.started_at else None, now)
        changed: dict[str, Any] = {"pings": check.pings + 1, "pinged_at": now}
        if check.enabled and course != before:
            changed |= queries.columns_of(course)
            if course.status != before.status or (course.status == "down" and said.heard is Heard.FAIL):
                changed |= {"unsettled": True}
                changed |= {"changed_at": now} if course.status != before.status else {}
        Check.objects.filter(pk=check.pk).update(**changed)
    return True


def _note(check: Check, said: Said, took: float | None, now: datetime) -> None:
    failed = said.heard is Heard.FAIL or (said.heard is Heard.SUCCESS and said.exit_code)
    Ping.objects.create(
        of=check, number=check.pings + 1, kind=Ping.Kind.FAIL if failed else str(said.heard), exit_code=said.exit_code,
        at=now, duration_seconds=took, method=said.method[:4], remote=said.remote[:45], agent=said.agent[:200],
        body=_masking.masked(said.body[:MAX_BODY].decode("utf-8", "replace").replace("\0", "�")),
    )  # fmt: skip


# --- What becomes of silence ---


def turn(*, now: datetime) -> int:
    """Take down what stayed silent, and let alerts say what checks are; return how many went down of themselves.

    Running twice is safe, and side by side: rows are claimed. What a death left behind, the next turn finds.
    """
    silent = 0
    while found := _take_down(now):
        silent += found
    while raising.settle(now=now, limit=AT_ONCE):
        pass
    return silent


@transaction.atomic
def _take_down(now: datetime) -> int:
    due = Check.objects.filter(enabled=True, status__in=["new", "up"], down_at__lte=now)
    rows = list(queries.claimed(due).order_by("down_at")[:AT_ONCE])
    if not rows:
        return 0
    for check in rows:
        check.reason = missed(queries.course_of(check), queries.plan_of(check))
        check.changed_at, check.pings = check.down_at or now, check.pings + 1
        check.status, check.started_at, check.down_at, check.unsettled = Check.Status.DOWN, None, None, True
    fields = ["reason", "changed_at", "pings", "status", "started_at", "down_at", "unsettled"]
    Check.objects.bulk_update(rows, fields, batch_size=AT_ONCE)
    lines = [Ping(of=row, number=row.pings, kind=Ping.Kind.MISSED, at=row.changed_at, body=row.reason) for row in rows]
    Ping.objects.bulk_create(lines, batch_size=AT_ONCE)
    return len(rows)


def forget_pings(*, now: datetime) -> int:
    """Delete what was heard 30 days ago, and of each check all but the newest thousand; return how many."""
    old = Ping.objects.filter(at__lt=now - KEEP)
    many = Ping.objects.filter(number__lte=F("of__pings") - KEPT_PINGS)
    return old.delete()[0] + many.delete()[0]


def tags_of(text: str) -> list[str]:
    """Return the tags that people wrote between spaces or commas."""
    return [each for each in re.split(r"[\s,]+", text) if each]


def fields_of(given: Mapping[str, Any], names: Sequence[str] = FIELDS) -> dict[str, Any]:
    """Return the fields of a check among *given*."""
    return {name: given[name] for name in names if name in given}
