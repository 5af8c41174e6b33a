"""Pages of exporters, in both of their formats, and pages that are none."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.exposition import generate_latest as text
from prometheus_client.openmetrics.exposition import generate_latest as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from subsystems.telemetry.doors.prometheus_text import Page, Read, read_page

NOW = 1_800_000_000.0


def read(raw: bytes, page: Page | None = None) -> Read:
    return read_page(raw, page or Page("exporter"), now=NOW)


def values(found: Read) -> dict[str, float]:
    names = [found.table.names[code] for code in found.table.codes]
    return {
        f"{metric}{{{labels}}}": value for (_, metric, labels), value in zip(names, found.table.values, strict=True)
    }


def test_a_page_becomes_samples() -> None:
    """Labels, escapes, blanks, times and exemplars: what the two formats allow."""
    page = (
        b'# HELP up Whether.\n# TYPE hits counter\nup 1\nhits_total{code="200",path="/a\\"b\\\\c\\n"} 3e2\n'
        b'late{a="}"}  4 1700000000000\nlatency_bucket{le="+Inf"} 7 # {trace_id="x"} 0.5\nempty{} 2\nnone NaN\n# EOF\n'
    )

    found = read(page)

    assert found.bad == 0
    assert values(found) == {
        "up{}": 1, 'hits_total{code="200",path="/a\\"b\\\\c\\n"}': 300, 'late{a="}"}': 4,
        'latency_bucket{le="+Inf"}': 7, "empty{}": 2,
    }  # fmt: skip
    assert (
        dict(zip([name[1] for name in found.table.names], found.table.kinds or [], strict=True))["hits_total"]
        == "counter"
    )
    assert set(found.table.at.tolist()) == {NOW}


def test_the_same_series_share_a_layout_and_new_ones_are_learnt() -> None:
    """A scrape costs what its values cost."""
    page = Page("exporter")
    first = read(b'a{x="1"} 1\nb 2\n', page)
    second = read(b'b 3\na{x="1"} 4\n', page)
    third = read(b"c 5\n", page)

    assert first.table.layout is second.table.layout
    assert values(second) == {"b{}": 3, 'a{x="1"}': 4}
    assert values(third) == {"c{}": 5}


@pytest.mark.parametrize("line", [b"a", b"{} 1", b"a{b} 1", b'a{b="c} 1', b"a x", b"1a 2", b"a\x001 2", b"\xff\xfe 1"])
def test_a_line_that_is_none_is_counted(line: bytes) -> None:
    """The others on the page are kept."""
    found = read(b"good 1\n" + line + b"\n")

    assert (found.bad, values(found)) == (1, {"good{}": 1})


patient = settings(suppress_health_check=[HealthCheck.too_slow])
lines = st.one_of(st.binary(max_size=30), st.sampled_from([b'a{b="c"} 1', b"a 1 2 3", b"a{,} 1"]))
label_values = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
names = st.from_regex(r"l[a-z]{2,6}", fullmatch=True)


@patient
@given(
    labels=st.dictionaries(names, label_values, min_size=1, max_size=3),
    value=st.floats(0, 1e9),
)
def test_what_the_usual_library_shows_is_read_alike(labels: dict[str, str], value: float) -> None:
    """Its own parser is slow but right."""
    registry = CollectorRegistry()
    Counter("hits", "Hits.", list(labels), registry=registry).labels(*labels.values()).inc(value)
    Histogram("took", "Took.", list(labels), registry=registry).labels(*labels.values()).observe(value)
    page = text(registry)

    found = read(page)

    theirs = {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(page.decode())
        for sample in family.samples
    }
    table = found.table
    ours = {
        (table.names[code][1], tuple(sorted(table.labels[code].items()))): number
        for code, number in zip(table.codes, table.values, strict=True)
    }
    assert ours == theirs
    assert len(read(openmetrics(registry)).table) == len(table)


@patient
@given(raw=st.lists(lines).map(b"\n".join))
def test_no_page_makes_it_stumble(raw: bytes) -> None:
    """An exporter may be anything that answers at an address."""
    found = read(raw)

    assert len(found.table.codes) == len(found.table.values)
