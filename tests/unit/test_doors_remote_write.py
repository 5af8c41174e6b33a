"""Prometheus' remote write: what its own library writes is read as it was meant, and nothing else is."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subsystems.kernel.errors import Invalid
from subsystems.telemetry.doors.protobuf import put_bytes
from subsystems.telemetry.doors.remote_write import read_write_request
from subsystems.telemetry.tables import Table
from tests.support.write_request import WriteRequest, write_request

AT = 1_795_165_200.123
JOB = {"__name__": "up", "job": "node", "instance": "a:9100"}


def read(request: object) -> list[tuple[str, str, str, float, float]]:
    return rows(read_write_request(request.SerializeToString()))  # type: ignore[attr-defined]


def rows(table: Table) -> list[tuple[str, str, str, float, float]]:
    return [
        (*table.names[code], at, value)
        for code, at, value in zip(table.codes.tolist(), table.at.tolist(), table.values.tolist(), strict=True)
    ]


@pytest.mark.parametrize("again", [False, True], ids=["met first", "met before"])
def test_the_job_is_the_source_and_the_other_labels_stay(again: bool) -> None:
    """As `service.name` is of OTLP; an empty label is as if it were not there."""
    request = write_request(({**JOB, "empty": ""}, [(AT, 1.0)]), ({"__name__": "alone"}, [(AT, 2.5)]))
    if again:
        read(request)

    assert read(request) == [
        ("node", "up", 'instance="a:9100"', AT, 1.0),
        ("prometheus", "alone", "", AT, 2.5),
    ]


SAMPLES = st.lists(st.tuples(st.integers(-(2**50), 2**50), st.floats(allow_nan=False)), max_size=4)
LABELS = st.dictionaries(st.sampled_from(["a", "b", "job", "__name__"]), st.text(max_size=300), max_size=4)


@given(st.lists(st.tuples(LABELS, SAMPLES), max_size=5))
def test_any_request_is_read_as_it_was_meant(series: list[tuple[dict[str, str], list[tuple[int, float]]]]) -> None:
    """Times and values of every size: zero, which is left out on the wire, and negative ones, which take ten bytes."""
    request = write_request(*((labels, [(at / 1000, value) for at, value in samples]) for labels, samples in series))

    found = [(at, value) for *_, at, value in read(request)]

    meant = [(round(at / 1000 * 1000) / 1000, value) for _, samples in series for at, value in samples]
    assert found == meant


def test_what_prometheus_marks_an_end_with_is_no_sample() -> None:
    """A series that ended must not look like one with a strange value."""
    request = write_request((JOB, [(AT, math.nan), (AT + 1, 2.0)]))

    table = read_write_request(request.SerializeToString())

    assert rows(table) == [("node", "up", 'instance="a:9100"', AT + 1, 2.0)]
    assert (table.index(0), table.rejected) == (1, [])


def test_what_cannot_be_kept_is_refused_by_its_place() -> None:
    """One sample that cannot be kept costs only itself."""
    request = write_request((JOB, [(AT, 1.0)]), (JOB, []), (JOB, [(AT + 1, 2.0)]))
    request.timeseries[0].labels.add(name="job", value="other")
    request.timeseries[1].histograms.add(sum=3.0)

    table = read_write_request(request.SerializeToString())

    assert [(each.index, each.code) for each in table.rejected] == [(0, "bad_labels"), (1, "native_histogram")]
    assert [table.index(place) for place in range(len(table))] == [2]


def test_sixteen_bytes_that_are_not_a_plain_sample_are_read_all_the_same() -> None:
    """A short time and a field of tomorrow may be as long as a sample of today."""
    sample = b"\x09" + b"\x00\x00\x00\x00\x00\x00\xf0\x3f" + b"\x10\x05" + b"\x18\x80\x80\x80\x01"
    assert len(sample) == 16
    labels = b"".join(
        put_bytes(1, put_bytes(1, name.encode()) + put_bytes(2, value.encode())) for name, value in JOB.items()
    )

    table = read_write_request(put_bytes(1, labels + put_bytes(2, sample)) * 2)

    assert [row[3:] for row in rows(table)] == [(0.005, 1.0)] * 2


@given(st.binary(max_size=200))
def test_no_bytes_break_the_reader(raw: bytes) -> None:
    """Whatever comes is read or refused."""
    _read_or_refused(raw)


@given(st.data())
def test_no_change_of_a_request_breaks_the_reader(data: st.DataObject) -> None:
    """Bytes that are nearly right reach deeper than noise does."""
    raw = bytearray(
        write_request((JOB, [(AT, 1.0), (AT + 1, 0.0)]), ({"__name__": "x"}, [(AT, -1.0)])).SerializeToString()
    )
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    _read_or_refused(bytes(raw[: data.draw(st.integers(0, len(raw)))]))


def _read_or_refused(raw: bytes) -> None:
    try:
        table = read_write_request(raw)
    except Invalid:
        return
    assert len(table.codes) == len(table.at) == len(table.values)
    assert not len(table.codes) or table.codes.max() < len(table.names)


def test_a_request_with_too_many_samples_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is bounded before anything is built."""
    monkeypatch.setattr("subsystems.telemetry.doors.remote_write.MAX_SAMPLES", 2)

    with pytest.raises(Invalid) as refused:
        read(write_request((JOB, [(AT, 1.0)] * 3)))

    assert refused.value.code == "too_many"


def test_an_empty_request_is_none_of_our_business() -> None:
    """Prometheus sends metadata in requests of their own."""
    assert read(WriteRequest()) == []
