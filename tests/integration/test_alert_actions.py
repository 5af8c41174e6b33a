"""What people do with alerts: once each, recorded, and with what it means for who is told."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User

from alerts import lifecycle, services
from alerts.models import Alert, AlertComment
from alerts.notices import reporting
from alerts.notices import services as notices
from alerts.notices.models import AlertNotice, Notification, Target
from alerts.people import services as people
from subsystems.event_log.models import PendingEvent
from subsystems.kernel.errors import Invalid, Refused
from subsystems.recursion.models import System
from subsystems.recursion.queries import root_system
from subsystems.s5_policy.models import Decision
from tests.support.factories import make_system, make_user

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
pytestmark = pytest.mark.django_db


@pytest.fixture
def system() -> System:
    return root_system()


@pytest.fixture
def anna(system: System) -> User:
    return make_user("anna", role="operator")


@pytest.fixture
def told(system: System) -> Callable[[], list[tuple[str, int, int]]]:
    """Let one target hear of everything at once; return what it heard: why, how many fire, how many are over."""
    config = {"url": "https://ops.example.org/hook"}
    Target.objects.create(system=system, name="ops", kind="webhook", config=config)
    route = {"receiver": "ops", "group_by": ["alertname"], "group_wait": "0s", "group_interval": "1m"}
    document = {"route": route, "receivers": [{"name": "ops", "targets": ["ops"]}]}
    notices.save_routing(system, document, make_user(superuser=True), now=NOON)
    fields = ("reason", "firing_count", "resolved_count")
    return lambda: list(Notification.objects.order_by("created_at", "number").values_list(*fields))


def fire(system: System, now: datetime = NOON, *, over: bool = False, severity: str = "warning") -> Alert:
    """Let another program's alert fire, or end."""
    ends = now if over else NOON + timedelta(days=300)
    body: dict[str, Any] = {"labels": {"alertname": "Full", "severity": severity}, "endsAt": ends.isoformat()}
    if not over:
        body["startsAt"] = now.isoformat()
    assert reporting.receive(system, [body], now=now) == (1, [])
    return Alert.objects.latest("pk")


def turn(now: datetime) -> None:
    people.turn(now=now)
    notices.turn(now=now)


def events() -> list[tuple[str, dict[str, Any]]]:
    rows = PendingEvent.objects.filter(stream="vsm-alerts").order_by("number").values_list("type", "data")
    return [(type_.removeprefix("alert."), json.loads(data)["inputs"]) for type_, data in rows]


# --- Acknowledging ---


def test_who_acknowledges_owns_it(system: System, anna: User) -> None:
    """Who, why and until when are with the alert, and on record."""
    alert = services.acknowledge(fire(system), anna, "on it", timeout=HOUR, now=NOON)

    assert (alert.acknowledged_by, alert.assigned_to, alert.comment) == (anna, anna, "on it")
    assert alert.acknowledged_until == NOON + HOUR
    assert events()[-1] == (
        "acknowledged", {"by": "anna", "comment": "on it", "until": "2026-11-20T13:00:00Z"},
    )  # fmt: skip


def test_acknowledging_again_changes_only_its_end(system: System, anna: User) -> None:
    """A double click is no second event; more time is wanted often."""
    alert = fire(system)
    services.acknowledge(alert, anna, "on it", now=NOON)

    again = services.acknowledge(alert, anna, timeout=2 * HOUR, now=NOON + HOUR)

    assert (again.acknowledged_at, again.acknowledged_until, again.comment) == (NOON, NOON + 3 * HOUR, "on it")
    assert [kind for kind, _ in events()] == ["firing", "acknowledged"]


def test_an_acknowledgement_that_runs_out_returns_the_alert_once(system: System, anna: User) -> None:
    """Whoever said "mine" and fell asleep must not hold it for ever; two workers look at once."""
    alert = fire(system, severity="critical")
    services.acknowledge(alert, anna, timeout=10 * MINUTE, now=NOON)

    for minutes in (9, 10, 11):
        people.turn(now=NOON + minutes * MINUTE)

    alert.refresh_from_db()
    assert (alert.acknowledged_by, alert.acknowledged_at, alert.returned_at) == (None, None, NOON + 10 * MINUTE)
    assert alert.assigned_to == anna
    assert events()[-1] == ("unacknowledged", {"by": None, "why": "timeout", "owner": "anna"})
    assert Decision.objects.filter(fingerprint=alert.fingerprint, answered_at=None).count() == 1


