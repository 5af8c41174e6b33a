"""Reading checks and what was heard of them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connection
from django.db.models import Count, F

from alerts.checks.models import Check, Ping
from alerts.checks.timing import Course, Plan, Shown, shown
from subsystems.kernel.errors import Invalid
from subsystems.kernel.times import moment_text
from subsystems.s2_coordination.queries import cron_of, read_crontab

STRIP = 40  # pings of each check in a list


def plan_of(check: Check) -> Plan:
    """Return when *check* is to be heard of. Raises Invalid naming `crontab` or `time_zone`."""
    grace = timedelta(seconds=check.grace_seconds)
    if not check.crontab:
        return Plan(grace, every=timedelta(seconds=check.every_seconds or 0))
    try:
        return Plan(grace, cron=cron_of(read_crontab(check.crontab, check.time_zone)))
    except Invalid as error:
        raise Invalid(error.detail, field="time_zone" if error.field == "timezone" else "crontab") from None


def course_of(check: Check) -> Course:
    """Return how *check* stands."""
    return Course(
        str(check.status), check.reason, check.started_at, check.expected_at, check.down_at, check.duration_seconds
    )


def columns_of(course: Course) -> dict[str, Any]:
    """Return *course* as the columns of a check."""
    return {name: getattr(course, name) for name in Course.__slots__}


def shown_as(check: Check, *, now: datetime) -> Shown:
    """Return what people see of *check* now."""
    return shown(course_of(check), enabled=check.enabled, now=now)


def claimed(rows: Any, *, of: str = "") -> Any:
    """Return *rows* locked for this transaction, without those that another worker has."""
    features = connection.features
    tables = (of,) if of and features.has_select_for_update_of else ()
    return rows.select_for_update(skip_locked=features.has_select_for_update_skip_locked, of=tables)


def ping_url(check: Check) -> str:
    """Return where the job of *check* says that it ran."""
    return f"{settings.EXTERNAL_URL}/ping/{check.address}"


def check_body(check: Check, *, now: datetime, with_address: bool) -> dict[str, Any]:
    """Return one check as JSON; its address only for those who may operate it."""
    return {
        "id": check.pk,
        "system": check.system.slug,
        "name": check.name,
        "status": str(shown_as(check, now=now)),
        "reason": check.reason,
        "running": check.started_at is not None,
        "every_seconds": check.every_seconds,
        "crontab": check.crontab,
        "time_zone": check.time_zone,
        "grace_seconds": check.grace_seconds,
        "severity": check.severity,
        "tags": check.tags,
        "enabled": check.enabled,
        "pings": check.pings,
        "pinged_at": moment_text(check.pinged_at),
        "started_at": moment_text(check.started_at),
        "expected_at": moment_text(check.expected_at),
        "down_at": moment_text(check.down_at),
        "changed_at": moment_text(check.changed_at),
        "duration_seconds": check.duration_seconds,
        "ping_url": ping_url(check) if with_address else None,
    }


def ping_body(ping: Ping) -> dict[str, Any]:
    """Return one thing that was heard as JSON."""
    return {
        "number": ping.number, "kind": str(ping.kind), "exit_code": ping.exit_code, "at": moment_text(ping.at),
        "duration_seconds": ping.duration_seconds, "method": ping.method, "remote": ping.remote, "agent": ping.agent,
        "body": ping.body,
    }  # fmt: skip


def strips(checks: Iterable[Check]) -> dict[int, list[Ping]]:
    """Return the newest pings of each check, oldest first, without bodies, in one query."""
    wanted = [check.pk for check in checks]
    found: dict[int, list[Ping]] = {pk: [] for pk in wanted}
    newest = Ping.objects.filter(of__in=wanted, number__gt=F("of__pings") - STRIP)
    for ping in newest.defer("body", "agent").order_by("number"):
        found[ping.of_id].append(ping)
    return found


def counts(system_ids: Iterable[int], *, now: datetime) -> dict[tuple[int, str], int]:
    """Return how many checks of each system are shown as what, in two queries."""
    mine = Check.objects.filter(system_id__in=list(system_ids)).order_by()
    rows = mine.values_list("system_id", "status", "enabled").annotate(Count("pk"))
    late = mine.filter(enabled=True, status=Check.Status.UP, expected_at__lt=now).values_list("system_id")
    found: dict[tuple[int, str], int] = {}
    for system_id, status, enabled, number in rows:
        key = (system_id, status if enabled else "paused")
        found[key] = found.get(key, 0) + number
    for system_id, number in late.annotate(Count("pk")):
        found[system_id, "late"] = number
        found[system_id, "up"] -= number
    return found
