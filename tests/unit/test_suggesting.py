"""Which act fits what hurts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from subsystems.fleets.flow import Flow
from subsystems.fleets.snapshots import QueueSeen, WorkerSeen
from subsystems.s3_control import suggesting
from subsystems.s3_control.launching.sizes import Supply
from subsystems.s3_control.suggesting import Facts

UNKNOWN = Flow(None, None, None, None)


def worker(name: str, *queues: str, pool: str = "prefork", size: int | None = 2, busy: int | None = 0) -> WorkerSeen:
    return WorkerSeen(
        name, name, 0.0, 0.0, pool=pool, pool_size=size, queues=queues, active_count=busy, reserved_count=0
    )


def facts(*workers: WorkerSeen, ready: float | None = 100.0, flow: Flow = UNKNOWN, paused: bool = False) -> Facts:
    return Facts(QueueSeen("mail", 0.0, ready=ready), workers, flow, paused, 60.0)


@pytest.mark.parametrize(
    ("given", "act"),
    [
        pytest.param(facts(worker("a", "mail"), paused=True), ("queue.resume", "mail", {}), id="paused"),
        pytest.param(
            facts(worker("a", "x", busy=3), worker("b", "x", busy=1)), ("worker.add_consumer", "b", {"queue": "mail"}),
            id="nobody reads it: the idlest does",
        ),
        pytest.param(
            facts(worker("a", "mail", size=8), worker("b", "mail", size=2)), ("worker.grow", "b", {"by": 5}),
            id="the smallest pool grows by half of all",
        ),
        pytest.param(facts(worker("a", "mail", pool="solo")), ("", "", None), id="a pool that cannot grow"),
        pytest.param(facts(), ("", "", None), id="no worker at all"),
        pytest.param(facts(worker("a", "x", busy=None)), ("", "", None), id="nobody says how busy it is"),
    ],
)  # fmt: skip
def test_the_act_fits(given: Facts, act: tuple[str, str, Any]) -> None:
    """Each trouble has another cure, and some have none that the platform can do."""
    found = suggesting.for_queue(given)

    assert found is not None
    assert (found.kind, found.target, found.parameters) == act


def test_a_launcher_that_names_the_queue_starts_workers() -> None:
    """Where no pool can grow, and where nobody reads it; not at its most, and not for another's queue."""
    supply = Supply("mailers", ("mail",), slots=1, running=1, least=0, most=2)

    for given in (facts(worker("a", "mail", pool="solo")), facts(worker("a", "x", busy=1))):
        found = suggesting.for_queue(replace(given, supplies=[supply]))
        others = [replace(supply, running=2), replace(supply, queues=("post",))]
        without = suggesting.for_queue(replace(given, supplies=others))
        assert found is not None
        assert (found.kind, found.target, found.parameters) == ("worker.start", "mailers", {"workers": 1})
        assert without is None or without.kind != "worker.start"


@pytest.mark.parametrize("ready", [0.0, None], ids=["empty", "unknown"])
def test_nothing_is_suggested_where_nothing_is_known_to_wait(ready: float | None) -> None:
    """Not knowing is no reason to act."""
    assert suggesting.for_queue(facts(worker("a", "mail"), ready=ready)) is None


def test_growth_follows_the_rates() -> None:
    """4 processes do 2 a second and 3 arrive: 8 keep up with a quarter to spare, and the promise can be checked."""
    flow = Flow(3.0, 2.0, None, False)
    found = suggesting.for_queue(facts(worker("a", "mail", size=4), flow=flow))

    assert found is not None
    assert found.parameters == {"by": 4}
    assert found.expected == pytest.approx(100.0 + (3.0 - 4.0) * 60.0)
    assert suggesting.growth(Flow(300.0, 2.0, None, False), 4) == suggesting.MOST_GROWTH
