"""What a kind of condition is: how it makes one number of a series, which is then compared with thresholds."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from alerts.conditions.ragged import Floats, Rows
from subsystems.kernel.errors import Invalid

MAX_WINDOW_SECONDS = 3600  # what the hot tier holds
Params = Mapping[str, Any]


class Feed(StrEnum):
    """Where the numbers come from."""

    SAMPLES = "samples"  # the series of a metric
    PAIRS = "pairs"  # two counters of the same source and labels
    EXPRESSION = "expression"  # the series of a metric, with the others of their source
    UNITS = "units"
    VIABILITY = "viability"
    SIGNALS = "signals"
    EVENTS = "events"


@dataclass(frozen=True, slots=True)
class Asked:
    """What a rule asks of a measurement. Rules that ask the same share its answer."""

    kind: str
    metric: str
    window_seconds: float = 0.0
    aggregation: str = "last"
    params: tuple[tuple[str, Any], ...] = ()

    def param(self, name: str) -> Any:
        """Return one of the kind's own settings."""
        return dict(self.params)[name]


Measure = Callable[[Rows, Asked, float], Floats]
Window = Callable[[Asked], float]


def own_window(asked: Asked) -> float:
    """Return the window that the rule names."""
    return asked.window_seconds


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of condition."""

    name: str
    title: str
    says: str  # what the number is, in a sentence
    feed: Feed = Feed.SAMPLES
    measure: Measure | None = None
    window: Window = own_window  # seconds of samples that it needs
    defaults: Params = field(default_factory=dict)  # its own settings
    check: Callable[[dict[str, Any]], None] = lambda params: None
    needs_window: bool = False
    default_window: int = 0
    default_threshold: float | None = None
    hears_silence: bool = False  # a series that is silent still has a number

    def settle(self, given: object) -> dict[str, Any]:
        """Return the settings with defaults for what is not given. Raises Invalid (field `params`)."""
        if not isinstance(given, Mapping):
            raise Invalid("The settings of a condition are a mapping.", field="params")
        for name in given:
            if name not in self.defaults:
                known = ", ".join(self.defaults) or "none"
                raise Invalid(f"{self.title} has no setting {name!r}; it has {known}.", field="params")
        settled = {**self.defaults, **given}
        self.check(settled)
        return settled


def number(params: Params, name: str, low: float, high: float) -> float:
    """Return a setting that is a number within bounds. Raises Invalid."""
    value = params[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise Invalid(f"{name} is a number.", field="params")
    if not low <= value <= high:
        raise Invalid(f"{name} is between {low:g} and {high:g}.", field="params")
    return float(value)


def choice(params: Params, name: str, choices: tuple[str, ...]) -> str:
    """Return a setting that is one of *choices*. Raises Invalid."""
    value = params[name]
    if value not in choices:
        raise Invalid(f"{name} is one of {', '.join(choices)}.", field="params")
    return str(value)


def text(params: Params, name: str, longest: int = 200, *, required: bool = False) -> str:
    """Return a setting that is a text. Raises Invalid."""
    value = params[name]
    if not isinstance(value, str) or len(value) > longest or "\0" in value or (required and not value):
        raise Invalid(f"{name} is a text of {'1' if required else '0'} to {longest} characters.", field="params")
    return value


def texts(params: Params, name: str, most: int = 20) -> list[str]:
    """Return a setting that is a list of texts. Raises Invalid."""
    value = params[name]
    if (
        not isinstance(value, list)
        or len(value) > most
        or not all(isinstance(v, str) and 0 < len(v) < 200 for v in value)
    ):
        raise Invalid(f"{name} is a list of at most {most} texts.", field="params")
    return value


def flag(params: Params, name: str) -> bool:
    """Return a setting that is true or false. Raises Invalid."""
    value = params[name]
    if not isinstance(value, bool):
        raise Invalid(f"{name} is true or false.", field="params")
    return value
