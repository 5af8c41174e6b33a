"""Whether a controlled value swings (requirements 001-2, 3.5): columns in, a named verdict out.

A value oscillates when it crosses its mean again and again and either does so in a rhythm (its autocorrelation has a
peak at a lag above zero) or with growing peaks. To be adjusted often is not to oscillate: that is told apart, as rapid.
Nothing is said of what was sampled too seldom, for too short a time or with holes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
LEAST_POINTS = 24
LEAST_CROSSINGS = 6  # three whole swings
LEAST_KNOWN = 0.8  # of the points of a grid
RHYTHM = 0.5  # correlation with itself one period earlier
SIGNIFICANT = 3.5  # standard errors of the correlation of noise with itself
GROWTH = 1.1  # a peak over the one before it, on the whole
GROWING_SHARE = 0.8  # of the peaks are higher than the one before
REGULAR = 0.5  # spread of the lengths of swings over their mean
BAND = 0.25  # of the standard deviation: crossings within it are noise
STILL = 2.5  # times as long as usual on one side of the mean: it swings no more
LEAST_SHARE = 0.05  # of the mean: what stays closer to it is steady, however rhythmic
NEARLY = 0.9  # of the highest peak: then the earlier one is the period
TINY = 1e-12
RAPID_COUNT, RAPID_SECONDS = 10, 300.0  # more than ten adjustments within five minutes (004-25)


class Movement(StrEnum):
    """How a value moves."""

    OSCILLATING = "oscillating"
    RAPID = "rapid"  # adjusted often, and yet no oscillation
    STEADY = "steady"
    INSUFFICIENT = "insufficient_data"


@dataclass(frozen=True)
class Swing:
    """What was found in one series. Times are seconds; *growth* is the ratio of successive peaks, on the whole."""

    movement: Movement
    reason: str
    points: int = 0
    step_seconds: float = 0.0
    mean: float | None = None
    amplitude: float | None = None  # half of what lies between peak and trough, on the whole
    crossings: int = 0
    period_seconds: float | None = None
    rhythm: float | None = None  # autocorrelation at that period
    growth: float | None = None
    adjustments: int = 0  # the most within five minutes

    @property
    def growing(self) -> bool:
        return self.growth is not None and self.growth >= GROWTH

    def to_wire(self) -> dict[str, Any]:
        """Return plain JSON."""
        return {
            "movement": str(self.movement),
            "reason": self.reason,
            "points": self.points,
            "step_seconds": self.step_seconds,
            "mean": _rounded(self.mean),
            "amplitude": _rounded(self.amplitude),
            "crossings": self.crossings,
            "period_seconds": _rounded(self.period_seconds),
            "rhythm": _rounded(self.rhythm),
            "growth": _rounded(self.growth),
            "growing": self.growing,
            "adjustments_in_five_minutes": self.adjustments,
        }


def swing_of(
    at: Sequence[float] | Floats, values: Sequence[float] | Floats, *, step_seconds: float, least_amplitude: float = 0.0
) -> Swing:
    """Judge a value that was measured every *step_seconds*; *at* are epoch seconds, oldest first.

    What swings by less than *least_amplitude* to either side is steady.
    """
    times, told = np.asarray(at, dtype=float), np.asarray(values, dtype=float)
    known = np.isfinite(told)
    times, told = times[known], told[known]
    adjustments = most_within(times[1:][np.diff(told) != 0], RAPID_SECONDS) if len(told) > 1 else 0
    poor = _too_poor(times, step_seconds)
    if poor:
        return Swing(Movement.INSUFFICIENT, poor, len(told), step_seconds, adjustments=adjustments)
    if adjustments <= RAPID_COUNT and float(np.ptp(told)) < least_amplitude:  # most are: nothing more is reckoned
        return Swing(Movement.STEADY, f"It stays within {least_amplitude:g}.", len(told), step_seconds)
    return _judged(*_gridded(times, told, step_seconds), step_seconds, least_amplitude, adjustments)


def most_within(at: Sequence[float] | Floats, seconds: float) -> int:
    """Return the most of the moments *at*, ascending, that lie within any span of *seconds*."""
    moments = np.asarray(at, dtype=float)
    if not len(moments):
        return 0
    first = np.searchsorted(moments, moments - seconds, side="right")
    return int(np.max(np.arange(1, len(moments) + 1) - first))


def held_values(at: Sequence[float], values: Sequence[float], *, start: float, end: float, step: float) -> Floats:
    """Return the value at each step of a range, of something that keeps it from each change *at* to the next.

    Before the first change it is not known.
    """
    grid = np.arange(math.ceil(start / step), math.floor(end / step) + 1) * step
    changes, told = np.asarray(at, dtype=float), np.asarray(values, dtype=float)
    if not len(changes):
        return np.full(len(grid), np.nan)
    index = np.searchsorted(changes, grid, side="right") - 1
    return np.where(index >= 0, told[np.maximum(index, 0)], np.nan)


# --- Judging ----------------------------------------------------------------------------------------------------------
def _too_poor(times: Floats, step: float) -> str:
    if len(times) < LEAST_POINTS:
        return f"{len(times)} points are known, {LEAST_POINTS} are needed."
    expected = (times[-1] - times[0]) / step + 1
    if len(times) < LEAST_KNOWN * expected:
        return f"{len(times)} of {expected:.0f} points are known."
    return ""


def _gridded(times: Floats, told: Floats, step: float) -> tuple[Floats, float]:
    """Return the values on an even grid, holes bridged by lines, and their mean."""
    grid = np.arange(times[0], times[-1] + step / 2, step)
    return np.interp(grid, times, told), float(np.mean(told))


def _judged(values: Floats, mean: float, step: float, least: float, adjustments: int) -> Swing:
    rest = _without_trend(values)
    lengths, peaks = _runs(rest)
    lag, rhythm = _rhythm(rest)
    growth = _growth(lengths, peaks)
    over = len(lengths) > LEAST_CROSSINGS and lengths[-1] > STILL * float(np.median(lengths))
    found = Swing(
        Movement.RAPID if adjustments > RAPID_COUNT else Movement.STEADY,
        f"Adjusted {adjustments} times within five minutes, without a rhythm." if adjustments > RAPID_COUNT else "",
        points=len(values),
        step_seconds=step,
        mean=mean,
        amplitude=float(np.median(peaks)) if len(peaks) else 0.0,
        crossings=max(len(peaks) - 1, 0),
        period_seconds=lag * step if lag else None,
        rhythm=rhythm,
        growth=growth,
        adjustments=adjustments,
    )
    if over:
        still = float(lengths[-1]) * step
        return replace(found, period_seconds=None, reason=found.reason or f"It has not turned for {still:.0f} s.")
    return _named(found, lag, len(values), max(least, LEAST_SHARE * abs(mean)))


def _named(found: Swing, lag: int, points: int, least: float) -> Swing:
    """Say what the measures of *found* mean."""
    if found.crossings < LEAST_CROSSINGS or (found.amplitude or 0.0) < least:
        small = f"It stays within {least:g} of its mean." if found.crossings >= LEAST_CROSSINGS else ""
        return replace(found, period_seconds=None, reason=found.reason or small or "It does not cross its mean often.")
    rhythmic = found.rhythm is not None and found.rhythm >= max(RHYTHM, SIGNIFICANT / math.sqrt(points - lag))
    if rhythmic and lag < 3:
        reason = f"It changes as fast as it is measured, every {found.step_seconds:g} s: measure it more often."
        return replace(found, movement=Movement.INSUFFICIENT, period_seconds=None, reason=reason)
    if rhythmic or found.growing:
        return replace(found, movement=Movement.OSCILLATING, reason=_swing_text(found, rhythmic))
    return replace(found, period_seconds=None, reason=found.reason or "It moves without a rhythm.")


def _swing_text(found: Swing, rhythmic: bool) -> str:
    often = f"It crosses its mean {found.crossings} times"
    period = f", about every {found.period_seconds:.0f} s up and down" if rhythmic and found.period_seconds else ""
    growing = f", each peak {found.growth:.2f} times the one before" if found.growing and found.growth else ""
    return f"{often}{period}, {found.amplitude:.3g} to either side of {found.mean:.3g}{growing}."


# --- Measures ---------------------------------------------------------------------------------------------------------
def _without_trend(values: Floats) -> Floats:
    x = np.arange(len(values), dtype=float)
    x -= x.mean()
    centred = values - values.mean()
    rest: Floats = centred - x * (float(x @ centred) / float(x @ x))
    return rest


def _runs(rest: Floats) -> tuple[Floats, Floats]:
    """Return length and peak of each stretch on one side of the mean; what is near the mean changes no side."""
    band = BAND * float(np.std(rest))
    sides = np.sign(rest) * (np.abs(rest) > band)
    told = np.flatnonzero(sides)
    if not len(told) or band < TINY:
        return np.empty(0), np.empty(0)
    starts = told[np.flatnonzero(np.diff(sides[told], prepend=0.0))]
    lengths: Floats = np.diff(np.append(starts, len(rest))).astype(float)
    peaks: Floats = np.maximum.reduceat(np.abs(rest), starts)
    return lengths, peaks


def _rhythm(rest: Floats) -> tuple[int, float | None]:
    """Return the lag of the highest peak of the autocorrelation, beyond where it first is negative, and the peak."""
    n = len(rest)
    most = n // 3  # three whole swings
    lags = np.arange(1, most + 2)
    products = np.correlate(rest, rest, "full")[n : n + most + 1]
    correlation = _scaled(products, rest, lags)
    below = np.flatnonzero(correlation < 0)
    if not len(below):
        return 0, None
    inner = correlation[1:-1]
    is_peak = (inner > correlation[:-2]) & (inner >= correlation[2:])
    peaks = np.flatnonzero(is_peak) + 1
    peaks = peaks[(peaks > below[0]) & (correlation[peaks] > 0)]
    if not len(peaks):
        return 0, None
    highest = float(np.max(correlation[peaks]))
    first = int(peaks[np.flatnonzero(correlation[peaks] >= NEARLY * highest)[0]])  # not a multiple of the period
    return int(lags[first]), float(correlation[first])


def _scaled(products: Floats, rest: Floats, lags: NDArray[np.int_]) -> Floats:
    """Return Pearson's correlation at each lag: a swing that grows has the rhythm of one that does not."""
    n = len(rest)
    sums = np.concatenate(([0.0], np.cumsum(rest)))
    squares = np.concatenate(([0.0], np.cumsum(rest**2)))
    count = (n - lags).astype(float)
    early, late = sums[n - lags], sums[n] - sums[lags]
    spread = (squares[n - lags] - early**2 / count) * (squares[n] - squares[lags] - late**2 / count)
    scale = np.sqrt(np.maximum(spread, 0.0))
    top = products - early * late / count
    scaled: Floats = np.divide(top, scale, out=np.zeros_like(top), where=scale > TINY)
    return scaled


def _growth(lengths: Floats, peaks: Floats) -> float | None:
    """Return by how much each peak exceeds the one before, where they come evenly and most of them do."""
    whole, inner = lengths[1:-1], peaks[1:-1]  # the first and the last may be cut
    if len(inner) < LEAST_CROSSINGS or float(np.std(whole)) > REGULAR * float(np.mean(whole)):
        return None
    ratios = np.sqrt(inner[2:] / inner[:-2])  # of the same side: the mean may lie nearer to one of them
    overall = float(np.exp(np.mean(np.log(ratios))))
    grows = float(np.mean(ratios > 1.0)) >= GROWING_SHARE
    return overall if grows or overall <= 1.0 else 1.0


def _rounded(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else round(value, 4)
