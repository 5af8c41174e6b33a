"""How many workers a queue needs, and whether what was measured of it can be true together.

Erlang's formula (1917) for c workers with random arrivals and service times: it forgives nothing where tasks come in
bursts or last very differently, so a plan is the least that is needed. Little's law, L = λW (1961), holds for any queue
that is steady; what is left over says that the queue grows or shrinks, or that a figure is wrong.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

MOST_WORKERS = 10_000
BUSY = 0.9  # from which share of its workers on a queue has nothing to spare


@dataclass(frozen=True, slots=True)
class Plan:
    """What a queue needs; what is not known is None. *load* is the number of workers that are busy all the time."""

    arrival: float | None
    service_seconds: float | None
    workers: int | None
    load: float | None
    utilisation: float | None
    wait_seconds: float | None
    needed: int | None


def plan(
    *, arrival: float | None, service_seconds: float | None, workers: int | None, target_wait_seconds: float
) -> Plan:
    """Return what is needed so that the mean wait is at most the target when *arrival* tasks come a second."""
    if arrival is None or service_seconds is None:
        return Plan(arrival, service_seconds, workers, None, None, None, None)
    load = arrival * service_seconds
    wait = None if not workers else mean_wait(workers, load, service_seconds)
    used = None if not workers else load / workers
    return Plan(
        arrival, service_seconds, workers, load, used, None if wait is None or math.isinf(wait) else wait,
        workers_needed(load, service_seconds, target_wait_seconds),
    )  # fmt: skip


def workers_needed(load: float, service_seconds: float, target_wait_seconds: float) -> int | None:
    """Return the fewest workers that keep the mean wait at the target; None where it takes more than anybody has."""
    if load <= 0:
        return 0
    least = math.floor(load) + 1
    if least > MOST_WORKERS:
        return None
    # Erlang's loss formula grows from one worker to the next, so one pass tells every number.
    blocked = 1.0
    for workers in range(1, MOST_WORKERS + 1):
        blocked = load * blocked / (workers + load * blocked)
        if workers >= least and _wait(workers, load, blocked, service_seconds) <= target_wait_seconds:
            return workers
    return None


def mean_wait(workers: int, load: float, service_seconds: float) -> float:
    """Return the mean wait in seconds; infinite where more comes than the workers can do."""
    if load >= workers:
        return math.inf
    blocked = 1.0
    for number in range(1, workers + 1):
        blocked = load * blocked / (number + load * blocked)
    return _wait(workers, load, blocked, service_seconds)


def _wait(workers: int, load: float, blocked: float, service_seconds: float) -> float:
    busy = blocked / (1 - load / workers * (1 - blocked))  # the chance that all are at work: Erlang C
    return busy * service_seconds / (workers - load)


def little_residual(inside: float | None, rate: float | None, seconds: float | None) -> float | None:
    """Return by how much L exceeds λW, as a share of the larger; None where one of the three is not known."""
    if inside is None or rate is None or seconds is None:
        return None
    law = rate * seconds
    largest = max(inside, law)
    return 0.0 if largest <= 0 else (inside - law) / largest
