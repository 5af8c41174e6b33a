"""How unusual series are right now, each against its own past.

Four ways of looking, since each is blind to what another sees:

- *spike*: the newest value against the median of the past in robust deviations (Iglewicz and Hoaglin, 1993);
- *drift*: an exponentially weighted mean that left its band (Roberts, 1959), the band widened for what neighbours have
  in common (Schmid, 1997);
- *shift*: Page's cumulative sum (1954) of what each value adds to the one before it, so that a slow swing is no shift;
- *season*: the newest value against those of the same phase of earlier periods.

The limits are set so that white noise crosses each of them at most once in ten thousand values: a thousand series that
are well must not cry every minute. The past must be long enough for that, else the score is unknown.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from subsystems.s4_intelligence.matrices import (
    Bools,
    Floats,
    autocorrelation,
    counts,
    robust_spread,
    row_quantile,
)

BEYOND = 1000.0  # a value that leaves a past which never moved
MIN_PAST = 30
MIN_LONG_PAST = 59  # for the two that add up small differences, and would add up a wrong median too
NOMINAL = 1e-4  # false alarms of one detector for each value of white noise
WEIGHT = 0.2  # of the newest value in the moving mean
SLACK = 1.0  # deviations that a cumulative sum forgives
# Deviations at the limit: the first, and the second over the number of values, since a short past is badly known.
LIMITS = {"spike": (3.9, 54.0), "drift": (3.9, 80.0), "shift": (3.2, 480.0), "season": (5.0, 54.0)}
MIN_PERIODS = 4  # of one phase, for a seasonal score
WINSOR = 4.0  # deviations at which one value stops adding to a cumulative sum: one wild value is no shift


@dataclass(frozen=True, slots=True)
class Score:
    """One detector's view: deviations with their sign, and the limit that an anomaly crosses; NaN is unknown."""

    name: str
    values: Floats
    limit: Floats

    @property
    def found(self) -> Bools:
        """Return where it sees an anomaly."""
        with np.errstate(invalid="ignore"):
            return np.abs(self.values) > self.limit


def robust_z(newest: Floats, past: Floats) -> Floats:
    """Return how many robust deviations *newest* is from the median of *past*, with its sign; NaN without a past."""
    middle = row_quantile(past, 0.5)
    spread = robust_spread(past, middle)
    away = newest - middle
    flat = np.where(away == 0, 0.0, np.sign(away) * BEYOND)
    score = np.divide(away, spread, out=flat, where=spread > 0)
    return np.where(np.isfinite(away), np.clip(score, -BEYOND, BEYOND), np.nan)


def detect(values: Floats, *, period: int = 0) -> list[Score]:
    """Return what each detector says of the newest column of *values*; a *period* of 0 means no seasons."""
    found = {"spike": spike(values), "drift": drift(values), "shift": shift(values)}
    if period:
        found["season"] = season(values, period)
    n = np.maximum(counts(values), 1)
    return [Score(name, told, LIMITS[name][0] + LIMITS[name][1] / n) for name, told in found.items()]


def spike(values: Floats) -> Floats:
    """Return the robust z of the newest column against all before it."""
    past = values[:, :-1]
    return np.where(counts(past) >= MIN_PAST, robust_z(values[:, -1], past), np.nan)


def drift(values: Floats) -> Floats:
    """Return where the weighted mean of the newest values lies, in its own deviations."""
    z, correlation = _standard(values)
    mean = np.zeros(len(z))
    for column in z.T:
        mean = np.where(np.isfinite(column), WEIGHT * np.clip(column, -WINSOR, WINSOR) + (1 - WEIGHT) * mean, mean)
    share = np.clip(correlation, 0.0, 0.99) * (1 - WEIGHT)
    deviation = np.sqrt(WEIGHT / (2 - WEIGHT) * (1 + share) / (1 - share))
    return _known(values, mean / deviation)


def shift(values: Floats) -> Floats:
    """Return the larger of the two cumulative sums at the newest column, negative for a fall."""
    up, down = sums(values)
    return _known(values, np.where(up[:, -1] >= down[:, -1], up[:, -1], -down[:, -1]))


def sums(values: Floats) -> tuple[Floats, Floats]:
    """Return the cumulative sums upwards and downwards at each column, in deviations of what is new in a value."""
    z, correlation = _standard(values)
    r = np.clip(correlation, 0.0, 0.95)
    before = np.concatenate([np.full((len(z), 1), np.nan), z[:, :-1]], axis=1)
    new = z - r[:, None] * np.where(np.isfinite(before), before, 0.0)
    new /= np.sqrt(1 - r**2)[:, None]
    step = np.clip(np.where(np.isfinite(new), new, 0.0), -WINSOR, WINSOR)
    up, down = np.zeros(z.shape), np.zeros(z.shape)
    high = low = np.zeros(len(z))
    for column in range(z.shape[1]):
        high = np.maximum(0.0, high + step[:, column] - SLACK)
        low = np.maximum(0.0, low - step[:, column] - SLACK)
        up[:, column], down[:, column] = high, low
    return up, down


def season(values: Floats, period: int) -> Floats:
    """Return the robust z of the newest column's distance from its phase, against such distances before."""
    length = values.shape[1] // period * period
    if length < MIN_PERIODS * period:
        return np.full(len(values), np.nan)
    folded = values[:, -length:].reshape(len(values), -1, period)
    past = folded.copy()
    past[:, -1, -1] = np.nan  # a value is no witness for itself
    with_phase = np.stack([row_quantile(past[:, :, phase], 0.5) for phase in range(period)], axis=1)
    away = (folded - with_phase[:, None, :]).reshape(len(values), length)
    known = np.isfinite(past[:, :, -1]).sum(axis=1) >= MIN_PERIODS - 1
    return np.where(known, spike(away), np.nan)


def _standard(values: Floats) -> tuple[Floats, Floats]:
    """Return the values as robust deviations from the median, and the autocorrelation they have.

    Level, spread and correlation come from the older three quarters: a shift is not to hide itself.
    """
    older = values[:, : max(MIN_PAST, values.shape[1] * 3 // 4)]
    middle = row_quantile(older, 0.5)
    spread = robust_spread(older, middle)
    away = values - middle[:, None]
    flat = np.sign(away) * np.where(spread > 0, 1.0, BEYOND)[:, None]
    z = np.divide(away, spread[:, None], out=flat, where=(spread > 0)[:, None])
    limited = np.clip(z[:, : older.shape[1]], -WINSOR, WINSOR)
    return z, autocorrelation(limited)


def _known(values: Floats, score: Floats) -> Floats:
    heard = np.isfinite(values[:, -1]) & (counts(values) > MIN_LONG_PAST)
    return np.where(heard, np.clip(score, -BEYOND, BEYOND), np.nan)
