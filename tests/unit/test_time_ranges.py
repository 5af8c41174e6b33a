"""What an address says of time."""

from __future__ import annotations

import pytest

from subsystems.kernel.errors import Invalid
from vsm_site.dashboard.time_ranges import DAY, Span, offered, read_span

NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("given", "span"),
    [
        pytest.param({}, Span(NOW - 3600, NOW), id="nothing: the last hour"),
        pytest.param({"range": "15m"}, Span(NOW - 900, NOW), id="a range"),
        pytest.param({"from": "100", "to": "160.5"}, Span(100.0, 160.5), id="two moments"),
        pytest.param({"range": "7d", "from": "100", "to": "160"}, Span(100.0, 160.0), id="both: the moments win"),
    ],
)
def test_a_range_is_read(given: dict[str, str], span: Span) -> None:
    """A link shows the same to everybody."""
    assert read_span(given, now=NOW) == span


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"range": "2h"}, "range"),
        ({"range": "7d"}, "range"),
        ({"from": "100"}, "to"),
        ({"to": "100"}, "from"),
        ({"from": "nan", "to": "100"}, "from"),
        ({"from": "1e999", "to": "100"}, "from"),
        ({"from": "yesterday", "to": "100"}, "from"),
        ({"from": "200", "to": "100"}, "from"),
        ({"from": "1", "to": str(DAY + 2)}, "from"),
    ],
)
def test_a_range_that_is_none_is_refused_by_its_field(given: dict[str, str], field: str) -> None:
    """Nothing is drawn of a time that nobody asked for."""
    with pytest.raises(Invalid) as caught:
        read_span(given, longest=DAY, now=NOW)

    assert caught.value.field == field


def test_a_page_offers_no_more_than_it_can_show() -> None:
    """The view of performance merges what each five minutes hold."""
    assert list(offered(DAY)) == ["15m", "1h", "6h", "24h"]
