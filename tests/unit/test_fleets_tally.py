"""Folding worker events into numbers."""

from __future__ import annotations

from typing import Any

from subsystems.fleets import tally
from subsystems.fleets.events import Event
from subsystems.fleets.tally import FleetTally

NOON = 1_800_000_000.0


def event(type_: str, **fields: Any) -> Event:
    return Event(type=type_, **{"hostname": "w1@host", **fields})


def test_rates_and_totals_come_from_how_tasks_ended() -> None:
    """Ten ends in ten seconds, two of them bad."""
    fleet = FleetTally()
    for second in range(10):
        fleet.fold(event("task-failed" if second % 5 == 0 else "task-succeeded"), NOON + second)

    metrics = fleet.report(NOON + 10).metrics["w1@host"]

    assert (metrics["task_rate"], metrics["failure_rate"], metrics["failed_total"]) == (1.0, 0.2, 2.0)


def test_a_worker_that_sends_no_task_events_has_a_rate_but_no_failures() -> None:
    """Failures that cannot be seen are unknown, which is never the same as none."""
    fleet = FleetTally()
    fleet.fold(event("worker-heartbeat", processed=100), NOON)
    fleet.fold(event("worker-heartbeat", processed=120), NOON + 10)

    metrics = fleet.report(NOON + 10).metrics["w1@host"]

    assert (metrics["task_rate"], metrics["processed_total"]) == (2.0, 120.0)
    assert not {"failure_rate", "failed_total"} & set(metrics)


def test_a_rate_follows_the_load_down_again() -> None:
    """A burst that is over must not look like load for ever."""
    fleet = FleetTally()
    fleet.fold(event("task-succeeded"), NOON)

    later = fleet.report(NOON + tally.WINDOW_SECONDS + 2).metrics["w1@host"]

    assert later["task_rate"] == 0.0


def test_a_restart_under_the_same_name_is_no_negative_rate() -> None:
    """The counter of processed tasks starts again at nought."""
    fleet = FleetTally()
    fleet.fold(event("worker-heartbeat", processed=500), NOON)
    fleet.fold(event("worker-heartbeat", processed=0), NOON + 2)
    fleet.fold(event("worker-heartbeat", processed=4), NOON + 4)

    assert fleet.report(NOON + 4).metrics["w1@host"]["task_rate"] == 2.0


def test_a_goodbye_is_told_at_once_and_once() -> None:
    """A worker that shut down properly needs no waiting."""
    fleet = FleetTally()
    fleet.fold(event("worker-heartbeat"), NOON)
    fleet.fold(event("worker-offline"), NOON + 1)

    first, second = fleet.report(NOON + 1), fleet.report(NOON + 2)

    assert (first.offline, first.heard, bool(second)) == (["w1@host"], [], False)


def test_tasks_that_end_after_the_goodbye_do_not_bring_a_worker_back() -> None:
    """A warm shutdown lets tasks end, and their events come last; only the worker's own word tells of a new start."""
    fleet = FleetTally()
    fleet.fold(event("worker-offline"), NOON)
    fleet.fold(event("task-succeeded"), NOON + 1)

    leaving = fleet.report(NOON + 1)
    fleet.fold(event("worker-online"), NOON + 2)
    returning = fleet.report(NOON + 2)

    assert (leaving.offline, leaving.heard) == (["w1@host"], [])
    assert (returning.offline, returning.heard) == ([], ["w1@host"])


def test_nothing_new_is_reported_only_every_few_seconds() -> None:
    """An idle worker costs one report in five seconds, not one a second."""
    fleet = FleetTally()
    fleet.fold(event("worker-heartbeat", processed=1), NOON)

    reports = [fleet.report(NOON + second) for second in range(7)]

    assert [bool(report.metrics) for report in reports] == [True, False, False, False, False, True, False]


def test_memory_is_bounded_by_workers_not_by_tasks(monkeypatch: object) -> None:
    """A fleet may run millions of tasks and lie about its workers' names."""
    fleet = FleetTally()
    for number in range(tally.MAX_WORKERS + 10):
        fleet.fold(event("task-succeeded", uuid=str(number), hostname=f"w{number}@host"), NOON)

    assert len(fleet.report(NOON).metrics) == tally.MAX_WORKERS


def test_a_worker_that_was_not_heard_for_long_is_dropped() -> None:
    """Names change with each restart of a container."""
    fleet = FleetTally()
    fleet.fold(event("worker-heartbeat"), NOON)
    fleet.report(NOON)

    assert not fleet.report(NOON + tally.FORGET_AFTER_SECONDS + 1)


def test_what_a_client_sent_says_nothing_of_a_worker() -> None:
    """`task-sent` carries the sender's hostname."""
    fleet = FleetTally()
    fleet.fold(event("task-sent"), NOON)

    assert not fleet.report(NOON)


def test_tasks_that_a_worker_started_unheard_are_missed() -> None:
    """Heartbeats carry what a worker has started: what is more than was heard was missed, however that came about."""
    fleet = FleetTally()
    fleet.fold(event("task-started"), NOON)
    for beat in range(10):
        fleet.fold(event("worker-heartbeat", processed=100 + 10 * beat), NOON + 2 * beat)
        for _ in range(10 if beat != 4 else 3):  # in the fifth interval nobody listened for a while
            fleet.fold(event("task-started"), NOON + 2 * beat + 1)

    assert fleet.missed == 7


def test_an_event_a_little_behind_its_heartbeat_is_not_missed() -> None:
    """Workers send heartbeats at once and events of tasks in small batches."""
    fleet = FleetTally()
    fleet.fold(event("task-started"), NOON)
    for beat in range(10):
        fleet.fold(event("worker-heartbeat", processed=100 + 10 * beat + beat % 3), NOON + 2 * beat)
        for _ in range(10):
            fleet.fold(event("task-started"), NOON + 2 * beat + 1)

    assert fleet.missed == 0


def test_hearing_names_skew_and_silence() -> None:
    """Whose clock is off, and who tells nothing of their tasks."""
    fleet = FleetTally()
    for beat in range(3):
        late = event("worker-heartbeat", processed=beat, timestamp=NOON + beat - 7.0)
        fleet.fold(late, NOON + beat + 0.2 * beat)

    assert fleet.hearing()["w1@host"] == {"skew_seconds": 7.0, "tells_tasks": False, "missed": 0}
    assert fleet.hears_sending is None
