"""Rules at the door, and their alerts from pending to resolved."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from alerts import evaluator, looking, queries, services
from alerts.models import Alert, AlertRule
from subsystems.kernel.errors import Invalid, Refused
from subsystems.messaging import live
from subsystems.recursion.models import System
from subsystems.recursion.queries import root_system
from subsystems.s1_operations.models import Unit
from subsystems.s5_policy.amending import amend
from subsystems.s5_policy.models import Decision
from subsystems.telemetry.samples import Sample
from subsystems.telemetry.services import record
from subsystems.telemetry.store import hot_tier
from tests.support.factories import make_system, make_unit, make_user

NOON = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC)
pytestmark = pytest.mark.django_db


@pytest.fixture
def system() -> System:
    hot_tier().clear()
    return root_system()


@pytest.fixture
def pushed(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Collect the bodies that open dashboards get."""
    bodies: list[dict[str, Any]] = []
    monkeypatch.setattr(live, "push", lambda _system, _kind, _key, body: bodies.append(body))
    return bodies


def rule(system: System, **fields: Any) -> AlertRule:
    wanted = {"name": "Too busy", "metric": "cpu", "threshold": 0.9, **fields}
    return services.create_rule(system, None, **wanted)


def heard(system: System, value: float, *, at: datetime = NOON, source: str = "a", metric: str = "cpu") -> None:
    outcome = record({source: [Sample(metric, at.timestamp(), value)]}, system_id=system.pk, now=at.timestamp())
    assert outcome.accepted == 1


def tick(system: System, value: float | None, seconds: float) -> None:
    """Let *seconds* after noon come: with a value it is heard, and the rules are evaluated."""
    at = NOON + timedelta(seconds=seconds)
    if value is not None:
        heard(system, value, at=at)
    services.evaluate(now=at)


# --- At the door ---


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        pytest.param({"name": ""}, "name", id="no name"),
        pytest.param({"name": "x" * 121}, "name", id="long name"),
        pytest.param({"metric": "no metric"}, "metric", id="bad metric"),
        pytest.param({"metric": "m{"}, "metric", id="open braces"),
        pytest.param({"threshold": "high"}, "threshold", id="no number"),
        pytest.param({"threshold": float("inf")}, "threshold", id="infinite"),
        pytest.param({"threshold": None}, "threshold", id="missing"),
        pytest.param({"comparison": "eq"}, "comparison", id="unknown comparison"),
        pytest.param({"severity": "fatal"}, "severity", id="unknown severity"),
        pytest.param({"for_seconds": 3601}, "for_seconds", id="longer than the hot tier"),
        pytest.param({"for_seconds": -1}, "for_seconds", id="negative"),
        pytest.param({"cooldown_seconds": 10**9}, "cooldown_seconds", id="endless cooldown"),
        pytest.param({"unit": "a"}, "unit", id="no unit"),
        pytest.param({"unit_kind": "hots"}, "unit_kind", id="a type that nothing has"),
        pytest.param({"created_by": None}, "created_by", id="not to be set"),
    ],
)
def test_a_rule_that_cannot_work_is_refused_by_its_field(system: System, fields: dict[str, Any], field: str) -> None:
    """A rule that silently never fires is worse than none."""
    with pytest.raises(Invalid) as caught:
        rule(system, **fields)

    assert caught.value.field == field
    assert not AlertRule.objects.exists()


def test_two_rules_of_a_system_differ_in_name(system: System) -> None:
    """The name is the title of the alerts."""
    rule(system)

    with pytest.raises(Invalid) as caught:
        rule(system)

    assert caught.value.field == "name"
    assert rule(make_system("other")).pk


def test_a_rule_cannot_reach_into_another_system(system: System) -> None:
    """Units of a tenant are its own."""
    with pytest.raises(Invalid) as caught:
        rule(system, unit=make_unit(system=make_system("other")))

    assert caught.value.field == "unit"


def test_a_rule_for_a_unit_of_another_type_is_refused(system: System) -> None:
    """It could never match."""
    with pytest.raises(Invalid) as caught:
        rule(system, unit=make_unit(kind="host", system=system), unit_kind="agent")

    assert caught.value.field == "unit_kind"


# --- The life of an alert ---


def test_an_alert_fires_once_and_resolves(
    system: System, pushed: list[Any], django_capture_on_commit_callbacks: Any
) -> None:
    """The whole life, as an open dashboard sees it."""
    rule(system)
    with django_capture_on_commit_callbacks(execute=True):
        for seconds, value in enumerate([0.5, 0.95, 0.95, 0.5]):
            tick(system, value, seconds * 5)

    alert = Alert.objects.get()
    assert (alert.state, alert.resolution, alert.title) == ("resolved", "condition", "Too busy: a")
    assert (alert.fired_at, alert.resolved_at) == (NOON + timedelta(seconds=5), NOON + timedelta(seconds=15))
    assert [body["state"] for body in pushed] == ["firing", "resolved"]


