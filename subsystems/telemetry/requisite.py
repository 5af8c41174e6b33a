"""Requisite variety: the documented ratio with its bands, and beside it what Ashby's law is about.

The documents divide two entropies (requirements 000-22 to 000-27). The law is a difference of them: V_O >= V_D - V_R
(Introduction to Cybernetics, S.11/7), with a buffer K, H(E) >= H(D) + H(R|D) - H(R) - K (S.11/8; Ashby 1958). The ratio
stays under its documented names; deficit, shortfall and what the observed pairs say stand beside it (requirements 3.2).
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any

from subsystems.kernel.errors import Invalid
from subsystems.kernel.words import Subsystem
from subsystems.telemetry.entropy import Confidence, Relation, Variety, relation, variety
from subsystems.telemetry.states import States

DIGITS = 9  # a ratio of 1 must not be 0.9999999999999999


class Band(StrEnum):
    """What the documented ratio calls for (000-26)."""

    CRITICAL = "critical"
    WARNING = "warning"
    ADEQUATE = "adequate"
    EXCESS = "excess"
    INSUFFICIENT_DATA = "insufficient_data"


RECOMMENDATIONS = {
    Band.CRITICAL: "Critical: Significant variety amplification needed",
    Band.WARNING: "Warning: Minor variety amplification recommended",
    Band.ADEQUATE: "Variety balance is adequate",
    Band.EXCESS: "Consider variety attenuation for efficiency",
}


@dataclass(frozen=True, slots=True)
class Bands:
    """Where the ratio's bands begin (000-25, 000-26, 2-16): critical below the first, excess above the last."""

    critical_below: float = 0.8
    sufficient_from: float = 1.0
    excess_above: float = 1.5


@dataclass(frozen=True, slots=True)
class Requisite:
    """A controller's variety beside that of what it controls. None is what was not observed or has no meaning.

    *ratio* None with *sufficient* True is an infinite ratio: nothing varies that would need control.
    """

    controller_variety: float | None
    environment_variety: float | None
    ratio: float | None
    sufficient: bool | None
    recommendation: str | None  # as documented, however few the observations
    band: Band  # which is not judged on too few of them
    deficit_bits: float | None  # max(0, H(D) - H(R) - K): so much uncertainty must get through
    state_shortfall: float | None  # 2^deficit: the regulator has too few states by this factor
    state_ratio: float | None  # effective states of the controller for each of the environment
    buffer_bits: float
    goal_bits: float
    meets_goal: bool | None  # H(R) + K >= H(D) - H(goal)
    mutual_information: float | None
    least_leak_bits: float | None  # H(D) + H(R|D) - H(R) - K, of the responses that really were given
    regulation_effectiveness: float | None  # 1 - H(E) / H(D)
    sample_size: int
    corrected: dict[str, float | None]
    confidence: Confidence
    controller: Variety
    environment: Variety

    def to_wire(self) -> dict[str, Any]:
        """Return plain JSON."""
        wire = {name: getattr(self, name) for name in self.__slots__}
        wire |= {"band": str(self.band), "confidence": str(self.confidence)}
        return {**wire, "controller": self.controller.to_wire(), "environment": self.environment.to_wire()}


def check_requisite_variety(
    controller: States,
    environment: States,
    *,
    paired: bool = False,
    outcomes: States | None = None,
    buffer_bits: float = 0.0,
    goal_bits: float = 0.0,
    bands: Bands | None = None,
) -> Requisite:
    """Compare the states of a controller with those of its environment (000-22).

    With *paired* the n-th response answers the n-th disturbance, and what the pairs share is measured: matching counts
    says nothing about matching the right response. *outcomes* are the states after regulation. Raises Invalid.
    """
    judged = judge(variety(controller), variety(environment), buffer_bits=buffer_bits, goal_bits=goal_bits, bands=bands)
    if paired:
        judged = with_pairs(judged, relation(controller, environment))
    return judged if outcomes is None else with_outcomes(judged, variety(outcomes))


def judge(
    controller: Variety,
    environment: Variety,
    *,
    buffer_bits: float = 0.0,
    goal_bits: float = 0.0,
    bands: Bands | None = None,
) -> Requisite:
    """Compare two measured varieties; *buffer_bits* is K, *goal_bits* the variety of outcomes that is allowed."""
    _check_bits(buffer_bits, "buffer_bits")
    _check_bits(goal_bits, "goal_bits")
    bands = bands or Bands()
    r, d = controller.bits, environment.bits
    ratio = variety_ratio(r, d)
    known = r is not None and d is not None
    band = band_of(ratio, bands) if known else Band.INSUFFICIENT_DATA
    lacking = deficit(r, d, buffer_bits)
    confidence = _weaker(controller.confidence, environment.confidence)
    return Requisite(
        controller_variety=r,
        environment_variety=d,
        ratio=ratio,
        sufficient=(ratio is None or _rounded(ratio) >= bands.sufficient_from) if known else None,
        recommendation=RECOMMENDATIONS[band] if known else None,
        band=band if confidence is Confidence.SUFFICIENT else Band.INSUFFICIENT_DATA,
        deficit_bits=lacking,
        state_shortfall=None if lacking is None else 2.0**lacking,
        state_ratio=None if r is None or d is None else 2.0 ** (r - d),
        buffer_bits=buffer_bits,
        goal_bits=goal_bits,
        meets_goal=None if r is None or d is None else _rounded(r + buffer_bits - d + goal_bits) >= 0,
        mutual_information=None,
        least_leak_bits=None,
        regulation_effectiveness=None,
        sample_size=min(controller.sample_size, environment.sample_size),
        corrected=_corrected(controller, environment, buffer_bits),
        confidence=confidence,
        controller=controller,
        environment=environment,
    )


