"""Which tasks ended while nobody listened."""

from __future__ import annotations

import pytest

from subsystems.fleets.unseen import Open, ended_unseen

NOON = 1_800_000_000.0


@pytest.mark.parametrize(
    ("task", "gone"),
    [
        pytest.param(Open("a", "w1", NOON - 60, None), True, id="its worker has it no more"),
        pytest.param(Open("held", "w1", NOON - 9999, None), False, id="it runs for long"),
        pytest.param(Open("a", "w2", NOON - 60, None), False, id="its worker says nothing"),
        pytest.param(Open("a", "w1", NOON - 5, None), False, id="it changed just now"),
        pytest.param(Open("a", "w1", NOON - 60, NOON + 60), False, id="it is not due"),
    ],
)
def test_silence_proves_nothing(task: Open, gone: bool) -> None:
    """A task that is declared ended while it runs sends people looking for a fault that is not there."""
    assert bool(ended_unseen([task], {"w1": {"held"}}, asked_at=NOON)) is gone