def test_an_alert_that_is_over_is_not_returned(system: System, anna: User) -> None:
    """There is nothing left to look after."""
    services.acknowledge(fire(system), anna, timeout=HOUR, now=NOON)
    fire(system, NOON + MINUTE, over=True)

    people.turn(now=NOON + 2 * HOUR)

    assert Alert.objects.get().acknowledged_by == anna


def test_unacknowledging_twice_is_once(system: System, anna: User) -> None:
    """Another can take it then."""
    alert = services.acknowledge(fire(system), anna, now=NOON)

    for _ in range(2):
        services.unacknowledge(alert, anna, now=NOON + MINUTE)
    services.acknowledge(alert, make_user("ben"), now=NOON + HOUR)

    assert [kind for kind, _ in events()] == ["firing", "acknowledged", "unacknowledged", "acknowledged"]


def test_a_worse_alert_is_neither_acknowledged_nor_snoozed(system: System, anna: User) -> None:
    """What people said was about something milder."""
    alert = services.acknowledge(fire(system), anna, timeout=HOUR, now=NOON)
    services.snooze(alert, anna, NOON + HOUR, now=NOON)

    lifecycle.grade(alert, "critical", now=NOON + MINUTE)

    assert (alert.acknowledged_at, alert.acknowledged_until, alert.snoozed_until) == (None, None, None)


# --- Assigning ---


def test_whoever_gets_an_alert_from_somebody_is_told_once(system: System, anna: User) -> None:
    """Whoever takes it needs no message, and saying it again is none."""
    alert = fire(system)
    ben = make_user("ben", role="operator")
    for user in (anna, ben):
        hook = {"url": f"https://{user.username}.example.org/hook"}
        Target.objects.create(owner=user, name="phone", kind="webhook", config=hook)

    for to in (anna, ben, ben):
        services.assign(alert, to, anna)

    told = Notification.objects.get(reason="assigned")
    assert (told.target_name, told.state) == ("ben: phone", "waiting")
    [body] = told.body["alerts"]
    assert body["title"].startswith("anna assigned this to you: ")
    assert body["url"].endswith(f"/dashboard/alerts/{alert.pk}/")


def test_an_alert_is_assigned_to_who_may_operate_its_system(system: System, anna: User) -> None:
    """Nobody can be made to look after what they cannot touch; a name is not told to be known."""
    alert, elsewhere = fire(system), make_system()
    strangers = [make_user(role="viewer"), make_user(role="operator", system=elsewhere), make_user(superuser=False)]

    for to in strangers:
        with pytest.raises(Invalid) as caught:
            services.assign(alert, to, anna)
        assert caught.value.field == "to"
    for _ in range(2):
        assert services.assign(alert, anna, anna).assigned_to == anna
    assert services.assign(alert, None, anna).assigned_to is None
    assert [inputs.get("to") for kind, inputs in events() if kind == "assigned"] == ["anna", None]


def test_an_alert_is_handed_over(system: System, anna: User) -> None:
    """The one whom it was given to acknowledges in their own name; a third may not."""
    ben, third = make_user("ben", role="operator"), make_user("carl", role="operator")
    alert = services.acknowledge(fire(system), anna, now=NOON)
    services.assign(alert, ben, anna)

    with pytest.raises(Refused):
        services.acknowledge(alert, third)

    assert services.acknowledge(alert, ben).acknowledged_by == ben


# --- Snoozing ---


