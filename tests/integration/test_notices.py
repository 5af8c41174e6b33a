"""The durable road of notices: the same timelines in rows, and what only rows can show."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from alerts.models import Alert
from alerts.notices import reporting, services
from alerts.notices.models import AlertNotice, Group, GroupMember, Incoming, Notification, Routing, Silence, Target
from subsystems.kernel.errors import Invalid, Refused
from subsystems.recursion.models import System
from subsystems.recursion.queries import root_system
from tests.support.factories import make_system, make_unit, make_user
from tests.support.timelines import Heard, Timeline, timelines

START = datetime(2026, 11, 20, 12, tzinfo=UTC)
UNIT = 30.0
FAR = START + timedelta(days=300)
pytestmark = pytest.mark.django_db


def moment(at: float) -> datetime:
    return START + timedelta(seconds=at * UNIT)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


@pytest.fixture
def system() -> System:
    return root_system()


def target(system: System, name: str = "ops", **fields: Any) -> Target:
    config = {"url": f"https://{name}.example.org/hook"}
    return Target.objects.create(system=system, name=name, kind="webhook", **{"config": config, **fields})


def routed(system: System, **route: Any) -> Routing:
    """Let one webhook hear of everything, by a route of its own."""
    target(system)
    document = {
        "route": {"receiver": "ops", "group_by": ["alertname"], **route},
        "receivers": [{"name": "ops", "targets": ["ops"]}],
    }
    return services.save_routing(system, document, make_user(superuser=True), now=START)


def report(system: System, name: str, seconds: float, *, over: bool = False, **labels: str) -> None:
    body = {
        "labels": {"alertname": "Test", "name": name, **labels},
        "endsAt": (at(seconds) if over else FAR).isoformat(),
    }
    if not over:
        body["startsAt"] = at(seconds).isoformat()
    accepted, rejected = reporting.receive(system, [body], now=at(seconds))
    assert (accepted, rejected) == (1, [])


def turn(seconds: float) -> None:
    services.turn(now=at(seconds))


def told() -> list[tuple[str, int, int]]:
    return list(
        Notification.objects.order_by("created_at", "number").values_list("reason", "firing_count", "resolved_count")
    )


class Played:
    """Plays a timeline on the durable road."""

    def __init__(self, timeline: Timeline, system: System) -> None:
        self.system, self.user = system, make_user(superuser=True)
        for name in timeline.says:
            target(system, name)
        services.save_routing(system, timeline.document(UNIT), self.user, now=START)
        self.reached = START

    def alert(self, at: float, labels: dict[str, str], starts_at: float | None, ends_at: float | None) -> None:
        body: dict[str, Any] = {"labels": labels, "endsAt": (FAR if ends_at is None else moment(ends_at)).isoformat()}
        if ends_at != at:
            body["startsAt"] = moment(at if starts_at is None else starts_at).isoformat()
        assert reporting.receive(self.system, [body], now=moment(at)) == (1, [])
        services.group(now=moment(at))

    def silence(self, at: float, matchers: list[str], ends_at: float) -> None:
        services.create_silence(self.system, self.user, matchers, moment(ends_at), "a timeline", now=moment(at))

    def until(self, end: datetime) -> None:
        """Let time pass, a tenth of a unit at a time."""
        while self.reached < end:
            services.turn(now=self.reached)
            self.reached += timedelta(seconds=UNIT / 10)


def heard_by_all(timeline: Timeline) -> Heard:
    heard: Heard = {receiver: [] for receiver in timeline.says}
    for each in Notification.objects.order_by("created_at", "number"):
        said: dict[str, set[str]] = {"firing": set(), "resolved": set()}
        for alert in each.body["alerts"]:
            said[alert["status"]].add(alert["labels"]["name"])
        when = round((each.created_at - START).total_seconds() / UNIT, 3)
        heard[each.target_name].append((when, frozenset(said["firing"]), frozenset(said["resolved"])))
    return heard


@pytest.mark.parametrize("timeline", timelines(), ids=lambda timeline: timeline.name)
def test_a_timeline_is_told_the_same_from_rows(timeline: Timeline, system: System) -> None:
    """What survives a crash must say what the rules say, and they what Alertmanager says."""
    player = Played(timeline, system)

    for when in timeline.play(player):
        player.until(moment(when))

    assert heard_by_all(timeline) == timeline.expected()


def test_every_alert_has_a_log_of_what_was_told_and_withheld(system: System) -> None:
    """Somebody will ask why they heard nothing."""
    routed(system, group_wait="0s", group_interval="1m")
    user = make_user(superuser=True)
    report(system, "a", 0)
    turn(0)
    silence = services.create_silence(system, user, 'name="b"', at(90), "a test", now=at(1))
    report(system, "b", 2)
    turn(60)
    turn(120)
    report(system, "b", 130, over=True)
    turn(180)

    def lines(name: str) -> list[tuple[str, str, int | None]]:
        mine = AlertNotice.objects.filter(alert__labels__name=name).order_by("at", "pk")
        return list(mine.values_list("outcome", "cause", "cause_id"))

    assert lines("a") == [("told", "", None)] * 3
    assert lines("b") == [("withheld", "silence", silence.pk), ("told", "", None), ("over", "", None)]
    assert told() == [("first", 1, 0), ("more", 2, 0), ("resolved", 1, 1)]


def test_an_alert_says_what_hides_it_now(system: System) -> None:
    """Suppressed is a flag with its cause, never a state."""
    routed(system, group_wait="0s", group_interval="1m")
    services.create_silence(system, make_user(superuser=True), 'name="a"', at(90), "a test", now=START)
    report(system, "a", 1)

    seen = []
    for seconds in (1, 61, 121):
        turn(seconds)
        seen.append(Alert.objects.get().suppressed)

    assert seen == ["silence", "silence", ""]


def test_an_alert_that_nobody_would_hear_of_says_so(system: System) -> None:
    """A platform without targets must not look like one that told somebody."""
    report(system, "a", 0)
    turn(1)

    assert AlertNotice.objects.get().cause == "no_receiver"
    assert (Group.objects.count(), Incoming.objects.count()) == (0, 0)


def test_without_a_document_every_target_hears(system: System) -> None:
    """The first target that somebody sets up works at once; critical does not wait for company."""
    target(system)
    target(make_system("other"), "stranger")
    report(system, "a", 0, severity="critical")
    report(system, "b", 0, severity="warning")
    turn(1)
    critical = [each.severity for each in Notification.objects.all()]
    turn(31)

    assert critical == ["critical"]
    assert set(Notification.objects.values_list("target_name", "severity")) == {("ops", "critical"), ("ops", "warning")}


def test_a_system_is_told_of_by_the_nearest_routing_above(system: System) -> None:
    """A tenant without targets of its own is looked after by whoever runs the house; never the other way round."""
    child = make_system("shop", parent=system)
    routed(system, group_wait="0s")
    report(child, "a", 0)
    turn(1)
    target(child, "own")
    services.save_routing(
        child,
        {"route": {"receiver": "r", "group_wait": "0s"}, "receivers": [{"name": "r", "targets": ["own"]}]},
        make_user(superuser=True), now=START,
    )  # fmt: skip
    report(child, "b", 2)
    turn(3)
    report(system, "c", 4)
    turn(5)

    found = Notification.objects.order_by("created_at").values_list("target_name", "system__slug")
    assert list(found) == [("ops", "shop"), ("own", "shop")] or set(found) >= {("ops", "shop"), ("own", "shop")}
    assert not Notification.objects.filter(target_name="own", system=system).exists()


def test_thirty_children_down_with_their_parent_are_one_notification(system: System) -> None:
    """Whoever gets up at night gets up once."""
    routed(system, group_by=["name"], group_wait="10s")
    for number in range(30):
        make_unit(f"web-{number}", system=system)
        report(system, f"child-{number}", 0, unit=f"web-{number}", severity="critical")
    report(system, "parent", 2, inhibit="children", severity="critical")
    turn(3)
    turn(13)

    assert told() == [("first", 1, 0)]
    assert Alert.objects.filter(suppressed="parent").count() == 30
    assert set(AlertNotice.objects.filter(cause="parent").values_list("cause_id", flat=True)) == {
        Alert.objects.get(labels__name="parent").pk
    }


def test_maintenance_hides_what_begins_and_tells_what_ends(system: System) -> None:
    """Whoever heard that it began wants to hear that it is over, maintenance or not."""
    routed(system, group_wait="0s", group_interval="1m")
    report(system, "a", 0)
    turn(1)
    window = services.save_window(
        services.MaintenanceWindow(system=system), make_user(superuser=True), name="Tuesdays", starts_at=at(10),
        duration_seconds=3600,
    )  # fmt: skip
    report(system, "b", 20)
    report(system, "a", 30, over=True)
    turn(61)

    assert told() == [("first", 1, 0), ("over", 0, 1)]
    assert AlertNotice.objects.get(cause="maintenance").cause_id == window.pk


def test_what_a_cooldown_held_back_is_told_when_it_is_over(system: System) -> None:
    """Held back is not forgotten: an alert that still fires after five minutes is heard of."""
    routed(system, group_wait="0s", group_interval="1m")
    report(system, "a", 0)
    Alert.objects.update(suppressed="cooldown")
    for seconds in range(0, 400, 20):
        turn(seconds)

    first = Notification.objects.get()
    assert first.created_at >= at(300)
    assert [line.cause for line in AlertNotice.objects.order_by("at")] == ["cooldown", ""]


def test_a_flapping_alert_is_told_twice_an_hour(system: System) -> None:
    """Sixty changes an hour are one message: it flaps. The others are counted and say why."""
    routed(system, group_wait="0s", group_interval="1m", group_by=["..."])
    for seconds in range(0, 3600, 120):
        report(system, "a", seconds, severity="warning")
        turn(seconds + 1)
        report(system, "a", seconds + 60, over=True, severity="warning")
        turn(seconds + 62)

    flapping_since = at(240)
    after = Notification.objects.filter(created_at__gt=flapping_since, firing_count__gt=0)
    assert after.count() <= 2
    assert AlertNotice.objects.filter(cause="flapping").count() >= 20


def test_one_that_becomes_critical_is_told_anew(system: System) -> None:
    """A worse alert is another one to people, and the milder one is over."""
    from alerts.transitions import Kind, note

    target(system)
    report(system, "a", 0, severity="warning")
    turn(31)
    alert = Alert.objects.get()
    alert.severity, alert.labels = "critical", {**alert.labels, "severity": "critical"}
    alert.save()
    note(alert, Kind.SEVERITY_CHANGED, now=at(40), inputs={"from": "warning", "to": "critical"})
    turn(41)

    assert list(Notification.objects.order_by("created_at").values_list("severity", "reason")) == [
        ("warning", "first"), ("critical", "first"),
    ]  # fmt: skip
    assert GroupMember.objects.filter(firing=True).count() == 1


def test_reports_are_idempotent_and_end_by_themselves(system: System) -> None:
    """Prometheus says everything again each minute, until it stops."""
    body = [{"labels": {"alertname": "x"}, "annotations": {"summary": "It burns"}}, {"labels": {}}, 7]
    for seconds in (0, 60):
        accepted, rejected = reporting.receive(system, body, now=at(seconds))
    assert (accepted, [(each["index"], each["field"]) for each in rejected]) == (1, [(1, "labels"), (2, "alert")])

    alert = Alert.objects.get()
    assert (alert.title, alert.type, alert.state, alert.severity) == ("It burns", "external", "firing", "warning")
    turn(359)
    assert Alert.objects.get().open
    turn(361)
    assert Alert.objects.get().resolved_at == at(361)


def test_a_silence_has_an_end_and_a_reason(system: System) -> None:
    """One without an end is how an outage is missed a year later."""
    user = make_user(superuser=True)
    for fields, field in (
        ({"ends_at": START}, "ends_at"),
        ({"ends_at": START + timedelta(days=91)}, "ends_at"),
        ({"comment": " "}, "comment"),
        ({"matchers": 'a=~".*"'}, "matchers"),
        ({"matchers": "("}, "matchers"),
    ):
        wanted: dict[str, Any] = {"matchers": 'a="b"', "ends_at": at(60), "comment": "x", **fields}
        with pytest.raises(Invalid) as caught:
            services.create_silence(system, user, now=START, **wanted)
        assert caught.value.field == field

    silence = services.create_silence(system, user, 'a="b"', at(60), "x", now=START)
    services.expire_silence(silence, user, now=at(10))
    with pytest.raises(Refused):
        services.expire_silence(silence, user, now=at(11))


def test_a_silence_is_previewed_and_its_end_announced(system: System) -> None:
    """People see what they hide before they do, and hear before it comes back."""
    target(system)
    for name in ("a", "b"):
        report(system, name, 0)
    seen = services.preview(system, 'name="a"')
    silence = services.create_silence(system, make_user(superuser=True), 'name="a"', at(7200), "moving", now=START)
    for seconds in (60, 7200 - 600, 7200 - 300):
        services.remind(now=at(seconds))

    assert (seen["count"], [each["title"] for each in seen["alerts"]]) == (1, ["Test: main"])
    assert [(each.reason, each.firing_count) for each in Notification.objects.all()] == [("silence_ends", 0)]
    assert Silence.objects.get(pk=silence.pk).reminded_at == at(7200 - 600)


def test_a_routing_names_targets_that_are_there(system: System) -> None:
    """And a target that the routing names cannot vanish."""
    user = make_user(superuser=True)
    document = {"route": {"receiver": "r"}, "receivers": [{"name": "r", "targets": ["ops"]}]}
    with pytest.raises(Invalid):
        services.save_routing(system, document, user, now=START)
    made = target(system)
    services.save_routing(system, document, user, now=START)

    with pytest.raises(Refused):
        services.delete_target(made, user)
    assert services.try_routing(system, {"a": "b"})[0]["targets"] == ["ops"]
    services.drop_routing(system, user)
    services.delete_target(made, user)
