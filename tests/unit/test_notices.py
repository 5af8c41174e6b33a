"""Matchers, routes, inhibition, windows and holds: who is told, decided without a clock or a database."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from alerts.notices.durations import duration_text, read_duration
from alerts.notices.external import Report, merged, read_report
from alerts.notices.grouping import Member, Reason, Told, flush
from alerts.notices.holding import flap_held, is_flapping
from alerts.notices.inhibition import Firing, Inhibited, Inhibitor
from alerts.notices.matchers import all_match, read_matchers, text_of
from alerts.notices.routing import DEFAULT, read_routing
from alerts.notices.silencing import Cause, Muted, Recurrence, check_hiding, check_recurrence
from subsystems.kernel.errors import Invalid

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


# --- Matchers ---


@pytest.mark.parametrize(
    ("text", "labels", "matches"),
    [
        pytest.param('severity="critical"', {"severity": "critical"}, True, id="equal"),
        pytest.param("severity=critical", {"severity": "critical"}, True, id="without quotes"),
        pytest.param('{a="1", b!="2"}', {"a": "1", "b": "3"}, True, id="several in braces"),
        pytest.param('a="1",b="2"', {"a": "1", "b": "3"}, False, id="all must hold"),
        pytest.param('a=""', {}, True, id="missing is empty"),
        pytest.param('a!="x"', {}, True, id="missing is not x"),
        pytest.param('a=~"web-.+"', {"a": "web-1"}, True, id="expression"),
        pytest.param('a=~"web"', {"a": "web-1"}, False, id="an expression is about the whole value"),
        pytest.param('a!~"web|db"', {"a": "mail"}, True, id="not the expression"),
        pytest.param('a="x, \\"y\\" = z"', {"a": 'x, "y" = z'}, True, id="commas and quotes inside"),
        pytest.param('"größe 🙂"="1"', {"größe 🙂": "1"}, True, id="any name in quotes"),
        pytest.param("", {"a": "b"}, True, id="none at all"),
        pytest.param('a="1",', {"a": "1"}, True, id="a comma at the end"),
    ],
)
def test_a_matcher_means_what_alertmanager_means(text: str, labels: dict[str, str], matches: bool) -> None:
    """People bring theirs along."""
    found = read_matchers(text)

    assert all_match(found, labels) is matches
    assert read_matchers(text_of(found)) == found
    assert read_matchers([each.to_wire() for each in found]) == found


@pytest.mark.parametrize(
    "given",
    ['a="1" b="2"', "a", 'a~"x"', '="x"', '{a="1"', 'a=~"("', 'a="x\0"', 7, [7], [{"name": "a"}], 'a=~"(a\\1)"',
     [{"name": "a", "value": "b", "isRegex": "yes"}], 'a="' + "x" * 1001 + '"', ['a="1"'] * 51],
)  # fmt: skip
def test_what_is_no_matcher_is_refused_with_its_place(given: Any) -> None:
    """A matcher that is read otherwise than it was meant silences the wrong alerts."""
    with pytest.raises(Invalid) as caught:
        read_matchers(given, "matchers")

    assert caught.value.field == "matchers"


def test_a_malicious_expression_costs_no_time() -> None:
    """What a user writes is matched against what a stranger sends."""
    matchers = read_matchers('a=~"(a+)+b"')
    started = time.process_time()

    assert not all_match(matchers, {"a": "a" * 1000})
    assert time.process_time() - started < 0.1


def test_durations_are_prometheus_own() -> None:
    """`1h30m` in, `1h30m` out."""
    assert [read_duration(each, "x") for each in ("30s", "1h30m", "100ms", 5)] == [30.0, 5400.0, 0.1, 5.0]
    assert [duration_text(each) for each in (30, 5400, 0.1, 0, 691200)] == ["30s", "1h30m", "100ms", "0s", "1w1d"]
    for wrong in ("", "5", "5x", "-5s", None, True, float("nan"), "9999999w"):
        with pytest.raises(Invalid):
            read_duration(wrong, "x")


# --- Routes ---


def test_the_default_routing_can_be_read() -> None:
    """It is written in the same words as a document of a user."""
    routing = read_routing(DEFAULT)
    (critical,) = routing.route.match({"severity": "critical"})
    (other,) = routing.route.match({"severity": "info"})

    assert (critical.group_wait, other.group_wait) == (0, 30)
    assert (other.group_interval, other.repeat_interval, other.receiver) == (300, 14400, "everyone")


def test_siblings_with_the_same_matchers_have_groups_of_their_own() -> None:
    """Otherwise two receivers would share one memory of what they were told."""
    twice = {"matchers": ['a="1"'], "continue": True, "routes": [{"matchers": ['b="2"']}]}
    routing = read_routing({"route": {"receiver": "everyone", "routes": [twice, twice]}})

    found = routing.route.match({"a": "1", "b": "2"})

    assert len({route.key for route in found}) == 2


@pytest.mark.parametrize(
    ("document", "field"),
    [
        pytest.param([], "document", id="no object"),
        pytest.param({}, "route", id="no route"),
        pytest.param({"route": {"receiver": "x"}}, "route", id="unknown receiver"),
        pytest.param({"route": {}}, "route.receiver", id="no receiver"),
        pytest.param({"route": {"receiver": "everyone", "matchers": ["a=b"]}}, "route.matchers", id="root matches"),
        pytest.param({"route": {"receiver": "everyone", "group_wait": "soon"}}, "route.group_wait", id="duration"),
        pytest.param({"route": {"receiver": "everyone", "group_interval": 0}}, "route.group_interval", id="no pause"),
        pytest.param({"route": {"receiver": "everyone", "colour": 1}}, "route", id="unknown field"),
        pytest.param({"route": {"receiver": "everyone", "group_by": ["...", "a"]}}, "route.group_by", id="all and one"),
        pytest.param(
            {"route": {"receiver": "everyone", "routes": [{"matchers": ["a=~("]}]}},
            "route.routes[0].matchers",
            id="deep",
        ),
        pytest.param({"route": {"receiver": "everyone"}, "receivers": [{}]}, "receivers[0].name", id="nameless"),
        pytest.param({"route": {"receiver": "everyone"}, "inhibit_rules": [{}]}, "inhibit_rules[0]", id="empty rule"),
        pytest.param({"route": {"receiver": "everyone"}, "inhibit_children": 1}, "inhibit_children", id="no truth"),
    ],
)
def test_a_routing_that_cannot_work_is_refused_with_its_place(document: Any, field: str) -> None:
    """A mistake in the routing is found when it is written, not in the night."""
    with pytest.raises(Invalid) as caught:
        read_routing(document)

    assert caught.value.field == field


def test_a_routing_has_an_end() -> None:
    """Neither depth nor number can be used to exhaust the reader."""
    deep: dict[str, Any] = {"receiver": "everyone"}
    for _ in range(20):
        deep = {"receiver": "everyone", "routes": [deep]}
    for route in (deep, {"receiver": "everyone", "routes": [{}] * 301}):
        with pytest.raises(Invalid):
            read_routing({"route": route})


# --- Inhibition by the tree ---


def test_thirty_children_keep_quiet_while_their_parent_is_down() -> None:
    """One notification, not thirty-one; their siblings elsewhere are still heard."""
    parent = Firing(1, {"inhibit": "children"}, ("main", "shop"))
    inhibitor = Inhibitor((), [parent])

    assert {inhibitor.inhibited({}, ("main", "shop", f"unit-{n}")) for n in range(30)} == {Inhibited(1)}
    assert inhibitor.inhibited({}, ("main", "shop")) is None
    assert inhibitor.inhibited({}, ("main", "bank", "unit-1")) is None
    assert Inhibitor((), [parent], children=False).inhibited({}, ("main", "shop", "unit-1")) is None


def test_only_an_alert_that_says_so_speaks_for_its_children() -> None:
    """A queue that is too long does not explain a host that is down."""
    assert Inhibitor((), [Firing(1, {}, ("main",))]).inhibited({}, ("main", "unit-1")) is None


# --- Groups ---


def mute_nothing(_: Member) -> None:
    return None


def test_a_repetition_is_spared_when_somebody_looks_after_all() -> None:
    """Whoever said "mine" is not told again every four hours; what is new they hear all the same."""
    mine, news = Member(1, True, acknowledged=True), Member(2, True)
    told = {"mail": Told(frozenset({1}), frozenset(), 0.0)}

    again = flush([mine], told, mute_nothing, repeat_interval=10, now=100)
    more = flush([mine, news], told, mute_nothing, repeat_interval=10, now=100)

    assert again.notices == {}
    assert again.spared is not None
    assert again.spared.cause is Cause.ACKNOWLEDGED
    assert more.notices["mail"].reason is Reason.MORE


def test_maintenance_lets_through_that_something_is_over() -> None:
    """People who heard that it began want to hear that it ended."""
    told = {"mail": Told(frozenset({1}), frozenset(), 0.0)}
    mutes = {cause: (lambda why: lambda _: why)(Muted(cause)) for cause in Cause}
    for cause, expected in ((Cause.MAINTENANCE, {"mail"}), (Cause.SILENCE, set())):
        done = flush([Member(1, False)], told, mutes[cause], repeat_interval=10, now=1)
        assert set(done.notices) == expected


# --- Flapping ---


def test_a_flapping_alert_is_told_twice_an_hour() -> None:
    """Sixty changes an hour are one message: it flaps."""
    fired = [NOON + n * MINUTE for n in range(0, 60, 2)]
    told: list[datetime] = []
    for at in fired:
        so_far = [each for each in fired if each <= at]
        if not flap_held("warning", so_far, told, now=at):
            told.append(at)

    assert len(told) == 2
    assert is_flapping(fired, now=NOON + timedelta(hours=1))
    assert not is_flapping(fired, now=NOON + timedelta(hours=3))
    assert not flap_held("critical", fired, told * 9, now=fired[-1])


# --- Windows ---


def window(**fields: Any) -> Recurrence:
    return Recurrence(**{"starts_at": NOON, "duration": timedelta(hours=2), **fields})


def test_a_window_opens_every_tuesday_at_the_same_time_on_the_wall() -> None:
    """Ten o'clock in Berlin stays ten o'clock when the clocks change."""
    starts = datetime(2026, 10, 20, 8, tzinfo=UTC)  # 10:00 in summer time
    weekly = window(starts_at=starts, zone="Europe/Berlin", rule="FREQ=WEEKLY;BYDAY=TU")
    check_recurrence(weekly)

    in_winter = datetime(2026, 10, 27, 9, 30, tzinfo=UTC)

    assert weekly.occurrence(in_winter) == (
        datetime(2026, 10, 27, 9, tzinfo=UTC),
        datetime(2026, 10, 27, 11, tzinfo=UTC),
    )
    assert weekly.occurrence(datetime(2026, 10, 27, 8, 30, tzinfo=UTC)) is None
    assert weekly.upcoming(in_winter) == (datetime(2026, 11, 3, 9, tzinfo=UTC), datetime(2026, 11, 3, 11, tzinfo=UTC))
    assert len(weekly.between(starts, starts + timedelta(days=28))) == 4


def test_a_window_without_recurrence_opens_once() -> None:
    """Its end is not part of it."""
    once = window()

    assert once.occurrence(NOON) == (NOON, NOON + timedelta(hours=2))
    assert once.occurrence(NOON + timedelta(hours=2)) is None
    assert once.upcoming(NOON - MINUTE) is not None
    assert once.upcoming(NOON) is None


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        pytest.param({"duration": timedelta(0)}, "duration_seconds", id="no time"),
        pytest.param({"duration": timedelta(days=15)}, "duration_seconds", id="for ever"),
        pytest.param({"zone": "Mars/Olympus"}, "time_zone", id="no zone"),
        pytest.param({"zone": "../../etc/passwd"}, "time_zone", id="a path"),
        pytest.param({"rule": "FREQ=SECONDLY"}, "recurrence", id="each second"),
        pytest.param({"rule": "FREQ=WEEKLY;BYHOUR=3"}, "recurrence", id="a part we do not read"),
        pytest.param({"rule": "FREQ=WEEKLY;BYDAY=XX"}, "recurrence", id="no day"),
        pytest.param({"rule": "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30"}, "recurrence", id="never"),
        pytest.param({"rule": "FREQ=DAILY;INTERVAL=0"}, "recurrence", id="no interval"),
        pytest.param({"rule": "FREQ=DAILY;COUNT=99999999"}, "recurrence", id="a count without end"),
        pytest.param({"rule": "nonsense"}, "recurrence", id="nonsense"),
    ],
)
def test_a_window_that_cannot_be_kept_is_refused(fields: dict[str, Any], field: str) -> None:
    """A window that never opens lets through what it was meant to hide."""
    with pytest.raises(Invalid) as caught:
        check_recurrence(window(**fields))

    assert caught.value.field == field


@pytest.mark.parametrize("text", ["", 'a=""', 'a!="x"', 'a=~".*"'])
def test_nothing_may_hide_everything(text: str) -> None:
    """The mistake that Alertmanager refuses, too."""
    with pytest.raises(Invalid):
        check_hiding(read_matchers(text))


# --- Reports from outside ---


def report(starts: int, ends: int, received: int, *, timeout: bool = False) -> Report:
    at = [NOON + n * MINUTE for n in (starts, ends, received)]
    return Report({"a": "b"}, {}, at[0], at[1], at[2], timeout)


@pytest.mark.parametrize(
    ("before", "after", "starts", "ends"),
    [
        pytest.param(report(0, 10, 0), report(2, 12, 2), 0, 12, id="goes on"),
        pytest.param(report(0, 10, 0), report(2, 8, 2), 0, 10, id="a later end that was said holds"),
        pytest.param(report(0, 10, 0, timeout=True), report(2, 8, 2), 0, 8, id="a later end that was guessed does not"),
        pytest.param(report(0, 10, 0), report(0, 3, 3), 0, 3, id="it is over"),
        pytest.param(report(0, 3, 0), report(5, 15, 5), 5, 15, id="a new one"),
        pytest.param(report(0, 3, 0), report(0, 2, 4), 0, 3, id="over before, and again"),
    ],
)
def test_two_reports_of_an_alert_become_one(before: Report, after: Report, starts: int, ends: int) -> None:
    """Prometheus says everything again each minute."""
    found = merged(before, after)

    assert (found.starts_at, found.ends_at) == (NOON + starts * MINUTE, NOON + ends * MINUTE)


def test_a_report_without_an_end_ends_after_the_timeout() -> None:
    """Who stops reporting is not firing for ever; Go's year 1 is no time."""
    found = read_report({"labels": {"alertname": "x", "empty": ""}, "endsAt": "0001-01-01T00:00:00Z"}, now=NOON)

    assert (found.starts_at, found.ends_at, found.timeout) == (NOON, NOON + 5 * MINUTE, True)
    assert found.labels == {"alertname": "x"}


