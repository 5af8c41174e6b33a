"""What a batch of events tells of the work of workers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from subsystems.fleets.events import Event
from subsystems.fleets.folding import Folder
from subsystems.fleets.masking import Masking
from subsystems.fleets.states import FINAL
from subsystems.fleets.store import ended_by
from subsystems.fleets.task_events import TaskEnded, Told, told

NOON = 1_800_000_000.0
WORKER = "w1@host"


def event(type_: str, at: float = NOON, **fields: Any) -> Event:
    return Event(**{"type": type_, "hostname": WORKER, "uuid": "1", "timestamp": at, **fields})


def heard(*events: Event, places: Mapping[str, tuple[str, str]] | None = None, masking: Masking | None = None) -> Told:
    folder = Folder(masking or Masking())
    folder.fold_all(events)
    batch = folder.take()
    ended = [ended_by(facts) for facts in batch.tasks.values() if facts.state >= FINAL]
    return told(batch, ended, places or {}, NOON + 10)


def test_a_task_is_asked_when_it_is_received_and_answered_when_it_ends() -> None:
    """Only its first event names it."""
    found = heard(event("task-received", name="mail.send"), event("task-succeeded", NOON + 2, runtime=0.25))

    assert found.asked == {(WORKER, "mail.send", NOON): 1}
    assert found.ended == [TaskEnded(WORKER, "mail.send", "ok", 250.0, NOON + 2, "")]


def test_a_failure_is_named_by_its_exception() -> None:
    """Its duration is from its start, because no event tells it."""
    found = heard(
        event("task-received", name="mail.send"),
        event("task-started", NOON + 1),
        event("task-failed", NOON + 3, exception="ValueError('no')"),
    )

    assert found.ended == [TaskEnded(WORKER, "mail.send", "ValueError", 2_000.0, NOON + 3, "ValueError('no')")]


def test_what_a_fleet_hides_is_not_told() -> None:
    """Its class says what went wrong; its message may say of whom."""
    failed = event("task-failed", NOON + 3, exception="ValueError('customer 17')")

    found = heard(event("task-received", name="mail.send"), failed, masking=Masking((), ("mail.*",)))

    assert [each.words for each in found.ended] == ["ValueError(•••)"]


def test_a_revoked_task_is_a_decision_too() -> None:
    """Somebody took it back."""
    found = heard(event("task-received", name="mail.send"), event("task-revoked", NOON + 1))

    assert [each.outcome for each in found.ended] == ["revoked"]
    assert found.revoked == {(WORKER, NOON + 1): 1}


@pytest.mark.parametrize(
    "events",
    [
        pytest.param([event("task-succeeded", runtime=1)], id="an end without a beginning"),
        pytest.param([event("task-received", name=None)], id="no name"),
        pytest.param([event("task-received", uuid="", name="a")], id="no id"),
        pytest.param([event("worker-heartbeat", uuid="")], id="not of a task"),
    ],
)
def test_what_cannot_be_told_is_left_out(events: list[Event]) -> None:
    """Events come from other people's workers."""
    assert heard(*events) == Told()


def test_a_wrong_clock_does_not_move_what_happened() -> None:
    """Windows must not be emptied by a worker that lives next year."""
    found = heard(event("task-received", NOON + 86_400, name="a"))

    assert list(found.asked) == [(WORKER, "a", NOON + 10)]


def test_a_try_that_ends_in_another_is_told_under_the_name_that_is_known() -> None:
    """Its own event does not tell it."""
    found = heard(event("task-retried", exception="E()"), places={"1": ("a", "q")})

    assert found.ended == [TaskEnded(WORKER, "a", "retried", None, NOON, "E()")]
