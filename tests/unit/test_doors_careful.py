"""The two shapes of a batch, and how one bad sample does not spoil the others."""

from __future__ import annotations

from typing import Any

import pytest

from subsystems.kernel.errors import Invalid
from subsystems.telemetry.doors.batches import MAX_SAMPLES
from subsystems.telemetry.doors.careful import batch_of
from subsystems.telemetry.tables import Table

NOW = 1_800_000_000.0
GOOD = {"metric": "cpu", "value": 0.3}


def rows(*samples: Any, **more: Any) -> dict[str, Any]:
    return {"source": "billing-1", "samples": list(samples), **more}


def table(**changes: Any) -> dict[str, Any]:
    return {
        "source": "billing-1",
        "metrics": ["cpu", "memory"],
        "at": [1, 2],
        "values": [[0.1, 0.2], [3, 4]],
        **changes,
    }


def samples(table: Table) -> list[tuple[str, float, float]]:
    """Return the metric, time and value of each sample."""
    metrics = [table.names[code][1] for code in table.codes]
    return list(zip(metrics, table.at.tolist(), table.values.tolist(), strict=True))


def test_rows_become_samples() -> None:
    """The contract's example, word for word."""
    body = rows({"metric": "cpu", "value": 0.3, "at": "2026-11-20T09:00:00Z", "labels": {"core": "1"}})

    found = batch_of(body, now=NOW).table

    assert found.names == [("billing-1", "cpu", 'core="1"')]
    assert found.labels == [{"core": "1"}]
    assert samples(found) == [("cpu", 1795165200.0, 0.3)]


def test_a_sample_without_a_time_is_of_now() -> None:
    """A shell script has no clock of its own to quote."""
    found = batch_of(rows(GOOD), now=NOW).table

    assert found.at.tolist() == [NOW]


def test_columns_become_samples_metric_by_metric() -> None:
    """An agent with many metrics sends each time once."""
    found = batch_of(table(), now=NOW).table

    assert samples(found) == [
        ("cpu", 1, 0.1),
        ("cpu", 2, 0.2),
        ("memory", 1, 3.0),
        ("memory", 2, 4.0),
    ]


def test_null_in_a_column_is_no_sample() -> None:
    """What was not measured is absent, and nobody is blamed for it."""
    found = batch_of(table(values=[[0.1, None], [None, 4]]), now=NOW).table

    assert [found.index(place) for place in range(len(found))] == [0, 3]
    assert found.rejected == []


@pytest.mark.parametrize(
    ("sample", "code"),
    [
        pytest.param("cpu", "bad_sample", id="a text"),
        pytest.param({"value": 1}, "bad_metric", id="no metric"),
        pytest.param({"metric": ["cpu"], "value": 1}, "bad_metric", id="a list for a metric"),
        pytest.param({"metric": "cpu"}, "bad_value", id="no value"),
        pytest.param({"metric": "cpu", "value": True}, "bad_value", id="a truth for a value"),
        pytest.param({"metric": "cpu", "value": "1"}, "bad_value", id="a text for a value"),
        pytest.param({**GOOD, "at": "yesterday"}, "bad_time", id="no time at all"),
        pytest.param({**GOOD, "at": "2026-11-20T09:00:00"}, "bad_time", id="a time without a zone"),
        pytest.param({**GOOD, "at": [1]}, "bad_time", id="a list for a time"),
        pytest.param({**GOOD, "labels": "core"}, "bad_labels", id="a text for labels"),
        pytest.param({**GOOD, "labels": {"core": 1}}, "bad_labels", id="a number for a label"),
    ],
)
def test_one_bad_row_is_rejected_by_index_and_the_others_stay(sample: Any, code: str) -> None:
    """An agent with one broken sensor must not lose the rest."""
    found = batch_of(rows(GOOD, sample, GOOD), now=NOW).table

    assert [found.index(place) for place in range(len(found))] == [0, 2]
    assert [(each.index, each.code) for each in found.rejected] == [(1, code)]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        pytest.param({"samples": []}, "source", id="no source"),
        pytest.param({"source": 7, "samples": []}, "source", id="a number for a source"),
        pytest.param({"source": " ", "samples": []}, "source", id="a blank source"),
        pytest.param({"source": "a"}, "samples", id="no samples"),
        pytest.param({"source": "a", "samples": {}}, "samples", id="an object for samples"),
        pytest.param({"source": "a", "samples": [0] * (MAX_SAMPLES + 1)}, "samples", id="too many samples"),
        pytest.param(table(metrics="cpu"), "metrics", id="a text for metrics"),
        pytest.param(table(metrics=[1, 2]), "metrics", id="numbers for metrics"),
        pytest.param(table(at=None), "at", id="no times"),
        pytest.param(table(at=["1", "2"]), "at", id="texts for times"),
        pytest.param(table(at=[True, False]), "at", id="truths for times"),
        pytest.param(table(values=[1, 2]), "values", id="numbers for rows"),
        pytest.param(table(values=[[1, 2]]), "values", id="a row too few"),
        pytest.param(table(values=[[1], [2]]), "values", id="a value too few"),
        pytest.param(table(labels=[{}]), "labels", id="labels for one of two"),
        pytest.param(table(labels=[{}, {"a": 1}]), "labels", id="a number for a label"),
        pytest.param(table(metrics=["m"] * 400, at=[1] * 400, values=[[1] * 400] * 400), "values", id="a large table"),
    ],
)
def test_a_batch_of_the_wrong_shape_names_the_field(body: dict[str, Any], field: str) -> None:
    """The one who wrote the agent reads this message, often without knowing our documentation."""
    with pytest.raises(Invalid) as caught:
        batch_of(body, now=NOW)

    assert caught.value.field == field
