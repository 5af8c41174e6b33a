"""A load that people give: CSV and JSON, read at the door."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subsystems.kernel.errors import Invalid
from subsystems.s3_control.scaling.columns import COLUMNS, MOST_ROWS, load_of, read_text

GOOD = "at,arrivals,service_seconds\n2026-11-22T09:00:00Z,120,0.5\n2026-11-22T09:01:00Z,180,\n"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(GOOD, id="csv"),
        pytest.param("\ufeff" + GOOD.replace("\n", "\r\n"), id="csv of a spreadsheet"),
        pytest.param("host, at ,arrivals,service_seconds\na,0,120,0.5\nb,60,180,0.5\n", id="with more columns"),
        pytest.param('{"at": [0, 60], "arrivals": [120, 180], "service_seconds": [0.5, null]}', id="json columns"),
        pytest.param(
            '[{"at": 0, "arrivals": 120, "service_seconds": 0.5}, {"at": 60, "arrivals": "180"}]',
            id="json rows",
        ),
    ],
)
def test_a_load_is_read_whatever_it_is_written_in(text: str) -> None:
    """What a spreadsheet or a query of Prometheus gives is tried as it is."""
    found = load_of(read_text(text))

    assert (found.step_seconds, found.arrivals, found.rate_each) == (60.0, (2.0, 3.0), (2.0, 2.0))


@pytest.mark.parametrize(
    ("text", "field", "words"),
    [
        pytest.param("  ", "load", "Give a load", id="nothing"),
        pytest.param("x" * 500_001, "load", "500,001", id="too long"),
        pytest.param('{"at": [0', "load", "JSON cannot be read", id="broken json"),
        pytest.param('{"at": 1}', "load", "each a list", id="no lists"),
        pytest.param("[1, 2]", "load", "Row 1 is no row", id="no rows"),
        pytest.param('at,arrivals\n"0,1\n', "load", "CSV cannot be read", id="broken csv"),
        pytest.param(GOOD + "0,1,2,3\n", "load", "Row 3 has more cells", id="too many cells"),
        pytest.param("at,arrivals\n0,1\n", "service_seconds", "is missing", id="column"),
        pytest.param(GOOD.replace("180", "many"), "arrivals", "Row 2, arrivals", id="no number"),
        pytest.param(GOOD.replace("180", "nan"), "arrivals", "Row 2, arrivals", id="not a number"),
        pytest.param(GOOD.replace("180", "-1"), "arrivals", "Row 2, arrivals", id="negative"),
        pytest.param(GOOD.replace("0.5", "0"), "service_seconds", "Row 1, service_seconds", id="no time"),
        pytest.param(GOOD.replace("0.5", ""), "service_seconds", "say how long", id="never said"),
        pytest.param(GOOD.replace("Z", ""), "at", "time zone", id="no zone"),
        pytest.param(GOOD.replace("09:01", "09:00"), "at", "Row 2, at", id="not later"),
        pytest.param(GOOD + "2026-11-22T09:03:00Z,1,1\n", "at", "Fill the holes", id="a hole"),
        pytest.param(GOOD.replace("09:01", "11:01"), "at", "apart", id="too coarse"),
        pytest.param(GOOD.splitlines()[0], "at", "From 2", id="no rows in csv"),
        pytest.param('{"at": [0, 1], "arrivals": [1], "service_seconds": [1, 1]}', "arrivals", "1 rows", id="short"),
        pytest.param('{"at": [true, 1], "arrivals": [], "service_seconds": []}', "at", "Row 1, at", id="a truth"),
    ],
)
def test_a_mistake_is_named_by_its_column_and_row(text: str, field: str, words: str) -> None:
    """Of five thousand rows nobody looks for the wrong one."""
    with pytest.raises(Invalid) as refused:
        load_of(read_text(text))

    assert (refused.value.field, words in refused.value.detail) == (field, True)


def test_a_load_has_its_limit() -> None:
    """A year by the second would keep a worker busy for minutes."""
    with pytest.raises(Invalid, match="5,001"):
        load_of({name: list(range(1, MOST_ROWS + 2)) for name in COLUMNS})


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*COLUMNS, "", "x"]), inner),
    max_leaves=12,
)


@given(st.text(max_size=200) | st.lists(st.sampled_from([*GOOD, '"', "9"]), max_size=80).map("".join), _json)
def test_no_text_and_no_columns_are_more_than_refused(text: str, columns: Any) -> None:
    """Never a 500: whatever is given, it is a load or a reason."""
    for given_ in (text, json.dumps(columns), GOOD + text):
        found, fields = None, set()
        try:
            found = load_of(read_text(given_))
        except Invalid as refused:
            fields = {refused.field}
        assert fields <= {*COLUMNS, "load"}
        assert found is None or len(found.arrivals) == len(found.rate_each) >= 2
