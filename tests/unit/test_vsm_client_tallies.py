"""What the client tells of operations, before it is sent."""

from __future__ import annotations

import os
import time

import pytest

from subsystems.variety import batches
from vsm_client import tallies
from vsm_client.tallies import Tallies


def pushed(batch: dict[str, object]) -> batches.Pushed:
    import json

    return batches.pushed(json.dumps({"source": "shop", **batch}).encode(), now=time.time())


def test_a_batch_is_what_the_platform_takes() -> None:
    """Both sides are written here, so they must agree."""
    kept = Tallies()
    for _ in range(3):
        kept.note("charge", 0.0123456)
    kept.note("charge", 0.5, ValueError("no"))

    (ended,) = pushed(kept.batch() or {}).operations

    assert (ended.total, ended.total_ok, ended.count, ended.success) == (4, 3, 4, 3)
    assert dict(ended.durations_ms) == {12.3: 3, 500.0: 1}
    assert [words for _, words in ended.errors] == ["ValueError: no"]


def test_a_batch_stays_as_it_is_until_it_is_taken() -> None:
    """It may have arrived although nobody said so; what is new waits for the next."""
    kept = Tallies()
    kept.note("charge", 0.01)
    first = kept.batch()
    kept.note("charge", 0.01)

    assert kept.batch() is first
    kept.taken()
    second = kept.batch()
    assert second is not None
    assert second["number"] == 2
    assert second["operations"][0]["total"] == 2


def test_a_forked_process_is_another_replica(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the totals of parent and child would be taken for one."""
    kept = Tallies()
    kept.note("charge", 0.01)
    before = kept.batch() or {}
    monkeypatch.setattr(os, "getpid", lambda: -1)
    kept.note("charge", 0.01)

    after = kept.batch() or {}

    assert after["replica"] != before["replica"]
    assert after["operations"][0]["total"] == 1


@pytest.mark.parametrize("operation", ["", "a\nb", "x" * 201])
def test_what_has_no_name_is_counted_as_dropped(operation: str) -> None:
    """The application must not notice."""
    kept = Tallies()
    kept.note(operation, 0.01)

    assert (kept.batch(), kept.dropped) == (None, 1)


def test_memory_is_bounded_while_nothing_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """A platform that is away for a day."""
    monkeypatch.setattr(tallies, "MAX_ENDED", 10)
    kept = Tallies()
    for _ in range(15):
        kept.note("charge", 0.01)

    assert kept.dropped == 5


def test_a_replica_begins_anew_after_half_a_day(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names that are long dead can then be put together on the other side."""
    kept = Tallies()
    kept.note("charge", 0.01)
    first = kept.batch() or {}
    kept.taken()
    monkeypatch.setattr(tallies, "LIFE_SECONDS", 0.0)
    kept.note("charge", 0.01)
    second = kept.batch() or {}

    assert second["replica"] != first["replica"]
    assert (second["number"], second["operations"][0]["total"]) == (1, 1)
