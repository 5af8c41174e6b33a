"""How many workers are needed, when a limit is reached, and what that threatens."""

from __future__ import annotations

import math
from datetime import date

import numpy as np
import pytest

from subsystems.s4_intelligence.capacity import Plan, little_residual, mean_wait, plan, workers_needed
from subsystems.s4_intelligence.lifecycles import supported_until
from subsystems.s4_intelligence.saturation import crossing
from subsystems.s4_intelligence.threats import DAY, of_backlog, of_certificate, of_plan, of_resource, of_version


def lines(mean: list[float], half80: float, half95: float) -> dict[str, np.ndarray]:
    middle = np.array(mean)
    return {
        "mean": middle, "low80": middle - half80, "high80": middle + half80,
        "low95": middle - half95, "high95": middle + half95,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("workers", "load", "service", "wait"),
    [
        pytest.param(1, 0.5, 1.0, 1.0, id="one worker, half busy: M/M/1"),
        pytest.param(2, 1.0, 1.0, 1 / 3, id="two workers: the textbook's third"),
        pytest.param(3, 3.0, 1.0, math.inf, id="as much as can be done: no end"),
    ],
)
def test_waits_are_those_of_the_textbook(workers: int, load: float, service: float, wait: float) -> None:
    """Erlang's C formula in closed form."""
    assert mean_wait(workers, load, service) == pytest.approx(wait)


def test_the_fewest_workers_are_found() -> None:
    """One less would let tasks wait longer than wanted."""
    needed = workers_needed(8.0, 2.0, 0.5)

    assert needed is not None
    assert mean_wait(needed, 8.0, 2.0) <= 0.5 < mean_wait(needed - 1, 8.0, 2.0)
    assert workers_needed(0.0, 2.0, 0.5) == 0
    assert workers_needed(1e6, 1.0, 1.0) is None


def test_of_what_is_unknown_nothing_is_planned() -> None:
    """No runtime, no plan; no workers, no wait."""
    assert plan(arrival=3.0, service_seconds=None, workers=4, target_wait_seconds=5).needed is None
    made = plan(arrival=3.0, service_seconds=1.0, workers=None, target_wait_seconds=5)
    assert (made.utilisation, made.wait_seconds) == (None, None)
    assert made.needed is not None


def test_littles_law_leaves_nothing_over_in_a_steady_queue() -> None:
    """Ten inside, two a second, five seconds each; a growing one has more inside."""
    assert little_residual(10, 2, 5) == 0.0
    assert little_residual(20, 2, 5) == 0.5
    assert little_residual(0, 0, 5) == 0.0
    assert little_residual(None, 2, 5) is None


def test_a_limit_is_reached_at_a_step_between_two() -> None:
    """By the mean at the sixth, at the earliest at the fourth, at the latest not within the span."""
    found = crossing(lines([0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95], 0.1, 0.25), 0.9)

    assert (found.expected, found.earliest, found.latest) == (5, 3, None)
    assert 0.5 < found.chance < 0.99
    assert crossing(lines([0.1, 0.1], 0.0, 0.0), 0.9).chance == 0.0


def test_a_disk_that_fills_is_a_threat_and_one_at_rest_is_none() -> None:
    """With the moment it is expected, and an effect that can be measured."""
    about = {"slot": 1_000, "step_seconds": 3600, "evidence": {"skill": 0.5}}
    threat = of_resource("disk_ratio", "web-1", lines([0.8, 0.9, 0.97], 0.01, 0.02), **about)

    assert threat is not None
    assert (threat.at, threat.kind) == (1_000 + 2 * 3600, "saturation")
    assert threat.effect == ("disk_ratio", pytest.approx(0.97), pytest.approx(0.8), "")
    assert of_resource("disk_ratio", "web-1", lines([0.5, 0.5, 0.5], 0.01, 0.02), **about) is None


def test_a_deep_queue_that_empties_is_no_threat() -> None:
    """It is today's trouble, and alerts tell of it."""
    about = {"slot": 0, "step_seconds": 60, "evidence": {}}

    assert of_backlog("shop/web", 100, lines([500, 300, 50], 10, 20), **about) is None
    assert of_backlog("shop/web", 100, lines([50, 80, 200], 10, 20), **about) is not None


@pytest.mark.parametrize(
    ("arrival", "workers", "kind", "advice_kind"),
    [
        pytest.param(9.5, 10, "shortage", "resource", id="a few more"),
        pytest.param(40.0, 10, "shortage", "architectural", id="far more than there are"),
        pytest.param(0.5, 40, "idle", "optimisation", id="many stand idle"),
        pytest.param(5.0, 10, None, None, id="enough"),
    ],
)
def test_a_plan_becomes_advice_of_its_kind(
    arrival: float, workers: int, kind: str | None, advice_kind: str | None
) -> None:
    """More of the same, another way, or less."""
    made: Plan = plan(arrival=arrival, service_seconds=1.0, workers=workers, target_wait_seconds=0.1)

    found = of_plan("shop/web", made, chance=0.8, ready=10.0, evidence={})

    assert (found.kind if found else None, found.advice_kind if found else None) == (kind, advice_kind)


def test_ends_are_told_before_they_come() -> None:
    """A certificate three weeks ahead, a version half a year; what nobody dated is unknown and not told."""
    assert of_certificate("shop", 30.0, now=0.0) is None
    soon = of_certificate("shop", 5.0, now=0.0)
    assert soon is not None
    assert (soon.at, soon.kind) == (5 * DAY, "certificate")

    assert supported_until("Django", "5.2.19") == date(2028, 4, 30)
    assert supported_until("PostgreSQL", "15.4") == date(2027, 11, 11)
    assert supported_until("Celery", "5.7.0") is None
    assert of_version("Celery", "5.7.0", None, now=0.0) is None
    assert of_version("Django", "5.2", 400 * DAY, now=0.0) is None
    over = of_version("Django", "4.2", 1 * DAY, now=2 * DAY)
    assert over is not None
    assert over.title == "Django 4.2 is supported no more"
