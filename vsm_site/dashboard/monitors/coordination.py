"""The monitors of S2: oscillation and lag, variety at each boundary, the channels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from subsystems.s2_coordination.monitor import queries as coordination
from subsystems.s2_coordination.monitor.models import CoordinationFinding
from subsystems.variety.queries import variety_body
from vsm_site.dashboard.monitors.base import (
    SHOWN,
    UNKNOWN,
    Asked,
    Monitors,
    Need,
    Panel,
    Row,
    harm,
    number,
    room,
    scored,
    seconds,
)


def monitors(asked: Asked) -> Monitors:
    """Return the three panels, and what needs attention."""
    told = coordination.coordination_body(asked.system, readable=asked.readable, now=asked.now)
    found = CoordinationFinding.objects.filter(system=asked.system, ended_at=None).order_by("-found_at")
    needs = [Need("warning", row.title, "coordination") for row in found[:SHOWN]]
    lag, efficiency = told["lag"], told["efficiency"]
    held = sum(each["in_force"] for each in told["dampers"])
    open_ = sum(told["open_findings"].values())
    damped = Panel(
        "Coordination monitor",
        "Oscillation, clashes, and how quickly one hears the other",
        "coordination",
        [
            Row("Lag", seconds(lag["mean_seconds"]), note=f"mean of {lag['messages']} messages"),
            Row(
                "Unanswered", f"{lag['unanswered']} of {lag['asked']}", harm(lag["unanswered"]) if lag["asked"] else ""
            ),
            scored("Without a conflict", efficiency["value"], f"of {efficiency['allocations']} allocations"),
            Row("Dampers in force", number(held)),
            Row("Findings open", number(open_), harm(open_)),
            *(
                Row(f"Fairness of {each['broker']}", number(each["tasks"].get("index")))
                for each in told["fairness"][:3]
            ),
        ],
    )
    return [damped, _variety(asked, told["boundaries"]), _channels(told["channels"])], needs


BANDS = {"critical": "unhealthy", "warning": "degraded", "adequate": "healthy", "excess": "healthy"}


def _variety(asked: Asked, boundaries: Iterable[Mapping[str, Any]]) -> Panel:
    body = variety_body(asked.system)
    rows = []
    if body["status"] == "measured":
        for key, title in (("operational", "Operation over environment"), ("managerial", "Management over operation")):
            balance = body[key]["balance"]
            rows.append(
                Row(
                    title,
                    number(balance["ratio"]),
                    BANDS.get(balance["band"], "unknown"),
                    balance["band"].replace("_", " "),
                )
            )
    rows += [
        Row(
            f"Absorbed, {each['from']} to {each['to']}",
            number(each["absorbed_bits"], "bits"),
            note="" if each["confidence"] == "measured" else "too few observations",
        )
        for each in list(boundaries)[:4]
    ]
    return Panel(
        "Variety manager",
        "What each boundary takes up of variety",
        "variety",
        rows or [Row("Variety", UNKNOWN, note="nothing was measured yet")],
    )


def _channels(channels: Iterable[Mapping[str, Any]]) -> Panel:
    rows = []
    for each in channels:
        waits = (
            f"{each['backlog']} wait, the oldest {seconds(each['oldest_age_seconds'])}"
            if each["backlog"]
            else "nothing waits"
        )
        level = "" if each["utilisation"] is None else room(each["utilisation"])
        rows.append(
            Row(
                each["channel"].replace("_", " ").capitalize(),
                number(each["offered_per_second"], "a second"),
                level,
                waits,
            )
        )
    return Panel("Channel monitor", "What is said, of how much room, and what waits", "coordination", rows)
