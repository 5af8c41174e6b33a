"""The scores of the five cards: what each means, and how it is made from what was measured (requirements 3.5, 3.7).

A score without its inputs is unknown and says what is missing. Nothing here is a constant that looks like a number.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from statistics import median
from typing import Any

from subsystems.kernel.health import mean_known
from subsystems.kernel.texts import gettext_noop as _

OVERALL = "overall"
Span = tuple[datetime, datetime]


@dataclass(frozen=True, slots=True)
class Definition:
    """What a score is called, on whose card it stands, and what it means."""

    name: str
    card: str  # s1 to s5, overall
    title: str
    means: str
    unit: str = "0 to 1"

    @property
    def gauge(self) -> str:
        """Return the metric under which it is shown."""
        card = OVERALL if self.card == OVERALL else f"system{self.card.removeprefix('s')}"
        return f"vsm_{card}_{self.name}"


@dataclass(frozen=True, slots=True)
class Scored:
    """A score (None: unknown), in words where it comes from, and the numbers that it was made from."""

    value: float | None
    reason: str
    inputs: Mapping[str, Any] = field(default_factory=dict)

    def to_wire(self) -> dict[str, Any]:
        """Return plain JSON."""
        return {"value": self.value, "reason": self.reason, "inputs": dict(self.inputs)}


DEFINITIONS: tuple[Definition, ...] = (
    Definition("task_success_rate", "s1", _("Tasks that succeed"),
               _("Tasks of the system's fleets that succeeded in the last hour, over those that succeeded or failed")),
    Definition("task_throughput", "s1", _("Throughput"),
               _("Tasks of the system's fleets that ended, by the second, mean of the last hour"), _("a second")),
    Definition("coordination_efficiency", "s2", _("Coordination efficiency"),
               _("Allocations of the last hour without a conflict, over all")),
    Definition("allocation_efficiency", "s3", _("Allocation efficiency"),
               _("1 − Σ|allocated − used| / Σ allocated of what units hold by a bargain, mean of the resources; where"
               " nobody bargains, over the pools of all workers in the last five minutes")),
    Definition("audit_compliance", "s3", _("Audit compliance"),
               _("Mean of the fleets' scores in the configuration audit: each is 1 less what its open findings weigh")),
    Definition("optimisation_score", "s3", _("Optimisation score"),
               _("Realised over predicted benefit of applied recommendations, mean of 30 days")),
    Definition("channel_utilisation", "s2", _("Channel utilisation"),
               _("Open messages of the fullest channel over its room; the channels are the whole platform's")),
    Definition("environment_awareness", "s4", _("Environment awareness"),
               _("Sources outside that were heard on schedule, over those configured")),
    Definition("pattern_detection_rate", "s4", _("Pattern detection rate"),
               _("Event patterns that held in full in the last 24 hours, an hour"), _("an hour")),
    Definition("pattern_precision", "s4", _("Precision of patterns"),
               _("Detections of 30 days that people confirmed, over those they judged")),
    Definition("forecast_accuracy", "s4", _("Forecast accuracy"),
               _("Skill of forecasts an hour ahead, median of series: 1 − error / naive error"), _("1 at most")),
    Definition("predicted_variety_ratio", "s4", _("Variety ratio in an hour"),
               _("What the ratio of operation to environment will be, foretold from twelve hours"), _("ratio")),
    Definition("goal_progress", "s5", _("Goal progress"),
               _("Mean by weight of (value − baseline) / (target − baseline), of the goals whose value is known")),
    Definition("decision_quality", "s5", _("Decision quality"),
               _("Decisions of 90 days whose outcome met its criterion, over those reviewed")),
    Definition("decision_coverage", "s5", _("Coverage of reviews"),
               _("Decisions of 90 days that were reviewed, over those whose review fell due")),
    Definition("identity_alignment", "s5", _("Identity alignment"),
               _("Share by weight of policies in force and decisions of 90 days that serve a declared value,"
                 " people say")),
    Definition("s3_s4_balance", "s5", _("Balance of S3 and S4"),
               _("The lesser of their varieties over the greater (Beer's second axiom)")),
    Definition("s3_s4_residual", "s5", _("Residual left to S5"),
               _("Of the difference of these varieties, what the variety of S5 does not absorb (third axiom)"),
               _("bits")),
    Definition("viability_index", OVERALL, _("Viability index"), _("The viability score of the last assessment")),
    Definition("recursion_depth", OVERALL, _("Recursion depth"), _("Levels of systems below this one"), _("levels")),
    Definition("adaptation_rate", OVERALL, _("Adaptation rate"),
               _("Recommendations of 30 days that were carried out, over all that were made")),
    Definition("adaptation_lead_seconds", OVERALL, _("Adaptation lead time"),
               _("Median time of these from the measurement that they rest on until they were applied"), _("seconds")),
    Definition("autonomy_level", OVERALL, _("Autonomy level"),
               _("Changes of S1 in 24 hours that were its own (pains that ended without an act of steering meanwhile,"
               " shares of resources that it agreed to), over all (pains that ended, shares that changed)")),
)  # fmt: skip
BY_NAME = {each.name: each for each in DEFINITIONS}


def share(part: int, whole: int, *, words: str, nothing: str, **inputs: Any) -> Scored:
    """Return *part* of *whole*; without a whole it is unknown, for the reason *nothing*."""
    if not whole:
        return Scored(None, nothing, inputs)
    return Scored(part / whole, f"{part} of {whole} {words}.", inputs)


def allocation_efficiency(pools: Sequence[tuple[float, float]]) -> Scored:
    """Return 1 - sum|allocated - used| / sum allocated; *pools* are (allocated, used) of each worker (3.7)."""
    allocated = math.fsum(size for size, _ in pools)
    inputs = {"pools": len(pools), "allocated": round(allocated, 3)}
    if allocated <= 0:
        return Scored(None, "No worker told the size of its pool in the last five minutes.", inputs)
    apart = math.fsum(abs(size - used) for size, used in pools)
    inputs["used"] = round(math.fsum(used for _, used in pools), 3)
    words = f"{inputs['used']:g} of {allocated:g} processes were at work on average, in {len(pools)} pools."
    return Scored(max(0.0, 1 - apart / allocated), words, inputs)


def audit_compliance(fleets: Mapping[str, float | None]) -> Scored:
    """Return the mean score of the audited fleets; one that was never audited is no good one."""
    known = [score for score in fleets.values() if score is not None]
    inputs = {"fleets": len(fleets), "audited": len(known)}
    if not known:
        return Scored(None, "No fleet has been audited.", inputs)
    return Scored(mean_known(known), f"{len(known)} of {len(fleets)} fleets are audited.", inputs)


def channel_utilisation(channels: Mapping[str, float]) -> Scored:
    """Return the utilisation of the fullest channel (second principle: below 1)."""
    if not channels:
        return Scored(None, "Nobody has counted the messages yet.")
    fullest = max(channels, key=lambda name: channels[name])
    inputs = {name: round(value, 6) for name, value in channels.items()}
    return Scored(channels[fullest], f"The {fullest} channel is the fullest.", inputs)


def forecast_accuracy(found: Mapping[str, Any]) -> Scored:
    """Return the skill of forecasts that came due, else that of foretelling the past (3.6)."""
    names = ("series", "beat_naive", "values", "held_80", "held_95")
    told = {name: found[name] for name in (*names, "back_test_skill")}
    inputs = {name: round(value, 4) if isinstance(value, float) else value for name, value in told.items()}
    if found["skill"] is not None:
        return Scored(found["skill"], f"{found['values']} forecasts of {found['series']} series came due.", inputs)
    if found["back_test_skill"] is not None:
        words = f"No forecast has come due yet: from foretelling the past of {found['series']} series."
        return Scored(found["back_test_skill"], words, inputs)
    return Scored(None, "No series is foretold yet.", inputs)


def detection_rate(patterns: int, since: datetime | None, held: int, *, now: datetime) -> Scored:
    """Return how many patterns held in full an hour, over the last 24 hours or as long as there are any (3.7)."""
    inputs = {"patterns": patterns, "held": held}
    if not patterns or since is None:
        return Scored(None, "No pattern is looked for.", inputs)
    hours = max(1.0, min(24.0, (now - since).total_seconds() / 3600))
    return Scored(held / hours, f"{held} in {hours:.0f} hours, of {patterns} patterns.", inputs)


def depth(system: int, parents: Mapping[int, int | None]) -> int:
    """Return how many levels of systems there are below *system*; a loop ends where it closes."""
    children: dict[int, list[int]] = {}
    for each, parent in parents.items():
        if parent is not None:
            children.setdefault(parent, []).append(each)
    level, seen, here = 0, {system}, [system]
    while here := [child for each in here for child in children.get(each, ()) if child not in seen]:
        seen.update(here)
        level += 1
    return level


def bargained(resources: Mapping[str, tuple[float, float]]) -> Scored:
    """Return the mean efficiency of *resources*, each with what is allocated and how far what is used is from it (3.7).

    Slots and tasks a second cannot be added up: each resource counts alike.
    """
    found = {name: max(0.0, 1 - apart / allocated) for name, (allocated, apart) in resources.items()}
    inputs: dict[str, Any] = {"resources": len(found)}
    for name, (allocated, apart) in list(resources.items())[:20]:
        inputs |= {f"{name} allocated": round(allocated, 3), f"{name} not as used": round(apart, 3)}
    told = ", ".join(f"{name} {value:.2f}" for name, value in list(found.items())[:5])
    return Scored(math.fsum(found.values()) / len(found), f"What units hold by a bargain: {told}.", inputs)


def autonomy(ended: Sequence[Span], acts: Iterable[datetime], *, allocated: int = 0, imposed: int = 0) -> Scored:
    """Return the share of S1's changes that nobody commanded (001-19, 3.5).

    They are *ended* troubles, commanded where somebody steered meanwhile, and shares of resources that were
    *allocated* anew, commanded where S3 *imposed* them.
    """
    moments = sorted(acts)
    left = sum(not _any_between(moments, began, over) for began, over in ended)
    return share(
        left + allocated - imposed, len(ended) + allocated,
        words="changes of S1 were its own: pains that ended without an act of steering, shares that it agreed to",
        nothing="No pain of S1 ended and no share of a resource changed in the last 24 hours.", ended=len(ended),
        acts=len(moments), left_alone=left, allocated=allocated, imposed=imposed,
    )  # fmt: skip


def _any_between(moments: Sequence[datetime], began: datetime, over: datetime) -> bool:
    return any(began <= moment <= over for moment in moments)


def adaptation(proposed: int, implemented: int, leads: Sequence[float]) -> tuple[Scored, Scored]:
    """Return implemented over proposed adaptations, and the median seconds from detection to implementation (3.5)."""
    rate = share(
        implemented, proposed, words="recommendations of 30 days were carried out",
        nothing="Nothing was recommended in the last 30 days.", proposed=proposed, implemented=implemented,
    )  # fmt: skip
    if not leads:
        return rate, Scored(None, "No recommendation of the last 30 days was carried out.", {"measured": 0})
    return rate, Scored(median(leads), f"Median of {len(leads)}.", {"measured": len(leads)})
