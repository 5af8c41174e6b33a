"""Columns in MessagePack: as lists or as bytes, and what is wrong is named."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from subsystems.kernel.errors import Invalid
from subsystems.telemetry.doors.packed_columns import read_msgpack

VALUES = [[1.0, 2.0], [3.0, 4.0]]


def doubles(numbers: Any) -> bytes:
    return np.array(numbers, "<f8").tobytes()


def body(**changes: Any) -> bytes:
    given = {"source": "a", "metrics": ["m", "n"], "at": [1.0, 2.0], "values": VALUES, **changes}
    return msgspec.msgpack.encode({name: value for name, value in given.items() if value is not None})


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({}, id="lists"),
        pytest.param({"at": doubles([1, 2]), "values": doubles(VALUES)}, id="all doubles in one"),
        pytest.param({"values": [doubles(row) for row in VALUES]}, id="a row of doubles each"),
        pytest.param({"labels": [{}, {}], "system": "main"}, id="with everything"),
    ],
)
def test_every_shape_says_the_same(changes: dict[str, Any]) -> None:
    """Senders take what their language makes cheap."""
    batch = read_msgpack(body(**changes))

    assert list(batch.table.names) == [("a", "m", ""), ("a", "n", "")]
    assert batch.table.codes.tolist() == [0, 0, 1, 1]
    assert batch.table.at.tolist() == [1, 2, 1, 2]
    assert batch.table.values.tolist() == [1, 2, 3, 4]


def test_nil_is_no_sample_and_nan_among_bytes_is_refused() -> None:
    """What was not measured can be said; a number that is none cannot."""
    listed = read_msgpack(body(values=[[1.0, None], [3.0, 4.0]])).table
    packed = read_msgpack(body(values=doubles([1, np.nan, 3, 4]))).table

    assert [listed.index(n) for n in range(3)] == [packed.index(n) for n in range(3)] == [0, 2, 3]
    assert listed.rejected == []
    assert [(each.index, each.code) for each in packed.rejected] == [(1, "bad_value")]


@pytest.mark.parametrize(
    ("raw", "field", "code"),
    [
        pytest.param(b"", "", "malformed_msgpack", id="nothing"),
        pytest.param(b"\xc1", "", "malformed_msgpack", id="a byte that does not exist"),
        pytest.param(body()[:-3], "", "malformed_msgpack", id="cut off"),
        pytest.param(body(values=1)[:-1] + b"\x91" * 100_000, "", "malformed_msgpack", id="deep"),
        pytest.param(
            body(values=1)[:-1] + b"\xdd\xff\xff\xff\xff",
            "",
            "malformed_msgpack",
            id="more items than come",
        ),
        pytest.param(body(source=7), "source", "invalid", id="a number for a source"),
        pytest.param(body(source=" "), "source", "invalid", id="a blank source"),
        pytest.param(body(metrics=[1, 2]), "", "invalid", id="numbers for metrics"),
        pytest.param(body(at=["1", "2"]), "at", "invalid", id="texts for times"),
        pytest.param(body(at=b"123"), "at", "invalid", id="half a double"),
        pytest.param(body(values=doubles([1, 2, 3])), "values", "invalid", id="a value too few"),
        pytest.param(body(values=[[1.0, 2.0]]), "values", "invalid", id="a row too few"),
        pytest.param(body(values=[[1.0], [2.0]]), "values", "invalid", id="a column too few"),
        pytest.param(body(values=[1.0, 2.0]), "", "invalid", id="numbers for rows"),
        pytest.param(body(labels=[{}]), "labels", "invalid", id="labels for one of two"),
        pytest.param(body(at=doubles(range(60_000))), "values", "too_many", id="too many"),
        pytest.param(body(more=1), "", "invalid", id="something else"),
    ],
)
def test_what_does_not_fit_names_the_field(raw: bytes, field: str, code: str) -> None:
    """Whoever writes a sender reads this message."""
    with pytest.raises(Invalid) as caught:
        read_msgpack(raw)

    assert (caught.value.field or "", caught.value.code) == (field, code)


texts = st.text(max_size=5)
anything = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**63), 2**64 - 1),
        st.floats(),
        st.text(max_size=5),
        st.binary(max_size=20),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)),
    max_leaves=6,
)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(
    changes=st.dictionaries(st.sampled_from(["source", "metrics", "at", "values", "labels", "system"]), anything),
    cut=st.integers(0, 80),
)
def test_no_body_makes_it_stumble(changes: dict[str, Any], cut: int) -> None:
    """Nothing but Invalid comes out, whatever comes in."""
    raw = body(**changes)
    for each in (raw, raw[:cut]):
        try:
            table = read_msgpack(each).table
        except Invalid:
            continue
        assert len(table.codes) == len(table.at) == len(table.values)
