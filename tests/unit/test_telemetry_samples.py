"""What may enter the store, and what a refusal says."""

from __future__ import annotations

import pytest

from subsystems.telemetry.samples import (
    Sample,
    counter_of,
    labels_text,
    name_refusal,
    sample_refusal,
    series_name,
    source_refusal,
)
from subsystems.telemetry.tables import table_of

NOW = 1_790_000_000.0


@pytest.mark.parametrize(
    ("sample", "code"),
    [
        pytest.param(Sample("cpu_ratio", NOW, 0.5), None, id="an ordinary sample"),
        pytest.param(Sample("http.server:rate", NOW, -1), None, id="dots and colons, a negative whole number"),
        pytest.param(Sample("cpu", NOW + 60, 1.0), None, id="a clock one minute ahead"),
        pytest.param(Sample("cpu", NOW - 3600, 1.0), None, id="exactly one hour old"),
        pytest.param(Sample("cpu", NOW + 61, 1.0), "future", id="further ahead"),
        pytest.param(Sample("cpu", NOW - 3601, 1.0), "too_old", id="older than the hot tier"),
        pytest.param(Sample("cpu", NOW, float("nan")), "bad_value", id="not a number"),
        pytest.param(Sample("cpu", NOW, float("inf")), "bad_value", id="infinite"),
        pytest.param(Sample("cpu", NOW, 10**400), "bad_value", id="an integer no float can hold"),
        pytest.param(Sample("cpu", NOW, "1"), "bad_value", id="text for a value"),  # type: ignore[arg-type]
        pytest.param(Sample("cpu", float("nan"), 1.0), "bad_time", id="a time that is not a number"),
        pytest.param(Sample("cpu load", NOW, 1.0), "bad_metric", id="a space in the name"),
        pytest.param(Sample("", NOW, 1.0), "bad_metric", id="no name"),
        pytest.param(Sample("m" * 121, NOW, 1.0), "bad_metric", id="a name too long"),
        pytest.param(Sample("cpu\n", NOW, 1.0), "bad_metric", id="a line end after the name"),
        pytest.param(Sample("cpu", NOW, 1.0, {"core": "0"}), None, id="a label"),
        pytest.param(Sample("cpu", NOW, 1.0, {"a-b": "0"}), "bad_labels", id="a dash in a label's name"),
        pytest.param(Sample("cpu", NOW, 1.0, {"core": 0}), "bad_labels", id="a number for a label"),  # type: ignore[dict-item]
        pytest.param(Sample("cpu", NOW, 1.0, {f"l{n}": "" for n in range(17)}), "bad_labels", id="too many labels"),
    ],
)
def test_a_sample_is_kept_or_refused_by_a_stable_code(sample: Sample, code: str | None) -> None:
    """Senders act on the code; one wrong clock or number must not spoil averages for everybody."""
    table = table_of({"a": [sample]})
    refused = [each.code for each in table.rejected]
    for place in range(len(table)):
        reason = name_refusal(table.names[0], table.labels[0])
        reason = reason or sample_refusal(table.at[place], table.values[place], now=NOW)
        refused += [reason[0]] if reason else []

    assert refused == ([code] if code else [])


@pytest.mark.parametrize("source", ["", "x" * 201, "a\nb"], ids=["empty", "too long", "with a line end"])
def test_a_source_needs_a_usable_name(source: str) -> None:
    """It becomes a unit's name, a label and a part of pages."""
    refused = source_refusal(source)

    assert refused is not None
    assert refused[0] == "bad_source"


def test_labels_read_the_same_in_any_order() -> None:
    """Otherwise one series would become two."""
    one, other = labels_text({"b": "2", "a": 'say "1"'}), labels_text({"a": 'say "1"', "b": "2"})

    assert one == other == 'a="say \\"1\\"",b="2"'
    assert series_name("cpu", one) == f"cpu{{{one}}}"


def test_old_and_future_samples_have_counters_of_their_own_names() -> None:
    """The dashboard and `/metrics` rely on these two names."""
    assert [counter_of("too_old"), counter_of("future")] == ["dropped_old", "dropped_future"]
