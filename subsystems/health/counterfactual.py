"""What would raise viability most: the documented score again, with one part better at a time (requirements 002-32)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from subsystems.health.viability import DIGITS, POINTS, Rules, judge
from subsystems.kernel.health import Health, band
from subsystems.kernel.words import Subsystem

JUST_ABOVE = 1e-6
# Bands are strict: healthy begins above 0.8, degraded above 0.5 (002-14).
NEXT = {Health.UNHEALTHY: 0.5 + JUST_ABOVE, Health.DEGRADED: 0.8 + JUST_ABOVE}


def improvements(scores: Mapping[Subsystem, float | None], rules: Rules) -> list[dict[str, Any]]:
    """Return for each part what the score would be if it alone were healthy, the greatest gain first.

    *next_band* is what the smallest real step would bring: the part lifted into the band above its own. A part that is
    healthy has nothing to give; without any known score there is nothing to compare with.
    """
    now = judge(scores, rules)
    if now.score is None:
        return []
    found = [_improved(each, scores, rules, now.score) for each in Subsystem if _can_improve(scores.get(each))]
    return sorted(found, key=lambda each: (-each["gain"], each["subsystem"]))


def of_parts(parts: Sequence[Mapping[str, Any]], rules: Rules | None = None) -> list[dict[str, Any]]:
    """Return the same from the parts of an assessment as it is stored."""
    known = {each["subsystem"]: each for each in parts}
    if not set(Subsystem) <= set(known):
        return []
    weights = {each: float(known[each]["weight"]) for each in Subsystem}
    return improvements({each: known[each]["score"] for each in Subsystem}, rules or Rules(weights))


def _can_improve(score: float | None) -> bool:
    return POINTS[band(score)] < POINTS[Health.HEALTHY]


def _improved(each: Subsystem, scores: Mapping[Subsystem, float | None], rules: Rules, now: float) -> dict[str, Any]:
    healthy = _score({**scores, each: max(1.0, scores.get(each) or 0.0)}, rules)
    step = NEXT.get(band(scores.get(each)))
    lifted = None if step is None else _score({**scores, each: step}, rules)
    return {
        "subsystem": str(each),
        "score": scores.get(each),
        "viability": healthy,
        "gain": round(healthy - now, DIGITS),
        "next_band": None if lifted is None else {"viability": lifted, "gain": round(lifted - now, DIGITS)},
    }


def _score(scores: Mapping[Subsystem, float | None], rules: Rules) -> float:
    found = judge(scores, rules).score
    assert found is not None  # one of them is known: the one that was made better
    return found
