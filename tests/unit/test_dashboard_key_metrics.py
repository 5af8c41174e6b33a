"""The one metric that stands for a unit."""

from __future__ import annotations

import pytest

from vsm_site.dashboard.key_metrics import key_metric


@pytest.mark.parametrize(
    ("kind", "metrics", "expected"),
    [
        pytest.param("host", ["memory_ratio", "cpu_ratio"], "cpu_ratio", id="a kind we know"),
        pytest.param("celery_queue", [], "ready", id="a kind we know that has sent nothing yet"),
        pytest.param("agent", ["orders", "latency"], "latency", id="an agent: its first by name"),
        pytest.param("agent", [], "", id="an agent that has sent nothing"),
    ],
)
def test_a_unit_is_shown_by_one_metric(kind: str, metrics: list[str], expected: str) -> None:
    """Pages and browser must choose the same one, or a line and its number would not belong together."""
    assert key_metric(kind, metrics) == expected