def with_pairs(judged: Requisite, pairs: Relation) -> Requisite:
    """Add what paired responses (x) and disturbances (y) share (requirements 3.2; Conant 1969)."""
    leak = max(0.0, pairs.y_bits - pairs.mutual_information - judged.buffer_bits)
    return replace(judged, mutual_information=pairs.mutual_information, least_leak_bits=leak)


def with_outcomes(judged: Requisite, outcomes: Variety) -> Requisite:
    """Add how much of the disturbances' variety does not show in the outcomes."""
    return replace(judged, regulation_effectiveness=regulation_effectiveness(outcomes.bits, judged.environment_variety))


def variety_ratio(controller: float | None, controlled: float | None) -> float | None:
    """Return controller over controlled (2-15): 1 if both are 0, None if only the controlled one is, or if unknown."""
    if controller is None or controlled is None:
        return None
    if controlled == 0:
        return 1.0 if controller == 0 else None
    return controller / controlled


def variety_load(environment: float | None, controller: float | None) -> float | None:
    """Return environment over controller (2-15), for patterns in which more is worse; None as `variety_ratio`."""
    return variety_ratio(environment, controller)


def variety_transfer_ratio(output: float | None, input_: float | None) -> float | None:
    """Return output over input of something that variety passes through (2-15); None as `variety_ratio`."""
    return variety_ratio(output, input_)


def variety_absorbed(input_: float | None, output: float | None) -> float | None:
    """Return H(in) - H(out) of a boundary, in bits (requirements 3.7)."""
    return None if input_ is None or output is None else input_ - output


def variety_utilisation(distinct_demand: float | None, capacity: float | None) -> float | None:
    """Return the share of the capacity to regulate that distinct demand takes, 0 to 1 (2-17).

    Both are rates, distinct disturbances arriving and answerable in one time; at 0.9 the design scales out.
    """
    if distinct_demand is None or not capacity:
        return None
    return min(1.0, max(0.0, distinct_demand / capacity))


def regulation_effectiveness(outcomes: float | None, disturbances: float | None) -> float | None:
    """Return 1 - H(E)/H(D): 1 where outcomes never vary, negative where regulation adds to what it should damp."""
    return None if outcomes is None or not disturbances else 1.0 - outcomes / disturbances


def deficit(controller: float | None, environment: float | None, buffer_bits: float = 0.0) -> float | None:
    """Return max(0, H(D) - H(R) - K), the least outcome variety that no choice of responses can avoid."""
    if controller is None or environment is None:
        return None
    return max(0.0, environment - controller - buffer_bits)


def s3_s4_balance(s3: float | None, s4: float | None) -> tuple[float | None, str]:
    """Return min/max of the varieties of S3 and S4, 0 to 1, and which leads (Beer's second axiom; requirements 3.5)."""
    if s3 is None or s4 is None:
        return None, "unknown"
    if _rounded(s3) == _rounded(s4):
        return 1.0, "balanced"
    return min(s3, s4) / max(s3, s4), "s3_leads" if s3 > s4 else "s4_leads"


def band_of(ratio: float | None, bands: Bands | None = None) -> Band:
    """Return the band of a ratio, None being infinite (000-26)."""
    bands = bands or Bands()
    if ratio is None or _rounded(ratio) > bands.excess_above:
        return Band.EXCESS
    if _rounded(ratio) < bands.critical_below:
        return Band.CRITICAL
    return Band.WARNING if _rounded(ratio) < bands.sufficient_from else Band.ADEQUATE


def imbalance(judged: Requisite) -> tuple[dict[str, float], dict[str, str]] | None:
    """Return measurements and metadata of `vsm.variety.imbalance`, or None where there is nothing to tell (000-27).

    The documented deficit is H_env - H_ctrl, without buffer.
    """
    r, d, ratio = judged.controller_variety, judged.environment_variety, judged.ratio
    if r is None or d is None or ratio is None or judged.sufficient:
        return None
    return {"ratio": ratio, "deficit": d - r}, {"type": "insufficient"}


# --- Ranges of the subsystems -----------------------------------------------------------------------------------------
class Position(StrEnum):
    """Where a subsystem's variety lies."""

    BELOW = "below"
    WITHIN = "within"
    ABOVE = "above"
    INSUFFICIENT_DATA = "insufficient_data"