def test_nobody_is_told_of_a_snoozed_alert_until_then(system: System, anna: User, told: Any) -> None:
    """It is shown as suppressed, with the cause in its log, and told anew when the time is over."""
    alert = fire(system)
    turn(NOON)
    services.snooze(alert, anna, NOON + HOUR, now=NOON + MINUTE)
    for minutes in range(1, 60):
        turn(NOON + minutes * MINUTE)
    before = told()
    alert.refresh_from_db()
    shown = alert.suppressed

    for minutes in range(60, 65):
        turn(NOON + minutes * MINUTE)

    alert.refresh_from_db()
    assert (before, shown) == ([("first", 1, 0)], "snoozed")
    assert (told(), alert.suppressed) == ([("first", 1, 0), ("more", 1, 0)], "")
    assert AlertNotice.objects.filter(cause="snoozed").count() == 1
    assert events()[-1] == ("unsnoozed", {"by": None, "why": "over"})


def test_an_alert_that_was_snoozed_before_it_was_told_is_told_afterwards(system: System, anna: User, told: Any) -> None:
    """Once, although the worker was late."""
    alert = fire(system)
    services.snooze(alert, anna, NOON + 5 * MINUTE, now=NOON)

    for minutes in (0, 2, 4):
        turn(NOON + minutes * MINUTE)
    before = told()
    notices.turn(now=NOON + 6 * MINUTE)  # flushed before anybody looked to the snooze
    turn(NOON + 7 * MINUTE)
    turn(NOON + 9 * MINUTE)

    assert (before, told()) == ([], [("first", 1, 0)])


def test_that_a_snoozed_alert_is_over_is_told_to_who_heard_of_it(system: System, anna: User, told: Any) -> None:
    """They wait for it."""
    alert = fire(system)
    turn(NOON)
    services.snooze(alert, anna, NOON + HOUR, now=NOON + MINUTE)
    turn(NOON + 2 * MINUTE)

    fire(system, NOON + 3 * MINUTE, over=True)
    turn(NOON + 4 * MINUTE)

    assert told() == [("first", 1, 0), ("over", 0, 1)]


def test_waking_by_hand_tells_anew(system: System, anna: User, told: Any) -> None:
    """Twice is once."""
    alert = fire(system)
    turn(NOON)
    services.snooze(alert, anna, NOON + HOUR, now=NOON + MINUTE)
    turn(NOON + 2 * MINUTE)

    for _ in range(2):
        services.unsnooze(alert, anna, now=NOON + 3 * MINUTE)
    turn(NOON + 3 * MINUTE)
    turn(NOON + 5 * MINUTE)

    assert told() == [("first", 1, 0), ("more", 1, 0)]


@pytest.mark.parametrize(
    "until", [pytest.param(NOON, id="now"), pytest.param(NOON + timedelta(days=31), id="too far away")]
)
def test_a_snooze_ends_in_the_future_and_soon(system: System, anna: User, until: datetime) -> None:
    """One that never ends would be forgotten."""
    with pytest.raises(Invalid) as caught:
        services.snooze(fire(system), anna, until, now=NOON)

    assert caught.value.field == "until"


# --- Comments and ends ---


def test_comments_are_rows_and_events(system: System, anna: User) -> None:
    """What was tried stays with the alert, also after it is over."""
    alert = fire(system)
    services.comment(alert, anna, " restarted ", now=NOON)
    services.resolve(alert, anna, false_alarm=True, comment="a test", now=NOON + MINUTE)
    services.comment(alert, anna, "seen again?", now=NOON + HOUR)

    alert.refresh_from_db()
    assert list(alert.comments.values_list("author_name", "text")) == [
        ("anna", "restarted"), ("anna", "a test"), ("anna", "seen again?"),
    ]  # fmt: skip
    assert [kind for kind, _ in events()] == ["firing", "commented", "resolved", "commented"]
    assert (alert.resolution, alert.resolved_by) == ("false_alarm", anna)


@pytest.mark.parametrize("text", ["", "  ", "x" * 2001, "a\0b"])
def test_a_comment_says_something(system: System, anna: User, text: str) -> None:
    """PostgreSQL stores neither NUL nor what is too long."""
    with pytest.raises(Invalid) as caught:
        services.comment(fire(system), anna, text)

    assert caught.value.field == "text"


