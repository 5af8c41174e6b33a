"""What is said of what was found, and what is advised; pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from subsystems.s2_coordination.monitor.conflicts import Clash, Collision
from subsystems.s2_coordination.monitor.fairness import Fairness
from subsystems.s2_coordination.monitor.oscillation import RAPID_COUNT, Movement, Swing

SHOWN_POINTS = 120
LONGEST_SUBJECT, LONGEST_TEXT = 300, 1_000
ADVICE = {
    "workers": "Let one scaler act, and let it wait longer before it takes workers away than before it adds them.",
    "queue": "Look for what sends in waves (a schedule, a batch) and spread it out, or keep more workers meanwhile.",
    "acts": "Widen the gap between the threshold that adds and the one that takes away, or judge a longer window.",
    "alerts": "Give its rule a threshold to recover below the one to fire, or let it hold for longer than a period.",
    "retries": "Retry with growing, random delays (retry_backoff, retry_jitter): who fails together comes together.",
}
FAIR = 0.8  # of a fair share, and of Jain's index
LIMIT = "Others got more than their share: limit the rate of their tasks, or give these queues workers of their own."
ADD = "Nobody got much more than a fair share: add workers."
OFTEN = "Adjust more rarely and by more: each adjustment should be seen to work before the next."


@dataclass(frozen=True)
class Found:
    """One thing to tell of; *hold_seconds* is for how long its damper should be down, 0 for none."""

    kind: str
    area: str
    subject: str
    title: str
    summary: str
    suggestion: str
    evidence: Mapping[str, Any] = field(default_factory=dict)
    grave: bool = False
    hold_seconds: float = 0.0

    @property
    def key(self) -> str:
        return f"{self.kind}/{self.area}/{self.subject}"


def of_swing(
    swing: Swing, area: str, subject: str, title: str, *, start: float, points: Sequence[float]
) -> Found | None:
    """Return what is said of a value that swings or is adjusted too often, or None for one that is well."""
    if swing.movement not in (Movement.OSCILLATING, Movement.RAPID):
        return None
    swings = swing.movement is Movement.OSCILLATING
    evidence = {**swing.to_wire(), **_picture(start, points, swing.step_seconds)}
    return Found(
        kind="oscillation" if swings else "rapid_adjustments",
        area=area,
        subject=subject[:LONGEST_SUBJECT],
        title=f"{title} {_verb(area, swings)}"[:LONGEST_SUBJECT],
        summary=swing.reason[:LONGEST_TEXT],
        suggestion=ADVICE[area] if swings else OFTEN,
        evidence=evidence,
        grave=swings and swing.growing,
        hold_seconds=_hold(swing) if swings and area in ("workers", "acts") else 0.0,
    )


def _verb(area: str, swings: bool) -> str:
    many = area in ("workers", "acts", "retries")
    if swings:
        return "swing" if many else "swings"
    return f"{'are' if many else 'is'} adjusted too often"


def rapid(adjustments: int) -> str:
    """Return the words for a value that was adjusted so often within five minutes; nothing for fewer than that."""
    often = adjustments > RAPID_COUNT
    return f"Adjusted {adjustments} times within five minutes, without a rhythm." if often else ""


def is_about(damped: str, subject: str) -> bool:
    """Return whether the damper of *damped* holds what *subject* names: itself, or the queue `fleet/queue` by its name.

    Whoever acts names its subjects freely: `queue mail`, `queue:mail`, `shop/mail`, `mail`.
    """
    queue = subject.partition("/")[2] or subject
    return damped == subject or re.split(r"[\s/:]+", damped)[-1] == queue


def _hold(swing: Swing) -> float:
    """Return for how long nothing should be taken away: two periods see the swing out."""
    return min(max(2 * (swing.period_seconds or 300.0), 600.0), 7200.0)


def _picture(start: float, points: Sequence[float], step: float) -> dict[str, Any]:
    every = max(1, -(-len(points) // SHOWN_POINTS))
    kept = [None if value != value else round(float(value), 3) for value in points[::every]]
    return {"points_from": start, "points_step": step * every, "points_shown": kept}


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def of_clash(clash: Clash) -> Found:
    """Return what is said of writers that act against each other."""
    writers = sorted(writer or "somebody unnamed" for writer in clash.writers)
    undone = f"undid each other's acts {_times(clash.opposed)}" if clash.opposed else ""
    refused = f"wanted it at the same time {_times(clash.refused)}" if clash.refused else ""
    return Found(
        kind="clash",
        area="acts",
        subject=clash.subject[:LONGEST_SUBJECT],
        title=f"Several act on {clash.subject}"[:LONGEST_SUBJECT],
        summary=f"{', '.join(writers)} {' and '.join(filter(None, (undone, refused)))} within the last hour."[
            :LONGEST_TEXT
        ],
        suggestion=f"Leave {clash.subject} to one of them, or give each a part of its own."[:LONGEST_TEXT],
        evidence={
            "writers": writers, "opposed": clash.opposed, "refused": clash.refused, "last_at_epoch": clash.last_at,
        },
    )  # fmt: skip


def of_collision(collision: Collision) -> Found:
    """Return what is said of two schedules that are due at once."""
    first, second, minutes = collision.first, collision.second, round(collision.shift_seconds / 60)
    what = f"the task {first.task}" if collision.shared == "task" else f"the queue {first.queue}"
    return Found(
        kind="collision",
        area="schedules",
        subject=f"{first.id}+{second.id}",
        title=f"{first.name} and {second.name} collide"[:LONGEST_SUBJECT],
        summary=(
            f"Within a day both are due at the same moment {collision.meetings} times and use {what}; they usually"
            f" run for {first.runtime_seconds:.0f} s and {second.runtime_seconds:.0f} s."
        )[:LONGEST_TEXT],
        suggestion=f"Let {second.name} begin {minutes} minutes later."[:LONGEST_TEXT],
        evidence={
            "schedules": [first.id, second.id], "shared": collision.shared, "meetings_in_a_day": collision.meetings,
            "runtime_seconds": [first.runtime_seconds, second.runtime_seconds],
            "shift_seconds": collision.shift_seconds,
        },
    )  # fmt: skip


def of_unfair(fairness: Fairness, name: str) -> Found | None:
    """Return what is said of a tenant that got too little of what it shares, and the strategy that fits; of others
    no name is told."""
    mine = next((share for share in fairness.shares if share["name"] == name), None)
    if fairness.index is None or fairness.index >= FAIR or mine is None or (mine["ratio"] or 0.0) >= FAIR:
        return None
    ratios = [share["ratio"] for share in fairness.shares if share["ratio"] is not None]
    above = sum(ratio > 2 - FAIR for ratio in ratios)
    strategy = LIMIT if above else ADD
    return Found(
        kind="unfair",
        area="fleets",
        subject="tasks",
        title="Less than a fair share of the workers",
        summary=(
            f"Within an hour {mine['got']:g} tasks ran, {mine['ratio']:.0%} of the {mine['fair']:g} that would be fair."
            f" Jain's index of the {len(ratios)} systems of the broker is {fairness.index:.2f}."
        ),
        suggestion=strategy,
        evidence={"index": fairness.index, "share": dict(mine), "systems": len(ratios), "above_their_share": above},
    )


def of_shared_queue(queue: str, mine: str, others: Sequence[str]) -> Found:
    """Return what is said of a queue that another fleet's workers read, too; of strangers no name is told."""
    whose = ", ".join(others)
    return Found(
        kind="shared_queue",
        area="fleets",
        subject=f"{mine}/{queue}"[:LONGEST_SUBJECT],
        title=f"{mine} shares the queue {queue}"[:LONGEST_SUBJECT],
        summary=(
            f"Workers of {mine} and of {whose} read the queue {queue} of the same broker: each takes the other's tasks."
        )[:LONGEST_TEXT],
        suggestion="Give each fleet queues of its own (task_default_queue, task_routes) or a virtual host of its own.",
        evidence={"queue": queue, "fleets": [mine, *others]},
    )
