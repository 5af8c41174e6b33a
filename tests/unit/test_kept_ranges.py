"""What becomes of the time ranges of views that were saved before all pages said them in the same words."""

from __future__ import annotations

from importlib import import_module

import pytest

with_ranges = import_module("vsm_site.dashboard.migrations.0003_chosen_columns").with_ranges


@pytest.mark.parametrize(
    ("path", "kept", "now"),
    [
        ("signals/", "since=day&state=open", "range=24h&state=open"),
        ("tasks/latencies/", "hours=6", "range=6h"),
        ("scaling/1/", "hours=6", "hours=6"),
        ("tasks/", "order=slowest", "sort=-ran"),
        (
            "events/",
            "since=2026-07-01T10:00&until=2026-07-01T12:00Z",
            "from=2026-07-01T10%3A00Z&to=2026-07-01T12%3A00Z",
        ),
        ("units/", "range=7d&sort=name&q=a+b%26c", "range=7d&sort=name&q=a+b%26c"),
    ],
)
def test_a_saved_view_shows_what_it_did(path: str, kept: str, now: str) -> None:
    """Somebody's "last 24 hours" would be everything; moments without a zone were kept in UTC."""
    assert with_ranges(f"/dashboard/{path}", kept) == now