def test_an_alert_is_pending_until_its_condition_has_held(system: System) -> None:
    """A short peak is no alarm, and is not kept as history either."""
    rule(system, for_seconds=20)
    states = []
    for seconds, value in [(0, 1.0), (10, 1.0), (15, 0.1), (20, 1.0), (30, 1.0), (40, 1.0)]:
        tick(system, value, seconds)
        states.append(list(Alert.objects.values_list("state", flat=True)))

    assert states == [["pending"], ["pending"], [], ["pending"], ["pending"], ["firing"]]


def test_a_silent_series_keeps_its_alert_and_says_so(system: System) -> None:
    """Silence is not recovery; when the series comes back the alert goes on."""
    rule(system)
    tick(system, 1.0, 0)
    tick(system, None, 40)
    silent = Alert.objects.get()
    tick(system, 1.0, 50)
    back = Alert.objects.get()

    assert (silent.state, silent.no_data_since) == ("firing", NOON + timedelta(seconds=40))
    assert (back.state, back.no_data_since) == ("firing", None)


def test_silence_alone_fires_nothing(system: System) -> None:
    """An old high value says nothing about now."""
    rule(system)
    heard(system, 1.0)

    services.evaluate(now=NOON + timedelta(seconds=31))

    assert not Alert.objects.exists()


def test_the_current_value_is_shown_while_it_fires(system: System) -> None:
    """Whoever looks wants to know how bad it is now."""
    rule(system)
    tick(system, 0.95, 0)
    tick(system, 0.99, 5)

    assert Alert.objects.get().value == 0.99


def test_two_evaluators_make_one_alert(system: System) -> None:
    """Both have read the same rows before either wrote."""
    rule(system)
    heard(system, 1.0)
    turns = [evaluator.judge(now=NOON), evaluator.judge(now=NOON)]

    fired = [evaluator.carry_out(turn) for turn in turns]

    assert fired == [1, 0]
    assert (Alert.objects.count(), Decision.objects.count()) == (1, 1)


def test_two_evaluators_resolve_once(
    system: System, pushed: list[Any], django_capture_on_commit_callbacks: Any
) -> None:
    """The second finds it over."""
    rule(system)
    tick(system, 1.0, 0)
    heard(system, 0.1, at=NOON + timedelta(seconds=5))
    turns = [evaluator.judge(now=NOON + timedelta(seconds=5)) for _ in range(2)]

    with django_capture_on_commit_callbacks(execute=True):
        for turn in turns:
            evaluator.carry_out(turn)

    assert [body["state"] for body in pushed] == ["resolved"]


@pytest.mark.parametrize("how", ["disable", "delete", "change", "delete in the database"])
def test_an_alert_ends_with_its_rule(system: System, how: str) -> None:
    """An alert of a rule that is no more could never resolve."""
    made = rule(system)
    tick(system, 1.0, 0)
    match how:
        case "disable":
            services.update_rule(made, enabled=False)
        case "delete":
            services.delete_rule(made)
        case "change":
            services.update_rule(made, threshold=2.0)
        case _:
            AlertRule.objects.all().delete()
            tick(system, 1.0, 5)

    alert = Alert.objects.get()
    assert (alert.state, alert.resolution) == ("resolved", "rule")


def test_a_new_name_does_not_end_an_alert(system: System) -> None:
    """Only the condition decides."""
    made = rule(system)
    tick(system, 1.0, 0)

    services.update_rule(made, name="Far too busy")

    assert Alert.objects.get().state == "firing"


@pytest.mark.parametrize("how", ["pause", "delete"])
def test_an_alert_ends_with_its_unit(system: System, how: str) -> None:
    """A unit that is no longer watched has no alarm."""
    unit = make_unit("a", system=system, state="active")
    rule(system)
    tick(system, 1.0, 0)
    if how == "pause":
        Unit.objects.update(state=Unit.State.PAUSED)
    else:
        unit.delete()
    tick(system, 1.0, 5)

    assert [(a.state, a.resolution) for a in Alert.objects.order_by("pk")][0] == ("resolved", "unit")


def test_a_second_alert_within_the_cooldown_tells_nobody(system: System) -> None:
    """It is kept and counted, but nobody is told twice in five minutes (002-39, 002-41)."""
    rule(system)
    before = hot_tier().counters().get("alerts_suppressed", 0)
    for seconds, value in [(0, 1.0), (5, 0.1), (10, 1.0), (15, 0.1), (310, 1.0)]:
        tick(system, value, seconds)

    assert [alert.suppressed for alert in Alert.objects.order_by("pk")] == ["", "cooldown", ""]
    assert hot_tier().counters()["alerts_suppressed"] == before + 1
    assert Decision.objects.count() == 2


def test_critical_alerts_are_never_held_back_only_counted_together(system: System) -> None:
    """An emergency may not be dropped by a limiter (2-28)."""
    amend(system, "alerts", {"max_alerts_per_hour": 0}, by=None, reason="a quiet week")
    rule(system, severity="critical")
    for seconds, value in [(0, 1.0), (5, 0.1), (10, 1.0)]:
        tick(system, value, seconds)

    assert [(a.suppressed, a.data["repeats"]) for a in Alert.objects.order_by("pk")] == [("", 0), ("", 1)]


