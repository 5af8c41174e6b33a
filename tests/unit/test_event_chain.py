"""The chain without a database: what its hash covers, and what a walk along it finds."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from subsystems.event_log import chain, checkpoints, upcasters
from subsystems.event_log.chain import FIELDS, GENESIS, link
from subsystems.event_log.event_types import AlgedonicSignalEmitted, OperationExecuted, document, typed
from subsystems.event_log.recorded import Recorded
from subsystems.event_log.verification import Kind, Walk, checkpoint_findings

NOON = datetime(2026, 11, 20, 12, 0, 0, 5, tzinfo=UTC)
Rows = list[list[Any]]


def sealed(count: int = 9) -> Rows:
    """Return a chain over two streams."""
    rows: Rows = []
    previous = GENESIS
    for position in range(1, count + 1):
        stream = "audit" if position % 2 else "vsm-system5-policy"
        row: list[Any] = [
            position, (position + 1) // 2, stream, "decided", 1, None if position % 3 else 7, f'{{"n":{position}}}',
            f"m{position}", "c", "ada", NOON + timedelta(seconds=position),
        ]  # fmt: skip
        previous = link(previous, row)
        rows.append([*row, previous])
    return rows


def walked(rows: Rows) -> list[tuple[int, Kind]]:
    walk = Walk(1)
    walk.feed(rows)
    return [(finding.position, finding.kind) for finding in walk.findings]


def rehashed(rows: Rows, start: int) -> Rows:
    """Write the chain anew from index *start*, as somebody would who knows how it is made."""
    for index in range(start, len(rows)):
        rows[index][chain.HASH] = link(rows[index - 1][chain.HASH] if index else GENESIS, rows[index])
    return rows


@pytest.mark.parametrize("index", range(len(FIELDS) - 1), ids=FIELDS[:-1])
def test_every_field_is_hashed(index: int) -> None:
    """A field that is not hashed is a field that may be changed."""
    row = sealed()[2]
    other = list(row)
    other[index] = row[index] + (timedelta(microseconds=1) if index == chain.AT else "x" if isinstance(row[index], str)
                                 else 1) if row[index] is not None else 0  # fmt: skip

    assert link(GENESIS, row) != link(GENESIS, other)
    assert link(GENESIS, row) != link(b"1" * 32, row)


TEXT = st.text(st.characters(codec="utf-8"), max_size=12)


@given(st.tuples(*[TEXT] * 6), st.tuples(*[TEXT] * 6))
def test_no_two_events_have_the_same_bytes(one: tuple[str, ...], other: tuple[str, ...]) -> None:
    """What moves from the end of one field to the start of the next must show."""

    def hash_of(texts: tuple[str, ...]) -> bytes:
        stream, type_, data, message, correlation, actor = texts
        return link(GENESIS, (1, 1, stream, type_, 1, None, data, message, correlation, actor, NOON))

    assert (hash_of(one) == hash_of(other)) == (one == other)


def test_a_row_reads_the_same_from_either_database() -> None:
    """SQLite keeps times as text, with and without a fraction."""
    row = sealed()[0]
    as_text = [*row[: chain.AT], "2026-11-20 12:00:01.000005", row[chain.HASH]]

    assert link(GENESIS, as_text) == link(GENESIS, row)
    assert chain.moment("2026-11-20 12:00:01") == datetime(2026, 11, 20, 12, 0, 1, tzinfo=UTC)


def altered(rows: Rows) -> Rows:
    rows[4][FIELDS.index("data")] = "{}"
    return rows


def nulled(rows: Rows) -> Rows:
    rows[4][FIELDS.index("actor")] = None
    return rows


def hash_altered(rows: Rows) -> Rows:
    rows[4][chain.HASH] = b"0" * 32
    return rows


def swapped(rows: Rows) -> Rows:
    rows[4], rows[6] = [5, *rows[6][1:]], [7, *rows[4][1:]]
    return rows


def inserted(rows: Rows) -> Rows:
    behind = [[row[0] + 1, *row[1:]] for row in rows[4:]]
    return [*rows[:4], [5, 3, *rows[4][2:]], *behind]


def deleted_and_closed_up(rows: Rows) -> Rows:
    return [*rows[:4], *([row[0] - 1, *row[1:]] for row in rows[5:])]


@pytest.mark.parametrize(
    ("tamper", "first"),
    [
        (altered, (5, Kind.ALTERED)),
        (nulled, (5, Kind.ALTERED)),
        (hash_altered, (5, Kind.ALTERED)),
        (swapped, (5, Kind.MOVED)),
        (lambda rows: rows[:4] + rows[5:], (5, Kind.MISSING)),
        (lambda rows: rows[:4] + rows[7:], (5, Kind.MISSING)),
        (deleted_and_closed_up, (5, Kind.ALTERED)),
        (lambda rows: rows[1:], (1, Kind.MISSING)),
        (inserted, (6, Kind.MOVED)),
    ],
    ids=[
        "altered",
        "null",
        "hash",
        "swapped",
        "one deleted",
        "three deleted",
        "closed up",
        "first deleted",
        "inserted",
    ],
)
def test_the_first_bad_position_is_named(tamper: Callable[[Rows], Rows], first: tuple[int, Kind]) -> None:
    """To know that something is wrong is not enough to find out what."""
    assert walked(sealed()) == []
    assert walked(tamper(sealed()))[0] == first


def test_a_chain_written_anew_does_not_fit_a_checkpoint() -> None:
    """Who may change everything in the database does not have the key."""
    rows = sealed()
    kept = {8: rows[7][chain.HASH]}
    walk = Walk(1, checkpoints=kept)

    walk.feed(rehashed(altered(rows), 4))

    assert [(each.position, each.kind) for each in walk.findings] == [(8, Kind.REWRITTEN)]


def test_checkpoints_that_lack_or_were_forged_are_named() -> None:
    """Else deleting them would be the way around them."""
    good = checkpoints.signed("key", 1_000, b"1" * 32)
    forged = checkpoints.signed("other", 2_000, b"1" * 32)

    found = checkpoint_findings([good, forged], ["key"], 1, 3_500, complete=True)

    assert [(each.position, each.kind) for each in found] == [
        (2_000, Kind.CHECKPOINT_FORGED),
        (3_000, Kind.CHECKPOINT_MISSING),
    ]


def test_a_checkpoint_comes_back_from_the_log() -> None:
    """The copy outside the database is a line among others."""
    made = checkpoints.signed("key", 42, b"\x01" * 32)

    found = checkpoints.parse(["noise", f"2026-11-20 12:00:00 INFO subsystems: {made.line()}\n"])

    assert found == [made]
    assert found[0].genuine(["new key", "key"])


def test_old_events_are_read_in_their_newest_form() -> None:
    """What is stored can never be changed, so that its reading must be."""
    upcasters.upcasts("Renamed", 1)(lambda data: {"name": data["title"]})
    upcasters.upcasts("Renamed", 2)(lambda data: {**data, "size": 0})
    event = recorded("Renamed", '{"title": "a"}')
    try:
        assert event.current() == (3, {"name": "a", "size": 0})
        with pytest.raises(ValueError, match="has an up-caster already"):
            upcasters.upcasts("Renamed", 1)(lambda data: data)
    finally:
        upcasters.forget("Renamed")


def recorded(type_: str, text: str) -> Recorded:
    return Recorded(1, 1, "audit", type_, 1, None, text, "", "", "", NOON)


def test_the_documented_events_have_their_documented_form() -> None:
    """Requirements 004-18 and 004-19."""
    signal = AlgedonicSignalEmitted(
        signal_id="a" * 32, signal_type="pain", severity="high", source="web-1", escalation_path=["s4", "s5"]
    )

    wire = document(recorded("AlgedonicSignalEmitted", signal.model_dump_json()))

    assert typed(recorded("AlgedonicSignalEmitted", signal.model_dump_json())) == signal
    assert (wire["type"], wire["subsystem"]) == ("AlgedonicSignalEmitted", "algedonic_channel")
    assert set(wire["data"]) == {"signal_id", "signal_type", "severity", "source", "description", "metrics"}
    assert wire["metadata"] == {
        "timestamp": "2026-11-20T12:00:00.000005Z", "version": 1, "escalation_path": ["s4", "s5"],
    }  # fmt: skip


def test_an_event_of_a_documented_type_is_checked() -> None:
    """An event is for ever, and so is a mistake in it."""
    with pytest.raises(ValidationError, match="execution_time"):
        OperationExecuted(operation_id="o", input_variety=1, output_variety=1, execution_time=float("nan"))
