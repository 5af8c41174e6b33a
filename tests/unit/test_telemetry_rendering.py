"""Pages of metrics: what Prometheus' own parsers read is what was meant, byte for byte where they write too."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_open
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_open
from prometheus_client.parser import text_string_to_metric_families as parse

from subsystems.telemetry.families import Distribution, Family, counter, gauge, single, size
from subsystems.telemetry.rendering import OPEN_METRICS, TEXT, chosen_type, page

TEXTS = st.text(max_size=20).filter(lambda text: "\r" not in text and text.isprintable() or "\n" in text)
NUMBERS = st.one_of(st.floats(), st.integers(-(10**6), 10**6))


class Theirs:
    """The same families as Prometheus' own client writes them."""

    def __init__(self, *families: object) -> None:
        self._families = families

    def collect(self) -> object:
        return iter(self._families)

    def page(self, *, strict: bool = False) -> bytes:
        registry = CollectorRegistry(auto_describe=False)
        registry.register(self)  # type: ignore[arg-type]
        return generate_open(registry) if strict else generate_latest(registry)


def histogram() -> Family:
    family = Family("taken_seconds", "histogram", "How long it took.", ("from",), bounds=(0.1, 1.0))
    family.distributions.append((("mail",), Distribution((2.0, 5.0, 6.0), 7.5)))
    family.distributions.append((("web",), Distribution((0.0, 1.0, 1.0), 0.5)))
    return family


@pytest.mark.parametrize("strict", [False, True], ids=["text", "OpenMetrics"])
def test_a_page_is_what_prometheus_own_client_writes(strict: bool) -> None:
    """Whatever reads its pages reads ours."""
    done = counter("done", "What was done.", "who")
    done.add(3.0, 'a "quoted" \\ name\nof two lines')
    done.add(1e21, "b")
    known = gauge("known", "A back\\slash and\nlines.")
    known.add(0.1)
    theirs_done = CounterMetricFamily("done", "What was done.", labels=["who"])
    theirs_done.add_metric(['a "quoted" \\ name\nof two lines'], 3.0)
    theirs_done.add_metric(["b"], 1e21)
    theirs_known = GaugeMetricFamily("known", "A back\\slash and\nlines.", value=0.1)
    theirs_taken = HistogramMetricFamily("taken_seconds", "How long it took.", labels=["from"])
    theirs_taken.add_metric(["mail"], buckets=[("0.1", 2.0), ("1.0", 5.0), ("+Inf", 6.0)], sum_value=7.5)
    theirs_taken.add_metric(["web"], buckets=[("0.1", 0.0), ("1.0", 1.0), ("+Inf", 1.0)], sum_value=0.5)

    ours = page([done, known, histogram()], OPEN_METRICS if strict else TEXT)

    assert ours == Theirs(theirs_done, theirs_known, theirs_taken).page(strict=strict)


@given(st.lists(st.tuples(TEXTS, TEXTS, NUMBERS), max_size=5, unique_by=lambda row: row[:2]))
def test_any_text_and_number_comes_back_as_it_was(rows: list[tuple[str, str, float]]) -> None:
    """Names come from outside: none of them may break the page, or say something else."""
    family = gauge("m", "", "a", "b")
    for first, second, number in rows:
        family.add(number, first, second)

    (read,) = list(parse(page([family]).decode())) or [None]

    found = [] if read is None else [(each.labels["a"], each.labels["b"], each.value) for each in read.samples]
    assert [each[:2] for each in found] == [each[:2] for each in rows]
    assert [math.isnan(each[2]) or each[2] for each in found] == [math.isnan(each[2]) or each[2] for each in rows]


def test_what_has_no_number_is_absent() -> None:
    """An empty family's header would pass for a metric that is there."""
    assert page([gauge("m", "Something.", "a"), single("n", "Nothing.", None)]) == b""
    assert page([single("n", "Nothing.", None)], OPEN_METRICS) == b"# EOF\n"


def test_an_alias_of_a_counter_is_left_out_where_names_are_strict() -> None:
    """In OpenMetrics the name without `_total` is the family's own."""
    alias = gauge("done", "The same.", alias=True)
    alias.add(1)
    done = counter("done", "What was done.")
    done.add(1)

    assert [family.name for family in parse(page([done, alias]).decode())] == ["done", "done"]
    assert [family.name for family in parse_open(page([done, alias], OPEN_METRICS).decode())] == ["done"]


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        pytest.param("", TEXT, id="nothing said"),
        pytest.param("*/*", TEXT, id="anything"),
        pytest.param("text/html", TEXT, id="neither, and an answer beats none"),
        pytest.param("application/openmetrics-text", OPEN_METRICS, id="OpenMetrics alone"),
        pytest.param("text/plain;q=0.9, application/openmetrics-text;q=0.1", TEXT, id="text preferred"),
        pytest.param("application/openmetrics-text;q=0,*/*", TEXT, id="OpenMetrics refused"),
        pytest.param("application/openmetrics-text;q=nonsense", TEXT, id="a weight that is none"),
        pytest.param(
            "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
            "text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
            OPEN_METRICS,
            id="Prometheus",
        ),
    ],
)
def test_a_scraper_gets_the_form_that_it_prefers(accept: str, chosen: str) -> None:
    """Prometheus asks for OpenMetrics first; a person's browser must be answered too."""
    assert chosen_type(accept) == chosen


def test_a_histogram_counts_as_the_lines_that_it_is() -> None:
    """Exporters bound what they send by numbers, not by families."""
    assert size([histogram(), single("n", "One.", 1.0)]) == 2 * (3 + 2) + 1


def test_quantiles_and_names_that_others_gave_are_no_gauges() -> None:
    """A checker of names takes a gauge with `quantile`, or one that ends in `_count`, for a mistake."""
    lag = Family("lag_seconds", "summary", "How late.", ("quantile",))
    lag.add(0.5, "0.99")
    known = Family("consumer_count", "unknown", "Consumers.")
    known.add(2)

    assert b'# TYPE lag_seconds summary\nlag_seconds{quantile="0.99"} 0.5\n' in page([lag, known])
    assert b"# TYPE consumer_count untyped\n" in page([lag, known])
    assert b"# TYPE consumer_count unknown\n" in page([lag, known], OPEN_METRICS)
    assert [family.type for family in parse_open(page([lag, known], OPEN_METRICS).decode())] == ["summary", "unknown"]