def test_at_most_twenty_alerts_an_hour_are_told(system: System) -> None:
    """The hour slides (2-49)."""
    rule(system)
    for number in range(22):
        heard(system, 1.0, source=f"s{number}")
    services.evaluate(now=NOON)
    heard(system, 1.0, source="late", at=NOON + timedelta(minutes=61))
    services.evaluate(now=NOON + timedelta(minutes=61))

    assert Alert.objects.filter(suppressed="").count() == 21
    assert Alert.objects.filter(suppressed="hourly_limit").count() == 2


# --- What people do ---


@pytest.fixture
def firing(system: System) -> Alert:
    rule(system)
    tick(system, 1.0, 0)
    return Alert.objects.get()


def test_an_acknowledgement_answers_s5(firing: Alert) -> None:
    """Who, when and why are kept, and the question is settled."""
    alert = services.acknowledge(firing, make_user("anna"), "on it")

    assert (alert.state, str(alert.acknowledged_by), alert.comment) == ("firing", "anna", "on it")
    assert Decision.objects.get().answered_at is not None


def test_only_the_first_acknowledges(firing: Alert) -> None:
    """Two people must not both believe that it is theirs."""
    services.acknowledge(firing, make_user("anna"))

    with pytest.raises(Refused, match="anna") as caught:
        services.acknowledge(firing, make_user("ben"))

    assert caught.value.code == "already_acknowledged"


@pytest.mark.parametrize("verb", [services.acknowledge, services.resolve])
def test_an_alert_that_is_over_takes_nothing_more(firing: Alert, verb: Any) -> None:
    """A page that was open for long may offer what is past."""
    user = make_user()
    services.resolve(firing, user)

    with pytest.raises(Refused) as caught:
        verb(firing, user)

    assert caught.value.code == "not_open"


def test_an_alert_resolved_by_hand_waits_until_its_condition_was_false(system: System, firing: Alert) -> None:
    """Someone said that it is dealt with; only a new occurrence is news."""
    services.resolve(firing, make_user())
    counts = []
    for seconds, value in [(5, 1.0), (10, 1.0), (15, None), (20, 0.1), (25, 1.0)]:
        tick(system, value, seconds)
        counts.append(Alert.objects.count())

    assert counts == [1, 1, 1, 1, 2]


def test_a_long_comment_is_refused(firing: Alert) -> None:
    """PostgreSQL would fail where SQLite does not."""
    with pytest.raises(Invalid) as caught:
        services.acknowledge(firing, make_user(), "x" * 501)

    assert caught.value.field == "comment"


def test_alerts_are_kept_for_thirty_days(firing: Alert) -> None:
    """Open ones stay, however old (002-48)."""
    later = NOON + timedelta(days=40)
    kept = services.forget_alerts(now=later)
    Alert.objects.update(state="resolved", resolved_at=NOON)

    assert (kept, services.forget_alerts(now=later)) == (0, 1)


# --- Reading ---


def test_a_preview_shows_what_a_rule_would_find(system: System) -> None:
    """The person who writes a rule sees at once whether it would fire."""
    unit = make_unit("a", system=system)
    heard(system, 0.95)
    heard(system, 0.2, source="b")

    lines = looking.preview(system, "cpu", threshold=0.9, now=NOON.timestamp())

    assert [(line["subject"], line["unit_id"], line["value"], line["matches"]) for line in lines] == [
        ("a", unit.pk, 0.95, True),
        ("b", None, 0.2, False),
    ]


@pytest.mark.parametrize(
    ("threshold", "age"), [pytest.param(None, 0, id="no threshold yet"), pytest.param(0.9, 31, id="stale")]
)
def test_a_preview_does_not_claim_what_it_cannot_know(system: System, threshold: float | None, age: int) -> None:
    """No threshold or no fresh value: no verdict."""
    heard(system, 0.95)

    [line] = looking.preview(system, "cpu", threshold=threshold, now=NOON.timestamp() + age)

    assert line["matches"] is None


def test_an_alert_as_json_outlives_its_rule(system: System, firing: Alert) -> None:
    """History must still say what the threshold was."""
    services.delete_rule(AlertRule.objects.get())

    body = queries.alert_body(Alert.objects.get())

    assert (body["rule_id"], body["threshold"], body["metric"], body["state"]) == (None, 0.9, "cpu", "resolved")


@pytest.mark.parametrize("size", [2, 12])
def test_the_number_of_queries_does_not_grow_with_rules_units_or_alerts(system: System, size: int) -> None:
    """Evaluation runs every five seconds, whatever is watched."""
    for number in range(size):
        rule(system, name=f"rule {number}", for_seconds=number % 2 * 20)
        make_unit(f"u{number}", system=system, state="active")
        heard(system, 1.0, source=f"u{number}")
    services.evaluate(now=NOON)
    record({f"u{n}": [Sample("cpu", NOON.timestamp() + 5, 2.0)] for n in range(size)}, system_id=system.pk,
           now=NOON.timestamp() + 5)  # fmt: skip

    with CaptureQueriesContext(connection) as captured:
        services.evaluate(now=NOON + timedelta(seconds=5))

    assert len(captured) <= 8