@pytest.mark.parametrize(
    ("given", "field"),
    [
        pytest.param(7, "alert", id="a number"),
        pytest.param({}, "labels", id="no labels"),
        pytest.param({"labels": {"a": ""}}, "labels", id="empty labels"),
        pytest.param({"labels": {"a b": "c"}}, "labels", id="no name"),
        pytest.param({"labels": {"a": 1}}, "labels", id="no text"),
        pytest.param({"labels": {"a": "\0"}}, "labels", id="NUL"),
        pytest.param({"labels": {"a": "b"}, "annotations": []}, "annotations", id="annotations") ,
        pytest.param({"labels": {"a": "b"}, "startsAt": "yesterday"}, "startsAt", id="no time"),
        pytest.param({"labels": {"a": "b"}, "endsAt": "2026-11-20T09:00:00"}, "endsAt", id="no zone"),
        pytest.param({"labels": {"a": "b"}, "startsAt": "2026-11-20T09:00:00Z", "endsAt": "2026-11-19T09:00:00Z"},
                     "endsAt", id="over before it began"),
        pytest.param({"labels": {"a": "b"}, "generatorURL": 7}, "generatorURL", id="no address"),
    ],
)  # fmt: skip
def test_a_report_that_cannot_be_read_is_refused_by_its_field(given: Any, field: str) -> None:
    """The sender sees which of its alerts was not taken, and why."""
    with pytest.raises(Invalid) as caught:
        read_report(given, now=NOON)

    assert caught.value.field == field
