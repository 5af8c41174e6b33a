"""The auto-scaler on loads of many shapes, simulated: with S2's dampers, without them, and at the largest size.

Two policies are tried on a day of each load: the default one, and a brisk one that judges shorter windows and so
follows a load more closely. Of S2 there is what learns from what was wanted back, not the monitor that sees demand
swing before. Reported are reversals, how long more waited than the objective, and slot-hours; `saw_tooth.py` does it
for real.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.result import Result, report
from subsystems.s2_coordination.dampers import DampingTerms
from subsystems.s3_control.scaling.deciding import Terms
from subsystems.s3_control.scaling.replaying import Trial, replay

STEP, HOURS = 30.0, 24
LOW, HIGH = 1.0, 15.0  # messages a second; a slot does one
OBJECTIVE = 60.0  # messages that may wait: four seconds of the highest load
POLICIES = {
    "default": Terms(),
    "brisk": Terms(
        window_seconds=60, in_window_seconds=300, out_cooldown_seconds=60, in_cooldown_seconds=60, in_at=0.5
    ),
}
RHYTHMIC = ("saw", "square", "sine")

Floats = NDArray[np.float64]


def loads() -> dict[str, Floats]:
    """Return a day of each load, messages a second, one for each step."""
    dice = np.random.default_rng(1)
    found = {f"saw, {minutes} min": _saw(minutes) for minutes in (10, 20, 30, 40, 60, 90, 120, 180)}
    found |= {f"square, {minutes} min": _square(minutes) for minutes in (15, 30, 60)}
    found |= {f"sine, {minutes} min": _sine(minutes) for minutes in (30, 60, 120)}
    found |= {
        "saw, 40 min, from 5 to 10": 5.0 + 5.0 * (_saw(40) - LOW) / (HIGH - LOW),
        "saw, 40 min, noise of 30 %": _saw(40) * _noise(dice, 0.3),
        "saw, 30 to 50 min at random": _uneven(dice),
        "bursts, 30 min apart on average": _bursts(dice, 1800.0, 600.0),
        "bursts, an hour apart": _bursts(dice, 3600.0, 900.0),
        "season of a day": _sine(24 * 60),
        "season and saw of 40 min": (_sine(24 * 60) + _saw(40)) / 2,
        "step up and down": np.where((_at() >= 4 * 3600) & (_at() < 12 * 3600), HIGH - 3, LOW + 1),
        "ramp up and down": HIGH - (HIGH - LOW) * np.abs(_at() / (HOURS * 1800.0) - 1.0),
        "white noise of 40 %": 7.0 * _noise(dice, 0.4),
        "random walk": np.clip(7.0 + np.cumsum(dice.normal(0.0, 0.25, len(_at()))), LOW / 2, HIGH),
    }
    return found


def _at() -> Floats:
    return np.arange(0.0, HOURS * 3600.0, STEP)


def _saw(minutes: float) -> Floats:
    return LOW + (HIGH - LOW) * (_at() % (60.0 * minutes)) / (60.0 * minutes)


def _square(minutes: float) -> Floats:
    return np.where(_at() % (60.0 * minutes) < 30.0 * minutes, LOW, HIGH)


def _sine(minutes: float) -> Floats:
    found: Floats = LOW + (HIGH - LOW) * (0.5 - 0.5 * np.cos(2 * np.pi * _at() / (60.0 * minutes)))
    return found


def _noise(dice: np.random.Generator, spread: float) -> Floats:
    return dice.gamma(1 / spread**2, spread**2, len(_at()))


def _uneven(dice: np.random.Generator) -> Floats:
    teeth = [np.linspace(LOW, HIGH, int(dice.uniform(30, 50) * 60 / STEP)) for _ in range(HOURS * 2)]
    return np.concatenate(teeth)[: len(_at())]


def _bursts(dice: np.random.Generator, apart: float, lasts: float) -> Floats:
    found, place = np.full(len(_at()), LOW), 0
    while place < len(found):
        place += 1 + int(dice.exponential(apart) / STEP)
        length = 1 + int(dice.exponential(lasts) / STEP)
        found[place : place + length] = HIGH
        place += length
    return found


def tried(terms: Terms, load: Floats, damping: DampingTerms | None) -> dict[str, Any]:
    trial = replay(terms, load.tolist(), step_seconds=STEP, rate_each=1.0, size=terms.least, damping=damping)
    return {"reversals": trial.reversals, **_waited(trial), "slot_hours": round(trial.slot_seconds / 3600)}


def _waited(trial: Trial) -> dict[str, float]:
    over = float(np.mean(np.array(trial.backlog) > OBJECTIVE))
    return {"over_objective": round(over, 4), "worst_waiting": round(trial.worst_backlog)}


def compared(terms: Terms, load: Floats) -> dict[str, dict[str, Any]]:
    """Return what a policy does with a load: without S2, with it, and the largest size all the time."""
    fixed = Terms(least=terms.most, most=terms.most)
    return {
        "off": tried(terms, load, None),
        "on": tried(terms, load, DampingTerms()),
        "fixed": tried(fixed, load, None),
    }


def told(policy: str, found: dict[str, dict[str, dict[str, Any]]]) -> str:
    """Return a table in Markdown: off / on / fixed."""
    lines = [
        f"| {policy} policy | reversals: off, on | over the objective: off, on, fixed | slot-hours: off, on, fixed |",
        "|---|---|---|---|",
    ]
    for name, each in found.items():
        off, on, fixed = each["off"], each["on"], each["fixed"]
        spared = f" (−{1 - on['reversals'] / off['reversals']:.0%})" if off["reversals"] else ""
        over = ", ".join(f"{way['over_objective']:.1%}" for way in (off, on, fixed))
        price = f" (+{on['slot_hours'] / off['slot_hours'] - 1:.0%})"
        lines.append(
            f"| {name} | {off['reversals']}, {on['reversals']}{spared} | {over} |"
            f" {off['slot_hours']}, {on['slot_hours']}{price}, {fixed['slot_hours']} |"
        )
    return "\n".join(lines)


def run() -> Sequence[Result]:
    found = {
        policy: {name: compared(terms, load) for name, load in loads().items()} for policy, terms in POLICIES.items()
    }
    for policy, by_load in found.items():
        print(f"\n{told(policy, by_load)}", file=sys.stderr)
    all_ = [(name, each) for by_load in found.values() for name, each in by_load.items()]
    swings = [each for name, each in all_ if name.startswith(RHYTHMIC) and each["off"]["reversals"] >= 10]
    enough = [each["on"]["reversals"] <= 0.2 * each["off"]["reversals"] for each in swings]
    later = [each["on"]["over_objective"] - each["off"]["over_objective"] for _, each in all_]
    price = [each["on"]["slot_hours"] / each["off"]["slot_hours"] - 1 for _, each in all_]
    return [
        Result("scaling_loads_reversals", "rhythmic loads on which S2 spares four of five reversals", sum(enough),
               0.8 * len(swings), "loads", "more", details=found),
        Result("scaling_loads_backlog", "nowhere more waits for longer than without S2", max(later), 0.0005, "share"),
        Result("scaling_loads_price", "and no load costs twice as much", max(price), 1.0, "of the slot-seconds"),
    ]  # fmt: skip


if __name__ == "__main__":
    report(run)
