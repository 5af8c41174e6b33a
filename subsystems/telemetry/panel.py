"""The three varieties of a unit side by side: environment, operation, management (Beer's first principle).

The three tend to equate, whether by design or by damage (The Heart of Enterprise, 1979; requirements 3.5). Which of two
neighbours has less says where the gap is, and what is left of it says who has to absorb it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from subsystems.telemetry.attenuation import Suggestion, suggestions
from subsystems.telemetry.entropy import Relation, Variety, variety
from subsystems.telemetry.requisite import Band, Bands, Requisite, judge, with_outcomes, with_pairs
from subsystems.telemetry.states import States


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two balances of a panel: who regulates whom, and what may be done about it."""

    controller: str
    controlled: str
    balance: Requisite
    suggestions: list[Suggestion]

    def to_wire(self) -> dict[str, Any]:
        """Return plain JSON."""
        told = [each.to_wire() for each in self.suggestions]
        names = {"controller": self.controller, "controlled": self.controlled}
        return {**names, "balance": self.balance.to_wire(), "suggestions": told}


@dataclass(frozen=True, slots=True)
class Panel:
    """Three varieties and two balances of one unit; *gap* names the side that lacks most, None where none does."""

    environment: Variety
    operation: Variety
    management: Variety
    operational: Side  # operation regulates environment
    managerial: Side  # management regulates operation
    gap: str | None

    def to_wire(self) -> dict[str, Any]:
        """Return plain JSON."""
        sides = ("environment", "operation", "management", "operational", "managerial")
        return {**{name: getattr(self, name).to_wire() for name in sides}, "gap": self.gap}


def three_way_panel(
    environment: States,
    operation: States,
    management: States,
    *,
    pairs: Relation | None = None,
    outcomes: States | None = None,
    buffer_bits: float = 0.0,
    goal_bits: float = 0.0,
    bands: Bands | None = None,
) -> Panel:
    """Measure a unit by the states of its environment (what is asked of it), its operation (what it does and how that
    ends) and its management (what is decided about it). Raises Invalid naming the field.

    *pairs* say which answer was given to what was asked, *outcomes* how it ended; both belong to the operation.
    """
    outside, doing, steering = variety(environment), variety(operation), variety(management)
    balance = judge(doing, outside, buffer_bits=buffer_bits, goal_bits=goal_bits, bands=bands)
    balance = balance if pairs is None else with_pairs(balance, pairs)
    balance = balance if outcomes is None else with_outcomes(balance, variety(outcomes))
    operational = _side("operation", operation, "environment", environment, balance)
    managerial = _side("management", management, "operation", operation, judge(steering, doing, bands=bands))
    return Panel(outside, doing, steering, operational, managerial, _gap(operational, managerial))


def _side(controller: str, responses: States, controlled: str, disturbances: States, balance: Requisite) -> Side:
    advice = suggestions(balance, controller=responses, environment=disturbances)
    return Side(controller, controlled, balance, advice)


def _gap(*sides: Side) -> str | None:
    judged = [side for side in sides if side.balance.band is not Band.INSUFFICIENT_DATA and side.balance.deficit_bits]
    return max(judged, key=lambda side: side.balance.deficit_bits or 0.0).controller if judged else None
