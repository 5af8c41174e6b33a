"""What Explore asks the server for, of one's own system alone."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from alerts.models import Alert
from subsystems.event_log import services as event_log
from subsystems.event_log.streams import Stream
from subsystems.health.models import Assessment
from subsystems.recursion.models import System
from subsystems.recursion.queries import root_system
from subsystems.s3_control.models import Action
from subsystems.s5_policy.models import Policy, PolicyVersion
from subsystems.telemetry.samples import Sample
from subsystems.telemetry.services import record
from tests.support.factories import make_system, make_user
from vsm_site.dashboard import exploring

pytestmark = pytest.mark.django_db
PLACE = "/dashboard/explore/"


@pytest.fixture
def viewer(client: Client) -> Client:
    client.force_login(make_user(role="viewer"))
    return client


def happen(system: System, by: User) -> None:
    """Let an alert fire and end, an action be done, and a policy change, a minute ago."""
    at = timezone.now() - timedelta(minutes=1)
    Alert.objects.create(
        system=system, type="rule", title="Slow", subject="s", fingerprint=f"f{system.pk}", severity="warning",
        state=Alert.State.RESOLVED, fired_at=at, resolved_at=at + timedelta(seconds=9),
    )  # fmt: skip
    Action.objects.create(system=system, kind="queue.pause", target="mail", requested_at=at, started_at=at)
    policy = Policy.objects.create(system=system, kind="goal", name="Grow")
    PolicyVersion.objects.create(policy=policy, version=2, reason="why not", effective_at=at, by=by)


def test_units_are_suggested_by_metric_and_part_of_their_name(viewer: Client) -> None:
    """Of ten thousand units those that have the metric, a screenful of them, and nobody else's."""
    now = time.time()
    cpu = [Sample("cpu", now, 0.5)]
    own = {f"web-{number:02}": cpu for number in range(60)}
    record({**own, "db-1": [Sample("rows", now, 3.0)]}, system_id=root_system().pk)
    record({"web-theirs": cpu}, system_id=make_system("elsewhere").pk)

    def suggested(**asked: str) -> list[str]:
        found: list[str] = viewer.get(f"{PLACE}sources/", asked).json()["sources"]
        return found

    assert suggested(metric="cpu") == [f"web-{number:02}" for number in range(exploring.SHOWN_SOURCES)]
    assert suggested(metric="cpu", q="B-5") == [f"web-{number}" for number in range(50, 60)]
    assert suggested(metric="cpu", q="theirs") == suggested(metric="\0") == suggested() == []
    assert b'<option value="rows">' in viewer.get(PLACE).content


def test_scores_and_what_happened_are_answered_within_a_range_and_a_system(
    viewer: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    """A line across a chart that another tenant's alert drew would tell of it."""
    elsewhere, person = make_system("elsewhere"), make_user()
    for system in (root_system(), elsewhere):
        happen(system, person)
    slot = int(time.time()) // 30 * 30 - 60
    parts = {"s1": {"score": 0.25, "status": "unhealthy"}}
    Assessment.objects.create(
        system=root_system(), slot=slot, assessed_at=timezone.now(), score=0.75, status="normal", subsystems=parts
    )  # fmt: skip
    hour = {"from": str(time.time() - 3600), "to": str(time.time())}

    with django_assert_max_num_queries(12):
        told = viewer.get(f"{PLACE}marks/", hour).json()

    assert [words for _, words, _ in told["alerts"]] == ["Slow fires", "Slow is over"]
    assert [words for _, words, _ in told["actions"]] == ["queue.pause mail"]
    assert [words for _, words, _ in told["policies"]] == ["goal Grow v2"]
    assert told["cut"] is False
    assert viewer.get(f"{PLACE}scores/", hour).json() == {"points": [[slot, 0.75]]}
    assert viewer.get(f"{PLACE}scores/", {"part": "s1", **hour}).json() == {"points": [[slot, 0.25]]}
    assert viewer.get(f"{PLACE}marks/", {"system": "elsewhere", **hour}).status_code == 404


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"from": "5"}, "to"),
        ({"range": "2h"}, "range"),
        ({"from": "nan", "to": "5"}, "from"),
        ({"from": "1", "to": "inf"}, "to"),
        ({"from": "5", "to": "4"}, "from"),
        ({"from": "1", "to": "3999999999"}, "from"),
        ({"from": "1", "to": "9", "part": "s9"}, "part"),
    ],
)
def test_a_range_that_is_none_is_refused_by_name(viewer: Client, asked: dict[str, str], field: str) -> None:
    """An address is typed by hand, too."""
    answer = viewer.get(f"{PLACE}scores/", asked)

    assert (answer.status_code, answer.json()["field"]) == (400, field)


def counted(viewer: Client, **asked: str) -> list[int]:
    """Return the counts that have any, over the last hour."""
    hour = {"from": str(time.time() - 3600), "to": str(time.time())}
    told = viewer.get(f"{PLACE}events/", {**hour, **asked}).json()
    assert told["step"] == 300
    assert len(told["points"]) in (12, 13, 14)
    return [count for _, count in told["points"] if count]


def test_events_are_counted_by_stream_and_type_within_a_system(
    viewer: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    """The log has no index of moments: a chart of it must not read a million events, nor another tenant's."""
    root = root_system()
    for system, kind, number in ((root, "fired", 3), (root, "over", 2), (make_system("else"), "x", 7)):
        events = [event_log.pending(Stream.ALERTS, kind, {}, system_id=system.pk) for _ in range(number)]
        event_log.append_many(events)
    event_log.append(Stream.POLICY, "PolicySet", {}, system_id=root_system().pk)
    event_log.append(Stream.POLICY, "nobody's", {})
    event_log.tend(timezone.now())

    with django_assert_max_num_queries(9):
        everything = counted(viewer)

    assert sum(everything) == 6
    assert sum(counted(viewer, of="vsm-alerts")) == 5
    assert sum(counted(viewer, of="vsm-alerts/over")) == 2
    assert counted(viewer, of="vsm-alerts/x") == []
    suggested = viewer.get(f"{PLACE}sources/", {"metric": "@events", "q": "ALERT"}).json()["sources"]
    assert suggested == ["vsm-alerts", "vsm-alerts/fired", "vsm-alerts/over"]


def test_a_superuser_sees_in_the_root_what_is_of_no_system(client: Client) -> None:
    """As on the page of events."""
    root_system()
    client.force_login(make_user(superuser=True))
    event_log.append(Stream.POLICY, "nobody's", {})
    event_log.tend(timezone.now())

    assert sum(counted(client)) == 1


def test_a_range_of_events_that_is_none_is_refused(viewer: Client) -> None:
    """A year of days is the longest; and what is not a moment is named."""
    answer = viewer.get(f"{PLACE}events/", {"from": "yesterday", "to": "1"})

    assert (answer.status_code, answer.json()["field"]) == (400, "from")