@dataclass(frozen=True, slots=True)
class Range:
    """The variety, in bits, that a subsystem should have; both ends belong to it."""

    low: float
    high: float


RANGES = {  # 000-28, 000-62
    Subsystem.S1: Range(2.0, 4.0),
    Subsystem.S2: Range(1.5, 3.5),
    Subsystem.S3: Range(1.0, 3.0),
    Subsystem.S4: Range(2.5, 5.0),
    Subsystem.S5: Range(0.5, 2.0),
}
MEANINGS = {
    Position.BELOW: "It tells fewer things apart, or answers in fewer ways, than its role asks: amplify its variety.",
    Position.WITHIN: "Its variety is in the range of its role.",
    Position.ABOVE: "It handles more distinctions than its role should see: attenuate what reaches it, or delegate.",
    Position.INSUFFICIENT_DATA: "There are too few observations to judge its variety.",
}
PATIENCE = 3  # windows in a row outside before it hurts: one odd window is noise


@dataclass(frozen=True, slots=True)
class RangeFinding:
    """Where a subsystem's variety lies, and by how many bits it is outside."""

    subsystem: Subsystem
    bits: float | None
    range: Range
    position: Position
    distance_bits: float
    meaning: str

    @property
    def state_factor(self) -> float:
        """Return by which factor there are too few or too many effective states."""
        return math.exp2(self.distance_bits)

    def to_wire(self) -> dict[str, Any]:
        """Return plain JSON."""
        wire = {**asdict(self), "subsystem": str(self.subsystem), "position": str(self.position)}
        return {**wire, "state_factor": self.state_factor}


@dataclass(frozen=True, slots=True)
class Outside:
    """How many windows in a row a subsystem was outside its range, on which side, and whether that was told."""

    position: Position = Position.WITHIN
    windows: int = 0
    told: bool = False


def place(subsystem: Subsystem, measured: Variety, range_: Range | None = None) -> RangeFinding:
    """Return where the variety of *subsystem* lies in its range (000-28); not judged on too few observations."""
    range_ = range_ or RANGES[subsystem]
    position, distance = Position.INSUFFICIENT_DATA, 0.0
    if measured.bits is not None and measured.confidence is Confidence.SUFFICIENT:
        position, distance = _position(_rounded(measured.bits), range_)
    return RangeFinding(subsystem, measured.bits, range_, position, distance, MEANINGS[position])


def note_range(before: Outside, finding: RangeFinding, *, patience: int = PATIENCE) -> tuple[Outside, bool]:
    """Return what is remembered after one more window, and whether S3 is to be told now.

    What happens outside a range is ours to define (000-28): after *patience* windows in a row on one side it is told
    once, as an imbalance with the suggestions of `attenuation`; it can be told again after it was inside. Windows
    without enough data neither count nor end a row.
    """
    if finding.position is Position.INSUFFICIENT_DATA:
        return before, False
    if finding.position is Position.WITHIN:
        return Outside(), False
    row = before if before.position is finding.position else Outside(finding.position)
    windows = row.windows + 1
    tell = windows >= patience and not row.told
    return Outside(finding.position, min(windows, patience), row.told or tell), tell


def range_imbalance(finding: RangeFinding) -> tuple[dict[str, float], dict[str, str]] | None:
    """Return measurements and metadata of `vsm.variety.imbalance` for a variety outside its range, or None.

    The ratio is to the end that was passed; the deficit is negative where there is too much.
    """
    if finding.bits is None or finding.position not in {Position.BELOW, Position.ABOVE}:
        return None
    below = finding.position is Position.BELOW
    end = finding.range.low if below else finding.range.high
    told = {"type": f"{finding.position}_range", "subsystem": str(finding.subsystem)}
    return {"ratio": finding.bits / end, "deficit": end - finding.bits}, told


def _position(bits: float, range_: Range) -> tuple[Position, float]:
    if bits < range_.low:
        return Position.BELOW, range_.low - bits
    if bits > range_.high:
        return Position.ABOVE, bits - range_.high
    return Position.WITHIN, 0.0


def _corrected(controller: Variety, environment: Variety, buffer_bits: float) -> dict[str, float | None]:
    r, d = controller.corrected_bits, environment.corrected_bits
    return {
        "controller_variety": r,
        "environment_variety": d,
        "ratio": variety_ratio(r, d),
        "deficit_bits": deficit(r, d, buffer_bits),
    }


def _weaker(first: Confidence, second: Confidence) -> Confidence:
    return Confidence.INSUFFICIENT_DATA if Confidence.INSUFFICIENT_DATA in {first, second} else Confidence.SUFFICIENT


def _rounded(bits: float) -> float:
    return round(bits, DIGITS)


def _check_bits(bits: float, field: str) -> None:
    if not math.isfinite(bits) or bits < 0:
        raise Invalid("Bits are a finite number from 0.", field=field)
