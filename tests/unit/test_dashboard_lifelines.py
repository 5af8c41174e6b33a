"""The picture of a task's life."""

from __future__ import annotations

from typing import Any

import pytest

from vsm_site.dashboard.lifelines import LEAST, WIDTH, bars

UNKNOWN = dict.fromkeys(["sent", "received", "eta", "started", "last_started", "ended"])


def kinds(**known: Any) -> list[tuple[str, float]]:
    made = bars(**{**UNKNOWN, "tries": [], "now": 100.0, **known})
    return [(bar.kind, bar.seconds) for bar in made]


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        pytest.param(
            {"sent": 0.0, "received": 2.0, "started": 3.0, "last_started": 3.0, "ended": 7.0},
            [("queued", 2.0), ("reserved", 1.0), ("running", 4.0)],
            id="plain",
        ),
        pytest.param(
            {"sent": 0.0, "eta": 10.0, "received": 1.0, "started": 12.0, "ended": 13.0},
            [("held", 10.0), ("reserved", 2.0), ("running", 1.0)],
            id="held until its ETA",
        ),
        pytest.param({"sent": 40.0}, [("queued", 60.0)], id="waits still"),
        pytest.param(
            {"received": 0.0, "started": 0.0, "tries": [2.0], "last_started": 5.0, "ended": 9.0},
            [("running", 2.0), ("between", 3.0), ("running", 4.0)],
            id="retried",
        ),
        pytest.param(
            {"started": 0.0, "tries": [2.0], "last_started": 0.0}, [("running", 2.0), ("between", 98.0)], id="will be"
        ),
        pytest.param({}, [], id="nothing known"),
        pytest.param({"sent": 5.0, "started": 3.0, "ended": 4.0}, [("running", 1.0)], id="clocks that differ"),
    ],
)  # fmt: skip
def test_a_life_is_cut_where_something_happened(known: dict[str, Any], expected: list[tuple[str, float]]) -> None:
    """Each stretch is named for what the task waited for."""
    assert kinds(**known) == expected


def test_every_bar_is_on_the_picture_and_wide_enough_to_see() -> None:
    """A millisecond beside an hour would be invisible."""
    made = bars(**{**UNKNOWN, "sent": 0.0, "received": 3600.0, "started": 3600.0, "ended": 3600.001}, tries=[], now=1.0)

    assert all(bar.width >= LEAST and bar.x + bar.width <= WIDTH + 0.1 for bar in made)
