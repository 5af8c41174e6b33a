"""Noise of rules, statistics of answers, and the calendar of what is quiet when."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from alerts import services
from alerts.models import Alert, AlertNotice, AlertRule, MaintenanceWindow, Notification, Silence
from alerts.numbers import queries
from alerts.numbers.weeks import percentile
from subsystems.recursion.queries import root_system
from tests.support.factories import make_user

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)  # a Friday
MINUTE = timedelta(minutes=1)


def make_rule(name: str) -> AlertRule:
    return AlertRule.objects.create(system=root_system(), name=name, metric="disk", threshold=1)


def fired(rule: AlertRule | None, ago: timedelta, lasted: timedelta, **fields: Any) -> Alert:
    number, at = Alert.objects.count(), NOW - ago
    given = {
        "severity": "warning",
        "state": "resolved",
        "resolution": "condition",
        "resolved_at": at + lasted,
        **fields,
    }
    return Alert.objects.create(
        system=root_system(), rule=rule, type="rule", title="x", subject="x", fingerprint=str(number), pending_at=at,
        fired_at=at, **given,
    )  # fmt: skip


def test_the_noise_of_a_rule_is_counted(django_assert_max_num_queries: DjangoAssertNumQueries) -> None:
    """How often, how long, how many were told, and how much of it mattered to anybody."""
    loud, quiet = make_rule("Loud"), make_rule("Quiet")
    fired(loud, timedelta(days=1), 2 * MINUTE)
    fired(loud, timedelta(days=2), 4 * MINUTE, acknowledged_at=NOW)
    told = fired(loud, timedelta(days=3), 30 * MINUTE, resolution="false_alarm")
    fired(loud, timedelta(minutes=10), 9 * MINUTE, state="firing", resolved_at=None, resolution="")
    fired(loud, timedelta(days=40), MINUTE)
    sent = Notification.objects.create(
        system=root_system(), target_name="ops", kind="webhook", receiver="r", reason="firing", severity="warning",
        title="x", body={}, due_at=NOW,
    )  # fmt: skip
    for outcome in ("told", "over"):
        AlertNotice.objects.create(alert=told, notification=sent, outcome=outcome, fingerprint="x", at=NOW)

    system = root_system()
    with django_assert_max_num_queries(3):
        first, second = queries.noise(system, now=NOW)

    assert (first.rule, second.rule) == (loud, quiet)
    assert (first.fired, round(first.minutes), first.told, first.false_alarms) == (4, 46, 1, 1)
    assert (first.acknowledged, first.by_itself, first.share) == (0.25, 0.5, 1.0)
    assert (second.fired, second.acknowledged) == (0, None)


def test_the_weeks_and_hours_are_counted(django_assert_max_num_queries: DjangoAssertNumQueries) -> None:
    """An empty week is shown as one."""
    fired(None, timedelta(0), 10 * MINUTE, severity="critical", acknowledged_at=NOW + MINUTE)
    fired(None, timedelta(hours=1), 20 * MINUTE, acknowledged_at=NOW - timedelta(hours=1) + 3 * MINUTE)
    fired(None, timedelta(days=14), MINUTE, resolution="false_alarm")

    system = root_system()
    with django_assert_max_num_queries(1):
        told = queries.statistics(system, now=NOW)

    last = told.weeks[-1]
    assert [each.total for each in told.weeks] == [0, 0, 1, 0, 2]
    assert dict(last.severities) == {"critical": 1, "warning": 1}
    assert (percentile(last.acknowledged, 0.5), percentile(last.acknowledged, 0.9)) == (60.0, 180.0)
    assert told.weeks[2].false_rate == 1.0
    assert told.hours[4][11:13] == [1, 2]


def test_resolved_alerts_are_kept_for_thirty_days() -> None:
    """The history is as long as the numbers say."""
    fired(None, timedelta(days=29, hours=23), MINUTE)
    fired(None, timedelta(days=30, hours=1), MINUTE)
    fired(None, timedelta(days=90), MINUTE, state="firing", resolved_at=None)

    services.forget_alerts(now=NOW)

    assert Alert.objects.count() == 2


@pytest.fixture
def pages(client: Client) -> Client:
    client.force_login(make_user(role="viewer"))
    return client


def test_the_calendar_expands_what_recurs_in_its_zone(
    pages: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    """Ten o'clock in Berlin stays ten o'clock when the clocks are put back, and is nine or eight in UTC."""
    system = root_system()
    MaintenanceWindow.objects.create(
        system=system, name="Tuesdays", starts_at=datetime(2026, 10, 6, 8, tzinfo=UTC), duration_seconds=7200,
        time_zone="Europe/Berlin", recurrence="FREQ=WEEKLY;BYDAY=TU",
    )  # fmt: skip
    Silence.objects.create(
        system=system, matchers='disk="sda"', comment="replaced", author_name="ann",
        starts_at=datetime(2026, 10, 15, 22, tzinfo=UTC), ends_at=datetime(2026, 10, 17, tzinfo=UTC),
    )  # fmt: skip
    with django_assert_max_num_queries(10):
        month = pages.get("/dashboard/calendar/?at=2026-10-20").content.decode()
    berlin = pages.get("/dashboard/calendar/?at=2026-10-20&zone=Europe/Berlin").content.decode()
    week = pages.get("/dashboard/calendar/?at=2026-10-15&view=week&format=csv").content.decode()

    assert (month.count("08:00 "), month.count("09:00 ")) == (3, 1)  # the last after the change
    assert berlin.count("10:00 ") == 4
    assert month.count("replaced") == 2
    assert "silence,replaced,2026-10-15T22:00:00+00:00" in week


@pytest.mark.parametrize(
    "query", ["zone=Moon", "at=never", "at=9999-12-31", "at=0001-01-01", "view=x", "zone=../../etc"]
)
def test_a_calendar_is_shown_whatever_is_asked(pages: Client, query: str) -> None:
    """With a word about what could not be read."""
    assert pages.get(f"/dashboard/calendar/?{query}").status_code == 200


def test_the_pages_show_numbers_and_hand_them_out(pages: Client) -> None:
    """As tables that can be sorted, and as CSV in which no name is a formula."""
    rule = make_rule("=cmd()")
    Alert.objects.create(
        system=root_system(), rule=rule, type="rule", title="x", subject="x", fingerprint="f", severity="critical",
        state="firing", fired_at=timezone.now(), acknowledged_at=timezone.now(),
    )  # fmt: skip
    noise = pages.get("/dashboard/alerts/noise/?sort=minutes").content.decode()
    table = pages.get("/dashboard/alerts/noise/?format=csv").content.decode()
    numbers = pages.get("/dashboard/alerts/statistics/").content.decode()
    weeks = pages.get("/dashboard/alerts/statistics/?format=csv").content.decode()

    assert 'aria-sort="descending"' in noise
    assert "'=cmd(),1," in table
    assert "Busiest hours" in numbers
    assert weeks.startswith("week,critical,")
