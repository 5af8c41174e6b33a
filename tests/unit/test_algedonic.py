"""The decisions of the algedonic channel: what is felt, where it goes, what is a pattern, when the lane has failed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from subsystems.algedonic import lane, patterns, routes, states
from subsystems.algedonic.intensity import Felt, SignalType, Thresholds, felt, parsed_severity
from subsystems.algedonic.patterns import Memory, Outcome, Rules
from subsystems.algedonic.routes import HighGoesTo
from subsystems.kernel.errors import Invalid
from subsystems.kernel.severity import Severity
from subsystems.messaging.channels import PAINED, Channel, Party, flow_of

PAIN, PLEASURE = SignalType.PAIN, SignalType.PLEASURE
NOON = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC)


# --- Intensity ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("type_", "severity", "intensity", "expected"),
    [
        pytest.param(PAIN, None, None, Felt(Severity.MEDIUM, 0.5), id="medium unless told"),
        pytest.param(PAIN, "critical", None, Felt(Severity.CRITICAL, 1.0), id="the number of a severity"),
        pytest.param(PAIN, "emergency", None, Felt(Severity.CRITICAL, 1.0), id="its alias"),
        pytest.param(PAIN, None, 0.9, Felt(Severity.CRITICAL, 0.9), id="the severity of a number"),
        pytest.param(PAIN, None, 0.7, Felt(Severity.HIGH, 0.7), id="pain from the threshold on"),
        pytest.param(PAIN, None, 0.69, None, id="pain below it is not felt"),
        pytest.param(PLEASURE, None, 0.79, None, id="pleasure has a threshold of its own"),
        pytest.param(PLEASURE, None, 0.8, Felt(Severity.HIGH, 0.8), id="pleasure from it on"),
        pytest.param(PAIN, "low", 0.1, Felt(Severity.LOW, 0.1), id="who names a severity is heard"),
    ],
)
def test_severity_and_intensity_follow_from_each_other(
    type_: SignalType, severity: str | None, intensity: float | None, expected: Felt | None
) -> None:
    """Requirements 000-30 to 000-32, 2-4 and 2-5."""
    assert felt(type_, severity, intensity, Thresholds()) == expected


def test_thresholds_are_policy() -> None:
    """A nursery feels earlier than a steelworks."""
    assert felt(PAIN, None, 0.4, Thresholds(pain=0.3)) == Felt(Severity.LOW, 0.4)


@pytest.mark.parametrize("intensity", [-0.1, 1.1, float("nan"), float("inf"), True, "0.9"])
def test_an_intensity_that_is_none_is_refused(intensity: object) -> None:
    """NaN compares as false with everything, so it must not slip through a comparison."""
    with pytest.raises(Invalid) as refused:
        felt(PAIN, "high", intensity, Thresholds())  # type: ignore[arg-type]

    assert refused.value.field == "intensity"


def test_a_severity_that_is_none_is_refused() -> None:
    """The field at fault is named."""
    with pytest.raises(Invalid) as refused:
        parsed_severity("loud")

    assert refused.value.field == "severity"


# --- Routes ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("severity", "recipients", "path", "priority", "within"),
    [
        (Severity.CRITICAL, ["s5"], ["s5"], 10, 30),
        (Severity.HIGH, ["s4", "s5"], ["s4", "s5"], 8, 300),
        (Severity.MEDIUM, ["s3"], ["s3", "s4", "s5"], 5, 1800),
        (Severity.LOW, [], [], 2, None),
    ],
)
def test_the_route_table_is_the_documented_one(
    severity: Severity, recipients: list[str], path: list[str], priority: int, within: float | None
) -> None:
    """Requirements 000-38 to 000-40 and 2-6."""
    plan = routes.plan(PAIN, severity)

    assert [str(party) for party in plan.recipients] == recipients
    assert [str(party) for party in plan.escalation_path] == path
    assert plan.priority == priority
    assert plan.answer_within == (None if within is None else timedelta(seconds=within))


@pytest.mark.parametrize(
    ("reading", "expected"),
    [(HighGoesTo.BOTH, (Party.S4, Party.S5)), (HighGoesTo.S4, (Party.S4,)), (HighGoesTo.S5, (Party.S5,))],
)
def test_one_setting_restores_either_reading_of_high(reading: HighGoesTo, expected: tuple[Party, ...]) -> None:
    """The documents contradict each other; 2-6 settles it and leaves the choice."""
    assert routes.plan(PAIN, Severity.HIGH, reading).recipients == expected


def test_every_route_is_a_flow_that_the_table_of_channels_permits() -> None:
    """A route that the flow rules refuse would lose the signal at the door."""
    parties = {p for s in Severity for level in range(4) for p in routes.told_at(s, level)}

    assert all(flow_of(Channel.ALGEDONIC, sender, party) for sender in PAINED for party in parties)


def test_unanswered_pain_climbs_and_then_stays_at_the_top() -> None:
    """Medium goes S3, S4, S5; nobody is skipped, and S5 is told again."""
    told = [routes.told_at(Severity.MEDIUM, level) for level in range(5)]

    assert told == [(Party.S3,), (Party.S4,), (Party.S5,), (Party.S5,), (Party.S5,)]


def test_reminders_of_the_top_become_rarer_but_never_stop() -> None:
    """An alarm every 30 s all night teaches people to switch it off; one that stops is forgotten."""
    waits = [routes.answer_within(PAIN, Severity.CRITICAL, level) for level in (0, 1, 2, 3, 50)]

    assert waits == [timedelta(seconds=s) for s in (30, 60, 120, 240, 3600)]


def test_medium_keeps_its_deadline_until_the_top_has_heard() -> None:
    """Only reminders of the same party grow rarer."""
    waits = [routes.answer_within(PAIN, Severity.MEDIUM, level) for level in range(5)]

    assert waits == [timedelta(minutes=m) for m in (30, 30, 30, 60, 60)]


def test_pleasure_expects_no_answer() -> None:
    """Good news must not wake anybody."""
    assert routes.plan(PLEASURE, Severity.CRITICAL).answer_within is None


# --- Patterns -------------------------------------------------------------------------------------------------------
def felt_at(*moments: float, memory: Memory | None = None, rules: Rules | None = None) -> list[Outcome]:
    memory, outcomes = memory or Memory(), []
    for moment in moments:
        memory, outcome = patterns.note(memory, moment, rules or Rules())
        outcomes.append(outcome)
    return outcomes


def test_the_sixth_similar_signal_is_a_pattern() -> None:
    """More than five, and the current one counts (000-36)."""
    assert felt_at(*range(6)) == [Outcome.NOTHING] * 5 + [Outcome.FIRES]


def test_ages_are_below_the_window() -> None:
    """An age of exactly 300 s is not below it."""
    assert felt_at(0, 1, 2, 3, 4, 299.9)[-1] is Outcome.FIRES
    assert felt_at(0, 1, 2, 3, 4, 300)[-1] is Outcome.NOTHING


def test_a_window_has_one_aggregate_that_counts() -> None:
    """A storm of a thousand is one signal, not two hundred (2-36)."""
    outcomes = felt_at(*[index * 0.1 for index in range(1000)])

    assert outcomes.count(Outcome.FIRES) == 1
    assert outcomes[6:] == [Outcome.GROWS] * 994


def test_the_next_window_may_have_its_own() -> None:
    """A storm that goes on is told again."""
    outcomes = felt_at(*[index * 10.0 for index in range(100)])

    assert [index for index, outcome in enumerate(outcomes) if outcome is Outcome.FIRES] == [5, 35, 65, 95]


def test_what_arrives_late_and_out_of_order_is_a_pattern_still() -> None:
    """A broker that was down for an hour delivers all at once."""
    assert felt_at(5, 4, 3, 2, 1, 0)[-1] is Outcome.FIRES


def test_memory_is_bounded() -> None:
    """No storm makes it grow."""
    memory = Memory()
    for moment in range(10_000):
        memory, _ = patterns.note(memory, float(moment) / 100, Rules())

    assert len(memory.recent) == 6


@pytest.mark.parametrize(
    ("original", "expected"),
    [("low", "high"), ("medium", "high"), ("high", "high"), ("critical", "critical")],
)
def test_an_aggregate_is_high_at_least_and_never_milder(original: str, expected: str) -> None:
    """The documented rule forces high, which would make critical pain milder (2-36)."""
    assert patterns.aggregate_severity(Severity(original)) == expected


# --- States ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("verb", [states.ACKNOWLEDGE, states.RESPOND, states.RESOLVE, states.FALSE_ALARM])
def test_nothing_leads_out_of_the_end(verb: states.Verb) -> None:
    """A signal that is reopened has two beginnings and no history."""
    assert not {states.State.RESOLVED, states.State.FALSE_ALARM} & set(verb.sources)
    assert states.why_not(verb, states.State.RESOLVED).code == "not_open"


# --- Lane -----------------------------------------------------------------------------------------------------------
def ago(seconds: float) -> datetime:
    return NOON - timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("answered", "sent", "watching", "why"),
    [
        pytest.param(ago(9), ago(9), ago(600), "", id="answered lately"),
        pytest.param(ago(29), ago(5), ago(600), "", id="one that is late"),
        pytest.param(ago(30), ago(5), ago(600), "dead", id="three that are late"),
        pytest.param(None, ago(25), ago(31), "dead", id="none ever came"),
        pytest.param(ago(40), ago(41), ago(600), "not tested", id="nobody sends any"),
        pytest.param(None, None, ago(31), "not tested", id="nobody ever sent one"),
        pytest.param(ago(90_000), ago(90_000), ago(3), "", id="switched on a moment ago"),
    ],
)
def test_a_lane_has_failed_when_no_canary_came_for_30_seconds(
    answered: datetime | None, sent: datetime | None, watching: datetime, why: str
) -> None:
    """Silence is not health; and a night switched off is not an outage."""
    said = lane.failed(answered_at=answered, sent_at=sent, watching_since=watching, now=NOON)

    assert bool(said) == bool(why)
    assert why in said


def test_quantiles_are_measured_values() -> None:
    """Nearest rank: of hundred latencies the second worst is the 99th."""
    latencies = [float(n) for n in range(1, 101)]

    assert [lane.quantile(latencies, share) for share in (0.5, 0.99, 1.0)] == [50.0, 99.0, 100.0]
    assert lane.quantile([], 0.5) is None
