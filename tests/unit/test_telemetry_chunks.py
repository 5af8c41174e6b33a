"""Packed roll-ups come back as they went in, many at once, and other bytes are refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from subsystems.kernel.errors import Invalid
from subsystems.telemetry.chunks import Chunk, pack, unpack
from subsystems.telemetry.columns import Pieces, columns
from subsystems.telemetry.distributions import of_samples

value = st.one_of(st.integers(-50, 50).map(lambda n: n / 10), st.floats(-1e300, 1e300), st.just(0.0))
series = st.dictionaries(st.integers(1, 9), st.lists(st.tuples(st.integers(0, 400), value), min_size=1, max_size=40))


def minutes(given_series: dict[int, list[tuple[int, float]]]) -> Pieces:
    """Roll-ups of samples at odd moments, by series."""
    rows = [(pk, 5.0 * at, number) for pk, samples in given_series.items() for at, number in samples]
    owners, at, values = zip(*rows, strict=True) if rows else ((), (), ())
    return of_samples(columns(owners, at, values).ordered(), 60)


def raws(pieces: Pieces) -> list[bytes | None]:
    return [None] * len(pieces) if pieces.sketch is None else pieces.sketch.tolist()


@given(series)
def test_what_is_packed_comes_back(given_series: dict[int, list[tuple[int, float]]]) -> None:
    """To the last bit, of decimals and of doubles alike; only the rounding error of sums may go."""
    pieces = minutes(given_series)

    found = unpack(pack(pieces, 60), 60)

    for name in ("series", "at", "count", "min", "max", "last"):
        assert getattr(found, name).tolist() == getattr(pieces, name).tolist(), name
    assert found.sum == pytest.approx(pieces.sum, rel=1e-12, abs=1e-3)
    assert raws(found) == raws(pieces)


def test_a_day_of_ordinary_numbers_takes_a_few_bytes_a_minute() -> None:
    """The promise of the warm tier: PostgreSQL alone would take 119."""
    noise = np.round(50 + np.random.default_rng(1).normal(0, 3, 17_280), 1)
    (chunk,) = pack(of_samples(columns([1] * 17_280, 5.0 * np.arange(17_280), noise), 60), 60)

    assert len(chunk.data) < 7 * 1440
    assert chunk.sketches is not None
    assert len(chunk.sketches) < 10 * 1440


def test_sketches_are_left_alone_by_who_does_not_ask() -> None:
    """They are as large as the rest."""
    (chunk,) = pack(of_samples(columns([1] * 12, 5.0 * np.arange(12), np.arange(12.0)), 60), 60)

    assert unpack([chunk._replace(sketches=None)], 60).sketch is None


@pytest.mark.parametrize("harm", [lambda data: data[:-3], lambda data: b"", lambda data: data[:2] + b"\0" + data[3:]])
def test_other_bytes_are_refused(harm: object) -> None:
    """A broken row of the database is told, not drawn."""
    (chunk,) = pack(of_samples(columns([1] * 12, 5.0 * np.arange(12), np.arange(12.0)), 60), 60)

    with pytest.raises(Invalid):
        unpack([Chunk(1, harm(chunk.data), None)], 60)  # type: ignore[operator]
