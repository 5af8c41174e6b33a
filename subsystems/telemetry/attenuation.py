"""Attenuators and amplifiers by name, suggested where the figures call for them (requirements 001-3, 3.2, 3.5).

Variety engineering (Beer, The Heart of Enterprise, 1979; Diagnosing the System, 1985): lower the variety that reaches
the controller, raise the variety of its answers, or both. What a suggestion would change is computed from the counts
that it was made from, and None where nothing measured can tell. A suggestion is never applied by itself.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from subsystems.telemetry.entropy import Confidence, Variety, entropy
from subsystems.telemetry.requisite import Band, Position, RangeFinding, Requisite
from subsystems.telemetry.states import Counts, States, counts_of

RARE_SHARE = 0.05  # states that together are so rare may share one name at little loss
UNEVEN = 0.7
UNMATCHED = 0.5  # of the information that responses could carry about disturbances


class Kind(StrEnum):
    """What a suggestion does to variety."""

    ATTENUATE = "attenuate"
    AMPLIFY = "amplify"
    MATCH = "match"
    MEASURE = "measure"


@dataclass(frozen=True, slots=True)
class Device:
    """A named way to change variety."""

    name: str
    kind: Kind
    advice: str


DEVICES = {
    device.name: device
    for device in (
        Device("filter", Kind.ATTENUATE, "Drop what no decision depends on, before it reaches the controller."),
        Device("aggregate", Kind.ATTENUATE, "Pass on sums and roll-ups instead of single events."),
        Device("group_rare_states", Kind.ATTENUATE, "Give the rarest states one name and one answer."),
        Device("report_exceptions", Kind.ATTENUATE, "Report only what leaves its usual range."),
        Device("standardise", Kind.ATTENUATE, "Make different cases arrive in one form, so that one answer fits."),
        Device("delegate", Kind.ATTENUATE, "Let the units decide more themselves: their variety then stays there."),
        Device("buffer", Kind.ATTENUATE, "Let a queue or a reserve absorb short disturbances."),
        Device("limit_rate", Kind.ATTENUATE, "Limit how fast new disturbances may arrive."),
        Device("add_responses", Kind.AMPLIFY, "Prepare further answers: actions, playbooks, policies."),
        Device("use_all_responses", Kind.AMPLIFY, "Use the answers there are: some are hardly ever given."),
        Device("scale_out", Kind.AMPLIFY, "Add units, so that different disturbances are answered at once."),
        Device("automate", Kind.AMPLIFY, "Let rules give the routine answers, and people the others."),
        Device("specialise", Kind.AMPLIFY, "Give kinds of disturbances owners who know them."),
        Device("broadcast_policy", Kind.AMPLIFY, "Turn one decision into many by a rule that all units apply."),
        Device("match_responses", Kind.MATCH, "Tie each kind of disturbance to its own answer."),
        Device("collect_more", Kind.MEASURE, "Watch longer, or tell fewer states apart, before deciding."),
    )
}


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A device, why it is suggested, and by how many bits it would close the gap (None: not known)."""

    name: str
    kind: Kind
    advice: str
    because: str
    bits: float | None = None

    def to_wire(self) -> dict[str, Any]:
        """Return plain JSON."""
        return {**asdict(self), "kind": str(self.kind)}


def suggestions(
    judged: Requisite, *, controller: States | None = None, environment: States | None = None
) -> list[Suggestion]:
    """Return what may be done about a variety balance, the greatest known effect first.

    With the states that it was judged from, effects are computed where they can be.
    """
    if judged.band is Band.INSUFFICIENT_DATA:
        return [_too_few(judged)]
    found = _unmatched(judged)
    if judged.deficit_bits:
        found += _amplifiers(judged) + _attenuators(judged, None if environment is None else counts_of(environment))
    elif judged.band is Band.EXCESS:
        found += _economies(judged, None if controller is None else counts_of(controller))
    return sorted(found, key=lambda each: -(each.bits or 0.0))


def range_suggestions(finding: RangeFinding) -> list[Suggestion]:
    """Return what may be done about a subsystem whose variety is outside its range."""
    because = (
        f"{finding.subsystem} has {finding.bits or 0:.2f} bits; {finding.range.low} to {finding.range.high} fit it."
    )
    if finding.position is Position.BELOW:
        return [_suggest(name, because) for name in ("add_responses", "specialise", "automate")]
    if finding.position is Position.ABOVE:
        return [_suggest(name, because) for name in ("delegate", "aggregate", "report_exceptions", "standardise")]
    return []


