"""The balance of S3 and S4, and what of their difference is left to S5 (Beer's second and third axiom; 3.5)."""

from __future__ import annotations

from dataclasses import dataclass

from subsystems.telemetry.requisite import s3_s4_balance


@dataclass(frozen=True, slots=True)
class Balance:
    """What is None was not measured. Varieties, difference and residual are bits."""

    score: float | None
    leads: str  # balanced, s3_leads, s4_leads, unknown
    difference: float | None
    residual: float | None
    reason: str


def balance(s3: float | None, s4: float | None, s5: float | None) -> Balance:
    """Return min/max of the varieties of S3 and S4, who leads, and what S5 does not absorb of their difference."""
    score, leads = s3_s4_balance(s3, s4)
    if s3 is None or s4 is None:
        missing = " and ".join(name for name, bits in (("S3", s3), ("S4", s4)) if bits is None)
        return Balance(None, leads, None, None, f"The variety of {missing} was not measured.")
    difference = abs(s3 - s4)
    residual = None if s5 is None else max(0.0, difference - s5)
    return Balance(score, leads, difference, residual, _words(leads, difference, s5, residual))


def _words(leads: str, difference: float, s5: float | None, residual: float | None) -> str:
    if leads == "balanced":
        return "S3 and S4 are in balance; nothing is left to S5."
    ahead, behind = ("S3", "S4") if leads == "s3_leads" else ("S4", "S3")
    said = f"{ahead} leads {behind} by {difference:.2f} bits"
    if residual is None:
        return f"{said}; the variety of S5, which has to absorb that, was not measured."
    if residual == 0:
        return f"{said}, which S5 absorbs with its {s5:.2f} bits."
    return f"{said}; S5 absorbs {s5:.2f} of them, {residual:.2f} are left."
