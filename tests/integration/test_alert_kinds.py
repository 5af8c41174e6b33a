"""Rules of each kind from their samples to their alerts; versions, scopes, shards."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from alerts import evaluator, looking, services
from alerts.models import Alert, AlertRule, RuleVersion
from subsystems.algedonic.models import Signal
from subsystems.event_log.services import append
from subsystems.event_log.streams import Stream
from subsystems.health.models import Assessment
from subsystems.kernel.errors import Invalid, NotListed, TransientError
from subsystems.messaging.models import SlotRun
from subsystems.recursion.models import System
from subsystems.recursion.queries import root_system
from subsystems.telemetry.memory import MemoryHotTier
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


def rule(system: System, **fields: Any) -> AlertRule:
    return services.create_rule(system, None, **{"name": "Watch", "metric": "m", "threshold": 10, **fields})


def heard(system: System, seconds: float, value: float, source: str = "a", metric: str = "m", **labels: str) -> None:
    at = (NOON + timedelta(seconds=seconds)).timestamp()
    assert record({source: [Sample(metric, at, value, labels)]}, system_id=system.pk, now=at).accepted == 1


def at(seconds: float) -> datetime:
    moment = NOON + timedelta(seconds=seconds)
    services.evaluate(now=moment)
    return moment


def states() -> dict[str, str]:
    return dict(Alert.objects.order_by("subject").values_list("subject", "state"))


def test_an_average_over_a_window_ignores_a_peak(system: System) -> None:
    """One bad value in a minute is not a bad minute."""
    rule(system, aggregation="avg", window_seconds=60)
    for second, value in [(0, 1), (10, 1), (20, 25), (30, 1)]:
        heard(system, second, value)
    at(30)
    assert states() == {}

    heard(system, 40, 30)
    at(40)
    assert states() == {"a": "firing"}
    assert Alert.objects.get().value == pytest.approx(11.6)


def test_rates_and_changes_are_of_the_window(system: System) -> None:
    """100 in 10 seconds is 10 a second."""
    rule(system, kind="rate", window_seconds=60, threshold=9, name="rate")
    rule(system, kind="change", window_seconds=60, threshold=1, params={"relative": True}, name="change")
    heard(system, 0, 50)
    heard(system, 10, 150)
    at(10)

    assert {alert.rule.name: alert.value for alert in Alert.objects.select_related("rule")} == {"rate": 10, "change": 2}


def test_silence_is_what_absence_looks_for(system: System) -> None:
    """And hearing of it ends the alert."""
    rule(system, kind="absence", threshold=60)
    heard(system, 0, 1)
    at(60)
    assert states() == {}
    at(65)
    assert states() == {"a": "firing"}
    heard(system, 70, 1)
    at(70)
    assert states() == {"a": "resolved"}


def test_an_outlier_and_a_trend_are_found(system: System) -> None:
    """Against its own history, and before it gets there."""
    rule(system, kind="anomaly", name="odd", metric="odd", threshold=3.5)
    rule(system, kind="forecast", name="full", metric="disk", threshold=95, params={"horizon_seconds": 600})
    for n in range(40):
        heard(system, n * 5, 5 + n % 3, metric="odd")
        heard(system, n * 5, 60 + n * 0.5, metric="disk")
    heard(system, 200, 50, metric="odd")
    at(200)

    assert set(Alert.objects.values_list("rule__name", flat=True)) == {"odd", "full"}


def test_a_budget_that_burns_is_found_over_both_windows(system: System) -> None:
    """The pair of counters of each source by itself."""
    rule(system, kind="burn_rate", metric="errors", threshold=1, params={"total": "all", "windows": [[600, 60, 10]]},
         interval_seconds=30)  # fmt: skip
    for n in range(0, 601, 20):
        for source, bad in (("good", 0.0), ("bad", 0.05)):
            heard(system, n, n * bad, source, "errors")
            heard(system, n, n * 1.0, source, "all")
    services.evaluate(now=NOON + timedelta(seconds=600), everything=True)

    assert states() == {"bad": "firing"}


def test_an_expression_sees_the_other_metrics_of_its_source(system: System) -> None:
    """What no other kind can say."""
    rule(system, kind="expression", metric="cpu", threshold=None,
         params={"expression": 'value > 0.9 && metrics["load"] > 4.0', "metrics": ["load"]})  # fmt: skip
    for source, load in (("a", 5), ("b", 1)):
        heard(system, 0, 0.95, source, "cpu")
        heard(system, 0, load, source, "load")
    at(0)

    assert states() == {"a": "firing"}


def test_an_expression_that_fails_is_an_error_not_silence(system: System) -> None:
    """The rule says so, raises an alert where it is asked to, and ends it when it works again."""
    made = rule(system, kind="expression", metric="cpu", threshold=None, error_policy="alert",
                params={"expression": 'metrics["load"] > 4.0', "metrics": ["load"]})  # fmt: skip
    heard(system, 0, 1, "a", "cpu")
    at(0)
    made.refresh_from_db()
    assert "load" in made.error
    assert list(Alert.objects.values_list("state", "subject")) == [("error", "Watch")]

    heard(system, 5, 1, "a", "cpu")
    heard(system, 5, 1, "a", "load")
    at(5)
    made.refresh_from_db()
    assert made.error == ""
    assert list(Alert.objects.values_list("state", flat=True)) == ["resolved"]


def test_units_systems_signals_and_events_can_be_watched(system: System) -> None:
    """Not only series have numbers."""
    make_unit("ill", kind="host", system=system, score=0.2)
    make_unit("well", kind="host", system=system, score=0.9)
    Assessment.objects.create(system=system, slot=1, assessed_at=NOON, score=0.4, status="critical")
    for _ in range(3):
        Signal.objects.create(
            system=system, type="pain", severity="high", intensity=1, source="x", raised_at=NOON, expires_at=NOON
        )
        append(Stream.CONTROL, "test.happened", {}, system_id=system.pk, at=NOON)
    below = {"comparison": "lt", "threshold": 0.5, "metric": ""}
    rule(system, name="health", kind="health", **below)
    rule(system, name="viability", kind="viability", **below)
    rule(system, name="signals", kind="signals", threshold=2, metric="")
    rule(system, name="events", kind="events", threshold=2, metric="", params={"type": "test.happened"})
    at(0)

    found = {alert.rule.name: (alert.subject, alert.value) for alert in Alert.objects.select_related("rule")}
    assert found == {
        "health": ("ill", 0.2), "viability": ("main", 0.4), "signals": ("main", 3.0), "events": ("main", 3.0),
    }  # fmt: skip


def test_severity_follows_its_steps(system: System) -> None:
    """Warning at 80, critical at 95, and back; one alert all the time."""
    rule(system, threshold=80, severity_steps=[{"severity": "critical", "threshold": 95}])
    seen = []
    for seconds, value in [(0, 85), (5, 97), (10, 85), (15, 10)]:
        heard(system, seconds, value)
        at(seconds)
        alert = Alert.objects.get()
        seen.append((alert.state, alert.severity, alert.labels["severity"]))

    assert seen == [
        ("firing", "warning", "warning"), ("firing", "critical", "critical"), ("firing", "warning", "warning"),
        ("resolved", "warning", "warning"),
    ]  # fmt: skip


def test_it_recovers_slowly_when_asked_to(system: System) -> None:
    """Recovering is seen; what comes back meanwhile is the same alert."""
    rule(system, keep_firing_seconds=30)
    seen = []
    for seconds, value in [(0, 20), (5, 1), (10, 20), (15, 1), (45, 1)]:
        heard(system, seconds, value)
        at(seconds)
        seen.append(Alert.objects.get().state)

    assert seen == ["firing", "recovering", "firing", "recovering", "resolved"]


@pytest.mark.parametrize(
    ("policy", "expected"),
    [("keep", {"bad": "firing"}), ("alert", {"bad": "no_data", "good": "no_data"}), ("ok", {"bad": "resolved"})],
)
def test_what_silence_means_is_the_rules_to_say(system: System, policy: str, expected: dict[str, str]) -> None:
    """It is never taken for good news unless somebody says so."""
    rule(system, no_data_policy=policy)
    heard(system, 0, 20, "bad")
    heard(system, 0, 1, "good")
    at(0)
    at(31)

    assert states() == expected


def test_silence_that_alarms_ends_when_it_is_heard_again(system: System) -> None:
    """As fire where the condition holds, else resolved."""
    rule(system, no_data_policy="alert")
    for source in ("bad", "good"):
        heard(system, 0, 1, source)
    at(0)
    at(31)
    heard(system, 35, 20, "bad")
    heard(system, 35, 1, "good")
    at(35)

    assert states() == {"bad": "firing", "good": "resolved"}


def test_a_tier_that_is_away_keeps_every_alert(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blindness is shown, on the alert and on its rule."""
    made = rule(system)
    heard(system, 0, 20)
    at(0)

    def away(*_: object) -> None:
        raise TransientError("the hot tier is away")

    monkeypatch.setattr(MemoryHotTier, "latest", away)
    monkeypatch.setattr("alerts.feeding.hot_tier", lambda: MemoryHotTier(100))
    moment = at(5)

    alert = Alert.objects.get()
    made.refresh_from_db()
    assert (alert.state, alert.no_data_since, made.error) == ("firing", moment, "the hot tier is away")


