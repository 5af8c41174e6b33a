"""The three monitors of each subsystem (requirements 001-5): what the rooms know, as panels with what needs attention.

The number of queries of a page is constant: lists are cut by the database, and counts are aggregates.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from subsystems.kernel.words import Subsystem
from vsm_site.dashboard.monitors import control, coordination, intelligence, operations, policy
from vsm_site.dashboard.monitors.base import Asked, Monitors

RANK = {"critical": 0, "warning": 1, "info": 2}
MONITORS: Mapping[Subsystem, Callable[[Asked], Monitors]] = {
    Subsystem.S1: operations.monitors,
    Subsystem.S2: coordination.monitors,
    Subsystem.S3: control.monitors,
    Subsystem.S4: intelligence.monitors,
    Subsystem.S5: policy.monitors,
}


def monitors(subsystem: Subsystem, asked: Asked) -> Monitors:
    """Return the three panels of *subsystem*, and what needs attention there, the worst first."""
    panels, needs = MONITORS[subsystem](asked)
    return panels, sorted(needs, key=lambda need: RANK[need.level])