def grouping_gain(counts: Counts, *, share: float = RARE_SHARE) -> tuple[int, float]:
    """Return how many of the rarest states are at most *share* of all, and the bits that one name for them saves."""
    rising = np.sort(counts[counts > 0])
    grouped = int(np.searchsorted(np.cumsum(rising), share * rising.sum(), side="right"))
    if grouped < 2:
        return 0, 0.0
    after = np.append(rising[grouped:], rising[:grouped].sum())
    return grouped, entropy(rising) - entropy(after)


def responses_needed(judged: Requisite) -> int | None:
    """Return how many equally used responses would meet the goal: 2^(H(D) - K - H(goal)), rounded up."""
    if judged.environment_variety is None:
        return None
    bits = max(0.0, judged.environment_variety - judged.buffer_bits - judged.goal_bits)
    return math.ceil(round(math.exp2(bits), 6))


def _amplifiers(judged: Requisite) -> list[Suggestion]:
    need, deficit = responses_needed(judged), judged.deficit_bits
    used = judged.controller.effective_states or 0.0
    because = f"{used:.1f} responses are in effective use; {need} would be needed, used equally."
    found = [_suggest("add_responses", because, deficit), _suggest("automate", because), _suggest("scale_out", because)]
    gain = _unused(judged.controller)
    if gain is not None:
        share = f"Its {judged.controller.observed_states} responses are used very unequally."
        found.append(_suggest("use_all_responses", share, min(gain, deficit or 0.0)))
    return found


def _attenuators(judged: Requisite, counts: Counts | None) -> list[Suggestion]:
    because = f"The environment has {judged.deficit_bits:.2f} bits more than can be answered."
    found = [_suggest(name, because) for name in ("filter", "buffer", "delegate")]
    if counts is not None:
        states, gain = grouping_gain(counts)
        if states:
            rare = f"The {states} rarest states are {RARE_SHARE:.0%} of what happens at most."
            found.append(_suggest("group_rare_states", rare, min(gain, judged.deficit_bits or 0.0)))
    return found


def _economies(judged: Requisite, counts: Counts | None) -> list[Suggestion]:
    """Suggest to do with less. This is thrift, not Ashby's law: more variety than needed is no fault (3.2)."""
    spare = (judged.controller_variety or 0.0) - (judged.environment_variety or 0.0)
    because = f"There are {spare:.2f} bits more of responses than of disturbances; fewer would be cheaper."
    found = [_suggest("standardise", because)]
    if counts is not None and grouping_gain(counts)[0]:
        states, gain = grouping_gain(counts)
        found.append(_suggest("group_rare_states", f"The {states} rarest responses are hardly used.", min(gain, spare)))
    return found


def _unmatched(judged: Requisite) -> list[Suggestion]:
    """Suggest to match responses to disturbances where there are enough and they say little of each other."""
    shared, r, d = judged.mutual_information, judged.controller_variety, judged.environment_variety
    could = min(r or 0.0, d or 0.0)
    if shared is None or could == 0 or shared >= UNMATCHED * could:
        return []
    because = f"Responses carry {shared:.2f} bits about disturbances; they could carry {could:.2f}."
    return [_suggest("match_responses", because, could - shared)]


def _too_few(judged: Requisite) -> Suggestion:
    sides = (judged.controller, judged.environment)
    lacking = [side for side in sides if side.confidence is not Confidence.SUFFICIENT]
    worst = max(lacking, key=lambda side: side.needed_samples - side.sample_size)
    return _suggest("collect_more", f"There are {worst.sample_size} observations; {worst.needed_samples} are needed.")


def _unused(side: Variety) -> float | None:
    """Return the bits that equal use of all observed states would add, where they are used very unequally."""
    if side.evenness is None or side.bits is None or side.evenness >= UNEVEN:
        return None
    return math.log2(side.observed_states) - side.bits


def _suggest(name: str, because: str, bits: float | None = None) -> Suggestion:
    device = DEVICES[name]
    return Suggestion(name, device.kind, device.advice, because, bits)