@pytest.mark.parametrize(
    ("fields", "counts"),
    [
        pytest.param({"across": "any"}, [0, 1, 1], id="any"),
        pytest.param({"across": "at_least", "at_least": 2}, [0, 0, 1], id="two"),
        pytest.param({"across": "all"}, [0, 0, 0], id="all"),
    ],
)
def test_many_series_can_be_one_alert(system: System, fields: dict[str, Any], counts: list[int]) -> None:
    """Three replicas, one of which may be down."""
    rule(system, **fields)
    seen = []
    for n, bad in enumerate([0, 1, 2]):
        for place in range(3):
            heard(system, n * 5, 20 if place < bad else 1, f"r{place}")
        at(n * 5)
        seen.append(Alert.objects.exclude(state="resolved").count())

    assert seen == counts


def test_a_rule_may_reach_into_the_systems_below(system: System) -> None:
    """The alert is its own system's; the label says where it was found."""
    below = make_system("below", parent=system)
    rule(system, subtree=True)
    heard(system, 0, 20)
    heard(below, 0, 30)
    heard(make_system("beside"), 0, 40)
    at(0)

    assert sorted(Alert.objects.values_list("value", flat=True)) == [20, 30]
    assert set(Alert.objects.values_list("system", flat=True)) == {system.pk}


