"""What S3 offers: strategies, promises that a pool can keep, and the choice among strategies."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subsystems.s3_control.bargaining.offering import TRIED, Claim, Strategy, adapted, divide, efficiency, plan

numbers = st.integers(0, 30)


@st.composite
def situations(draw: st.DrawFn) -> tuple[list[Claim], int, Strategy]:
    """Draw a pool at work: what is promised already is within its capacity."""
    capacity, left, claims = draw(st.integers(0, 60)), 0, []
    left = capacity
    for place in range(draw(st.integers(0, 7))):
        held = draw(st.integers(0, left))
        offered = draw(st.none() | st.integers(0, left))
        left -= max(held, offered or 0)
        told = {
            "guarantee": draw(numbers), "ceiling": draw(st.none() | numbers), "priority": draw(st.integers(0, 10)),
            "performance": draw(st.none() | st.floats(0, 9)), "weight": draw(st.sampled_from([0.5, 1.0, 3.0])),
        }  # fmt: skip
        claims.append(Claim(f"q{place}", draw(numbers), held=held, offered=offered, **told))
    return claims, capacity, draw(st.sampled_from(TRIED))


@given(situations(), st.booleans())
def test_a_pool_never_promises_more_than_it_has(given_: tuple, whole: bool) -> None:
    """However offers, answers and notices interleave: what may be accepted at once is never more than there is."""
    claims, capacity, strategy = given_

    division = divide(claims, capacity, strategy, whole=whole)
    found = plan(claims, division, capacity, whole=whole)

    promised = {claim.key: max(claim.promised, found.offers.get(claim.key, 0.0)) for claim in claims}
    assert sum(promised.values()) <= capacity + 1e-6
    assert sum(division.amounts.values()) <= capacity + 1e-6
    for claim in claims:
        assert division.amounts[claim.key] <= claim.cap + 1e-6
        assert claim.key not in found.notices or found.notices[claim.key] < claim.held
    assert not set(found.notices) & set(found.offers)


@given(situations(), st.randoms())
def test_the_order_of_requests_changes_nothing(given_: tuple, random: object) -> None:
    """Two units that ask at the same moment must not race for who is read first."""
    claims, capacity, strategy = given_
    mixed = list(claims)
    random.shuffle(mixed)

    found, again = (divide(each, capacity, strategy, whole=True) for each in (claims, mixed))

    assert found.amounts == again.amounts
    mine, theirs = (plan(each, found, capacity, whole=False) for each in (claims, mixed))
    assert mine.offers == pytest.approx(theirs.offers)
    assert mine.notices == theirs.notices


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        pytest.param(Strategy.FAIR_SHARE, {"a": 6, "b": 6}, id="alike"),
        pytest.param(Strategy.PRIORITY, {"a": 9, "b": 3}, id="priority 8 and 2 are weights 9 and 3"),
        pytest.param(Strategy.PERFORMANCE, {"a": 4, "b": 8}, id="b does twice as much with each slot"),
    ],
)
def test_a_strategy_is_the_weights_of_one_division(strategy: Strategy, expected: dict[str, float]) -> None:
    """Both want all of twelve slots."""
    claims = [Claim("a", 12, priority=8, performance=2.0), Claim("b", 12, priority=2, performance=4.0)]

    found = divide(claims, 12, strategy, whole=True)

    assert found.amounts == expected
    assert "24 wanted of 12" in found.why


def test_what_others_hold_is_told_back_before_it_is_offered() -> None:
    """A newcomer with a guarantee is not promised slots that somebody else still has."""
    claims = [Claim("old", 10, held=10), Claim("new", 6, guarantee=4)]

    division = divide(claims, 10, Strategy.FAIR_SHARE, whole=True)
    first = plan(claims, division, 10, whole=True)
    told = [Claim("old", 10, held=5), Claim("new", 6, guarantee=4)]
    second = plan(told, divide(told, 10, Strategy.FAIR_SHARE, whole=True), 10, whole=True)

    assert (first.offers, first.notices) == ({}, {"old": 5})
    assert (second.offers, second.notices) == ({"new": 5}, {})


def test_the_adaptive_strategy_tries_each_and_then_takes_what_was_used_best() -> None:
    """Deterministic, and it says why."""
    assert adapted({})[0] == "fair_share"
    assert adapted({"fair_share": [0.5] * 3})[0] == "priority_weighted"
    tried = {"fair_share": [0.5] * 3, "priority_weighted": [0.9] * 3, "performance": [0.7] * 3}
    assert adapted(tried)[0] == "priority_weighted"
    assert adapted(tried | {"fair_share": [0.9] * 30 + [0.0] * 30})[0] == "fair_share"
    assert adapted(tried)[1] == (
        "priority_weighted was used best (fair_share 0.50, priority_weighted 0.90, performance 0.70)."
    )


def test_efficiency_is_what_was_used_of_what_was_allocated() -> None:
    """Requirement 3.7, clamped; without an allocation it is unknown."""
    assert [efficiency(10, 2.5), efficiency(10, 30), efficiency(0, 0)] == [0.75, 0.0, None]
