"""The quick reader of JSON agrees with the careful one on everything that anybody may send."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from subsystems.kernel import strict_json
from subsystems.kernel.errors import Invalid
from subsystems.telemetry.doors import careful, quick
from subsystems.telemetry.doors.batches import Batch
from subsystems.telemetry.doors.quick import BLANKS, FEW_COLONS, count_keys

NOW = 1_800_000_000.0
texts = st.one_of(st.sampled_from(["cpu", "a b", "", 'say "x":', "naïve", "\\", "\x7f", "a :b"]), st.text(max_size=8))
numbers = st.one_of(st.floats(), st.integers(-(2**70), 2**70), st.sampled_from([2**63, -(2**63), 1e300, 0, -0.0]))
odd = st.one_of(st.none(), st.booleans(), texts, st.lists(st.none(), max_size=2))
maybe = st.one_of(numbers, numbers, numbers, odd)
times = st.one_of(numbers, st.just("2026-11-20T09:00:00Z"), st.just("12.5"), odd)
labels = st.one_of(st.dictionaries(texts, texts, max_size=3), odd)
rows = st.fixed_dictionaries({"metric": texts, "value": maybe}, optional={"at": times, "labels": labels, "x": odd})
row_bodies = st.fixed_dictionaries(
    {"source": texts, "samples": st.lists(st.one_of(rows, rows, rows, odd), max_size=4)},
    optional={"system": st.one_of(texts, odd), "more": odd},
)


@st.composite
def column_bodies(draw: st.DrawFn) -> dict[str, Any]:
    metrics = draw(st.lists(texts, max_size=3))
    at = draw(st.lists(numbers, max_size=3))
    width = st.integers(0, 3) if draw(st.booleans()) else st.just(len(at))
    value = st.one_of(numbers, st.none()) if draw(st.booleans()) else maybe
    values = [draw(st.lists(value, min_size=(n := draw(width)), max_size=n)) for _ in metrics]
    body: dict[str, Any] = {"source": draw(texts), "metrics": metrics, "at": at, "values": values}
    if draw(st.booleans()):
        body["labels"] = draw(st.lists(st.dictionaries(texts, texts, max_size=2), max_size=3))
    return body


def told(read: Any) -> Any:
    """Return everything that *read* found, or how it refused."""
    try:
        batch: Batch = read()
    except Invalid as error:
        return error.code, error.field
    table = batch.table
    names = [table.names[code] for code in table.codes]
    indexes = [table.index(place) for place in range(len(table))]
    rejected = sorted((each.index, each.code, each.detail) for each in table.rejected)
    return batch.system, names, table.at.tolist(), table.values.tolist(), indexes, rejected


def both(raw: bytes) -> tuple[Any, Any]:
    slow = told(lambda: careful.batch_of(strict_json.loads(raw), now=NOW))
    return told(lambda: quick.read_json(raw, now=NOW)), slow


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(body=st.one_of(row_bodies, column_bodies()), ascii_only=st.booleans(), tight=st.booleans())
@example(body={"source": "a", "samples": [{"metric": "m", "value": 1, "at": None}]}, ascii_only=True, tight=True)
def test_both_readers_find_the_same(body: dict[str, Any], ascii_only: bool, tight: bool) -> None:
    """Two readers of one format drift apart unless something holds them together."""
    separators = (",", ":") if tight else None
    raw = json.dumps(body, ensure_ascii=ascii_only, separators=separators).encode("utf-8", "surrogatepass")

    found, expected = both(raw)

    np.testing.assert_equal(found, expected)


@given(raw=st.binary(max_size=60))
def test_no_bytes_make_it_stumble(raw: bytes) -> None:
    """Nobody but Invalid comes out."""
    found, expected = both(raw)

    np.testing.assert_equal(found, expected)


ROW = '{"metric": "m", "value": 1}'


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(f'{{"source": "a", "source": "b", "samples": [{ROW}]}}', id="a source twice"),
        pytest.param('{"source": "a", "samples": [{"metric": "m", "value": 1, "value": 2}]}', id="a value twice"),
        pytest.param(
            '{"source": "a", "samples": [{"metric": "m", "value": 1, "labels": {"a": "1", "a": "2"}}]}',
            id="a label twice",
        ),
        pytest.param('{"source" : "a", "samples": [{"metric": "m", "value": 1, "value": 2}]}', id="a blank hides it"),
        pytest.param('{"source": "a", "metrics": ["m"], "at": [1], "at": [2], "values": [[1]]}', id="times twice"),
        pytest.param(
            '{"source": "a", "metrics": ["m"], "at": [1], "values": [[1]], "labels": [{"a": "1", "a": "1"}]}',
            id="a column's label twice",
        ),
        pytest.param('{"source": "a", "samples": [{"metric": "m", "value": NaN}]}', id="NaN"),
        pytest.param('{"source": "a", "samples": [{"metric": "m", "value": 1e999}]}', id="infinity"),
        pytest.param('{"source": "a", "samples": [{"metric": "m", "value": 9223372036854775808}]}', id="2^63"),
        pytest.param('{"source": "a", "samples": []} x', id="something after the end"),
    ],
)
def test_what_strict_json_refuses_is_refused(raw: str) -> None:
    """Being quick is no reason to take what the other doors refuse."""
    with pytest.raises(Invalid) as caught:
        quick.read_json(raw.encode(), now=NOW)

    assert caught.value.code == "malformed_json"


def test_an_ordinary_body_is_read_quickly() -> None:
    """Otherwise the careful reader would do all the work and nobody would notice."""
    rows = {
        "source": "a",
        "samples": [{"metric": "m", "value": 1, "at": 2.5, "labels": {"a": 'x"y'}}, {"metric": "m", "value": 2}],
    }
    columns = {
        "source": "a",
        "metrics": ["m", "n"],
        "at": [1, 2],
        "values": [[1, None], [2, 3]],
        "labels": [{}, {"a": "b"}],
    }

    for body in (rows, columns):
        raw = json.dumps(body).encode()
        assert quick._read(raw, count_keys(raw) or 0, NOW) is not None


def test_the_same_columns_share_a_layout() -> None:
    """The registry keeps the ids there, so that a batch costs no look-up for each series."""
    raw = json.dumps({"source": "a", "metrics": ["m", "n"], "at": [1], "values": [[1], [2]]}).encode()

    first, second = (quick.read_json(raw, now=NOW).table for _ in range(2))

    assert first.layout is not None
    assert first.layout is second.layout


@given(st.text(alphabet='":, \n\t\r{}a', max_size=60).map(str.encode))
def test_keys_are_counted_alike_whether_colons_are_few_or_many(raw: bytes) -> None:
    """Two ways to count for speed must not become two opinions on what is a key twice."""
    few = count_keys(raw)
    many = count_keys(raw + b'":' * (FEW_COLONS + 1))

    blank = any(each + b":" in raw for each in BLANKS)
    assert few == (None if blank else raw.count(b'":'))
    assert many == (None if blank else raw.count(b'":') + FEW_COLONS + 1)