def test_only_matching_labels_are_watched(system: System) -> None:
    """Patterns, as in queries."""
    rule(system, match="queue=mail*,core!=0")
    for queue, core in (("mail-1", "1"), ("mail-2", "0"), ("sms", "1")):
        heard(system, 0, 20, queue=queue, core=core)
    at(0)

    assert [alert.labels["queue"] for alert in Alert.objects.all()] == ["mail-1"]


# --- Versions ---
def test_a_rule_remembers_what_it_said_and_can_go_back(system: System) -> None:
    """Who changed what, and when; going back is a change of its own."""
    ada = make_user("ada", role="operator")
    made = services.create_rule(system, ada, name="Watch", metric="m", threshold=10, owner=ada)
    services.update_rule(made, ada, threshold=20, for_seconds=60)
    services.update_rule(made, ada, threshold=20)
    services.revert_rule(made, 1, ada)

    made.refresh_from_db()
    rows = RuleVersion.objects.filter(rule=made).order_by("version").values_list("version", "changed", "by__username")
    assert list(rows) == [
        (1, [], "ada"),
        (2, ["threshold", "for_seconds"], "ada"),
        (3, ["threshold", "for_seconds"], "ada"),
    ]
    assert (made.version, made.threshold, made.for_seconds, made.owner) == (3, 10, 0, ada)
    with pytest.raises(NotListed):
        services.revert_rule(made, 9, ada)


def test_a_rule_older_than_its_history_keeps_what_it_said(system: System) -> None:
    """Rules from before there were versions."""
    made = rule(system)
    RuleVersion.objects.all().delete()
    services.update_rule(made, threshold=20)

    assert list(RuleVersion.objects.order_by("version").values_list("fields__threshold", flat=True)) == [10, 20]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"kind": "magic"}, "kind"),
        ({"metric": ""}, "metric"),
        ({"recover_threshold": 11}, "recover_threshold"),
        ({"comparison": "lt", "recover_threshold": 9}, "recover_threshold"),
        ({"aggregation": "avg"}, "window_seconds"),
        ({"severity_steps": [{"severity": "info", "threshold": 20}]}, "severity_steps"),
        ({"severity_steps": [{"severity": "critical", "threshold": 5}]}, "severity_steps"),
        ({"severity_steps": [{"severity": "critical"}]}, "severity_steps"),
        ({"severity_steps": 5}, "severity_steps"),
        ({"match": "queue"}, "match"),
        ({"stale_seconds": 1}, "stale_seconds"),
        ({"interval_seconds": 7}, "interval_seconds"),
        ({"params": {"x": 1}}, "params"),
        ({"labels": {"severity": "x"}}, "labels"),
        ({"annotations": {"summary": "{{ nope }}"}}, "annotations"),
        ({"runbook_url": "javascript:alert(1)"}, "runbook_url"),
        ({"across": "some"}, "across"),
        ({"no_data_policy": "panic"}, "no_data_policy"),
    ],
)
def test_what_cannot_work_is_refused_by_its_field(system: System, fields: dict[str, Any], field: str) -> None:
    """At the door."""
    with pytest.raises(Invalid) as caught:
        rule(system, **fields)

    assert caught.value.field == field


