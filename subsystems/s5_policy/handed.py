"""What S5 hands down: how S2 damps acts, and what variety is judged by. Fields here, and as those below take them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from subsystems.kernel.errors import Invalid
from subsystems.kernel.texts import gettext_noop as _
from subsystems.kernel.words import Subsystem
from subsystems.s2_coordination.dampers import DampingTerms
from subsystems.s5_policy.term import Fields, Term
from subsystems.telemetry.requisite import RANGES, Bands
from subsystems.variety.rules import MOST_BITS, Rules, check

WEEK = 7 * 86_400.0
LARGEST_RATIO = 1000.0
_USUAL, _BANDS = DampingTerms(), Bands()


def _wait(name: str, label: str, help_: str = "", least: float = 0.0) -> Term:
    return Term(name, label, "number", getattr(_USUAL, name), least, WEEK, help=help_)


DAMPING = (
    Term("enabled", _("Damp"), "flag", True, help=_("Off: only two writers at once are still kept apart")),
    _wait("relief_seconds", _("Adding waits (s)"), _("After something was taken away; doubled by each reversal")),
    _wait("longest_relief_seconds", _("Adding waits at most (s)")),
    _wait("retreat_seconds", _("Taking away waits (s)"), _("From when it was needed last; doubled by each reversal")),
    _wait("longest_retreat_seconds", _("Taking away waits at most (s)")),
    _wait("factor", _("Factor"), _("By how much each reversal lengthens the wait"), 1.0),
    _wait("calm_seconds", _("Calm (s)"), _("After so long without unrest one reversal is forgotten"), 1.0),
    _wait("lease_seconds", _("Lease (s)"), _("So long a subject belongs to who was cleared"), 1.0),
    _wait(
        "most_extra", _("Dearest"), _("Where more than so many times what is needed stands idle, only the first holds")
    ),
)


def _ratio(name: str, label: str, help_: str = "") -> Term:
    return Term(name, label, "number", getattr(_BANDS, name), 0.0, LARGEST_RATIO, help=help_)


def _bits(name: str, label: str, default: float, help_: str = "") -> Term:
    return Term(name, label, "number", default, 0.0, MOST_BITS, help=help_)


_FROM_TO = {
    Subsystem.S1: (_("S1 Operations from (bits)"), _("S1 to (bits)")),
    Subsystem.S2: (_("S2 Coordination from (bits)"), _("S2 to (bits)")),
    Subsystem.S3: (_("S3 Control from (bits)"), _("S3 to (bits)")),
    Subsystem.S4: (_("S4 Intelligence from (bits)"), _("S4 to (bits)")),
    Subsystem.S5: (_("S5 Policy from (bits)"), _("S5 to (bits)")),
}


def _range(each: Subsystem) -> tuple[Term, Term]:
    usual = RANGES[each]
    documented = f"Documented: {usual.low:g} to {usual.high:g}"
    return (
        _bits(f"{each}_low", _FROM_TO[each][0], usual.low, documented),
        _bits(f"{each}_high", _FROM_TO[each][1], usual.high),
    )


VARIETY = (
    _ratio("critical_below", _("Critical below"), _("Ratio of what is answered to what is asked")),
    _ratio("sufficient_from", _("Sufficient from")),
    _ratio("excess_above", _("Excess above")),
    _bits("buffer_bits", _("Buffer (bits)"), 0.0, _("What queues and reserves absorb")),
    _bits("goal_bits", _("Goal (bits)"), 0.0, _("Variety of outcomes that is allowed")),
    *(term for each in Subsystem for term in _range(each)),
)


def check_variety(fields: Mapping[str, Any]) -> None:
    """Raise Invalid, naming the field, for what nothing could be judged by."""
    for each in Subsystem:
        if fields[f"{each}_high"] < fields[f"{each}_low"]:
            raise Invalid("A range does not end before it begins.", field=f"{each}_high")
    bands = Bands(**{name: fields[name] for name in ("critical_below", "sufficient_from", "excess_above")})
    check(Rules(bands, fields["buffer_bits"], fields["goal_bits"]))


def judged_by(fields: Mapping[str, Any]) -> Fields:
    """Return a policy of variety as those below take it: ranges that are as documented go without saying."""
    told = {str(each): [fields[f"{each}_low"], fields[f"{each}_high"]] for each in Subsystem}
    usual = {str(each): [range_.low, range_.high] for each, range_ in RANGES.items()}
    single = {term.name: fields[term.name] for term in VARIETY if not term.name.endswith(("_low", "_high"))}
    return {**single, "ranges": {name: ends for name, ends in told.items() if ends != usual[name]}}