@pytest.mark.parametrize(
    "verb",
    [
        pytest.param(lambda alert, by: services.assign(alert, by, by), id="assign"),
        pytest.param(lambda alert, by: services.snooze(alert, by, NOON + HOUR, now=NOON), id="snooze"),
        pytest.param(services.unsnooze, id="unsnooze"),
        pytest.param(services.unacknowledge, id="unacknowledge"),
    ],
)
def test_an_alert_that_is_over_takes_nothing_more(system: System, anna: User, verb: Any) -> None:
    """A page that was open for long may offer what is past."""
    alert = services.resolve(fire(system), anna)

    with pytest.raises(Refused) as caught:
        verb(alert, anna)

    assert caught.value.code == "not_open"


# --- The API ---


def test_the_api_offers_each_verb(system: System, anna: User, client: Any) -> None:
    """Buttons and programs come by the same door."""
    alert = fire(system)
    client.force_login(anna)

    def post(verb: str, **body: Any) -> dict[str, Any]:
        answer = client.post(f"/api/v1/alerts/{alert.pk}/{verb}/", body, "application/json")
        assert answer.status_code in (200, 201), answer.content
        return dict(answer.json())

    assert post("acknowledge", comment="mine", timeout_seconds=600)["acknowledged_until"] is not None
    assert post("unacknowledge")["acknowledged_by"] is None
    assert post("assign", to="anna")["assigned_to"] == "anna"
    assert post("assign", to=None)["assigned_to"] is None
    assert post("snooze", seconds=600)["snoozed_by"] == "anna"
    assert post("unsnooze")["snoozed_until"] is None
    assert post("comments", text="tried")["by"] == "anna"
    assert [each["text"] for each in client.get(f"/api/v1/alerts/{alert.pk}/comments/").json()] == ["tried"]
    assert post("resolve", false_alarm=True)["resolution"] == "false_alarm"


@pytest.mark.parametrize(
    ("verb", "body", "field"),
    [
        ("acknowledge", {"timeout_seconds": 5}, "timeout_seconds"),
        ("assign", {"to": "nobody"}, "to"),
        ("assign", {}, "to"),
        ("assign", {"to": ["a"]}, "to"),
        ("snooze", {}, "until"),
        ("snooze", {"until": "soon"}, "until"),
        ("snooze", {"until": "2020-01-01T00:00:00Z"}, "until"),
        ("comments", {"text": ""}, "text"),
    ],
)
def test_what_cannot_be_done_names_the_field(
    system: System, anna: User, client: Any, verb: str, body: dict[str, Any], field: str
) -> None:
    """Clear errors, never a 500."""
    alert = fire(system)
    client.force_login(anna)

    answer = client.post(f"/api/v1/alerts/{alert.pk}/{verb}/", body, "application/json")

    assert answer.status_code == 400, answer.content
    assert field in json.dumps(answer.json()["errors"])


def test_readers_may_not_act_and_strangers_see_nothing(system: System, client: Any) -> None:
    """One tenant's alerts do not exist for another."""
    alert = fire(system)
    address = f"/api/v1/alerts/{alert.pk}"
    found = []
    for user in (make_user(role="viewer"), make_user(role="admin", system=make_system())):
        client.force_login(user)
        found.append(client.get(f"{address}/comments/").status_code)
        found += [
            client.post(f"{address}/{verb}/", {"text": "x", "seconds": 60, "to": None}, "application/json").status_code
            for verb in ("acknowledge", "unacknowledge", "assign", "snooze", "unsnooze", "comments", "resolve")
        ]

    assert found == [200] + [403] * 7 + [404] * 8
    assert not AlertComment.objects.exists()


def test_a_list_of_alerts_asks_as_often_as_one(
    system: System, anna: User, client: Any, django_assert_max_num_queries: Any
) -> None:
    """Names of owners come along."""
    for number in range(20):
        Alert.objects.create(
            system=system, type="rule", title="t", subject="s", fingerprint=f"f{number}", severity="warning",
            state="firing", assigned_to=anna, acknowledged_by=anna, snoozed_by=anna,
        )  # fmt: skip
    client.force_login(anna)

    with django_assert_max_num_queries(12):
        rows = client.get("/api/v1/alerts/").json()["results"]

    assert [each["assigned_to"] for each in rows] == ["anna"] * 20