def test_an_owner_is_somebody_of_the_system(system: System) -> None:
    """Names of other tenants' people are nobody's business."""
    stranger = make_user(role="admin", system=make_system("other"))
    with pytest.raises(Invalid) as caught:
        rule(system, owner=stranger)

    assert caught.value.field == "owner"


# --- Shards and slots ---
def test_shards_together_do_what_one_does(system: System) -> None:
    """Each rule is in one shard."""
    for n in range(7):
        rule(system, name=f"r{n}")
    heard(system, 0, 20)

    fired = [evaluator.evaluate(now=NOON, shard=shard, of=3) for shard in range(3)]

    assert sum(fired) == 7
    assert all(fired)


def test_a_slot_is_evaluated_once_and_again_when_its_worker_died(system: System) -> None:
    """A second hint does nothing; a message that comes back after a death goes on with the slot."""
    rule(system)
    heard(system, 0, 20)
    SlotRun.objects.create(job="alerts.evaluate.0.1", slot=int(NOON.timestamp()), period_seconds=5, started_at=NOON)

    assert services.evaluate_slot(now=NOON) == 0
    assert services.evaluate_slot(now=NOON, again=True) == 1
    assert services.evaluate_slot(now=NOON, again=True) == 0
    assert services.evaluate_slot(now=NOON + timedelta(seconds=5)) == 0
    assert SlotRun.objects.count() == 2


def test_a_platform_that_forgot_to_evaluate_is_found_out(system: System) -> None:
    """Beat looks after it where no collection does."""
    assert services.overdue(now=NOON)
    services.evaluate_slot(now=NOON)
    assert not services.overdue(now=NOON + timedelta(seconds=10))
    assert services.overdue(now=NOON + timedelta(seconds=20))


def test_a_long_interval_is_evaluated_in_its_own_slots_alone(system: System) -> None:
    """And spread over them by the rule's number."""
    rule(system, interval_seconds=60)
    heard(system, 0, 20)
    seen = []
    for n in range(12):
        heard(system, n * 5, 20)
        seen.append(evaluator.evaluate(now=NOON + timedelta(seconds=n * 5)))

    assert sum(seen) == 1


def test_one_evaluation_asks_the_database_a_fixed_number_of_times(
    system: System, django_assert_max_num_queries: Any
) -> None:
    """However many rules and series there are."""
    for n in range(20):
        rule(system, name=f"r{n}", metric=f"m{n % 4}")
        heard(system, 0, 1, f"s{n}", f"m{n % 4}")
    at(0)
    with django_assert_max_num_queries(4):
        at(5)


# --- Explaining ---
def test_why_it_does_not_fire_and_what_would_change_it(system: System) -> None:
    """By how much, and for how long."""
    made = rule(system, for_seconds=60)
    heard(system, 0, 7)

    [told] = looking.explanations(made, now=NOON)

    assert told["state"] == "normal"
    assert told["because"] == ["The value is 7, which is not above 10."]
    assert told["would_change"] == [
        "It would fire if the value moved by 3, to be above 10, and stayed there for 1m."
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "steps", "said"),
    [
        pytest.param({"for_seconds": 60}, [(0, 20), (20, 20)], "It has held for 20s of the 1m", id="pending"),
        pytest.param({}, [(0, 20)], "The value is 20, which is above 10.", id="firing"),
        pytest.param({"recover_threshold": 5}, [(0, 20), (5, 7)], "is over only at 5", id="hysteresis"),
        pytest.param({"keep_firing_seconds": 60}, [(0, 20), (5, 1)], "keeps it open for 1m", id="recovering"),
        pytest.param({"enabled": False}, [(0, 20)], "switched off", id="switched off"),
    ],
)
def test_each_state_is_explained(system: System, fields: dict[str, Any], steps: list[Any], said: str) -> None:
    """In words that name the numbers."""
    made = rule(system, **fields)
    for seconds, value in steps:
        heard(system, seconds, value)
        moment = at(seconds)

    [told] = looking.explanations(made, now=moment)

    assert any(said in sentence for sentence in told["because"])


def test_silence_and_a_hand_are_explained(system: System) -> None:
    """Why nobody is called though the value is bad."""
    made = rule(system)
    heard(system, 0, 20)
    at(0)
    services.resolve(Alert.objects.get(), make_user("ada"))
    heard(system, 5, 20)

    [held] = looking.explanations(made, now=at(5))
    [silent] = looking.explanations(made, now=at(60))

    assert any("resolved by hand" in sentence for sentence in held["because"])
    assert any("Nothing has been heard for 55s" in sentence for sentence in silent["because"])
