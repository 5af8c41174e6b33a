"""Whether series go up or down, how fast, and whether that may be chance (requirements 002-36).

The slope is Theil's and Sen's: the median of the slopes between all pairs, so that a third of the values may be wild.
Its significance is Mann's and Kendall's test with ties, its variance enlarged for what neighbours have in common
(Yue and Wang, 2004, with the first autocorrelation of the detrended values): without that a queue that merely breathes
slowly would "rise" every few minutes. Where many series are looked at together, Benjamini's and Hochberg's rule (1995)
bounds the share of false findings among those reported.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from subsystems.s4_intelligence.matrices import Bools, Floats, Ids, autocorrelation, counts, row_quantile

MIN_SAMPLES = 10
FALSE_SHARE = 0.05  # of the findings reported
CHUNK = 128  # series at once: all pairs of sixty values of each are held
INTERVAL_Z = 1.96


@dataclass(frozen=True, slots=True)
class Trends:
    """One entry per series. The slope is per second, with an interval of 95 %; NaN where there are too few values."""

    slope: Floats
    low: Floats
    high: Floats
    p: Floats
    level: Floats  # the median
    n: Ids

    def significant(self, share: float = FALSE_SHARE) -> Bools:
        """Return which are no chance, when at most *share* of those returned may be."""
        return discoveries(self.p, share)


def trends(values: Floats, step_seconds: float) -> Trends:
    """Return the trend of each row of *values*, one column every *step_seconds*."""
    parts = [_trends(values[low : low + CHUNK], step_seconds) for low in range(0, len(values), CHUNK)]
    if not parts:
        none = np.empty(0)
        return Trends(none, none, none, none, none, np.empty(0, np.int64))
    return Trends(*(np.concatenate([getattr(part, name) for part in parts]) for name in Trends.__dataclass_fields__))


def discoveries(p: Floats, share: float = FALSE_SHARE) -> Bools:
    """Return which of many tests found something, with at most *share* false ones among them expected."""
    known = np.isfinite(p)
    ordered = np.sort(p[known])
    ranks = np.arange(1, len(ordered) + 1)
    passed = ordered <= share * ranks / max(len(ordered), 1)
    limit = ordered[passed][-1] if passed.any() else -1.0
    return known & (p <= limit)


def _trends(values: Floats, step_seconds: float) -> Trends:
    n = counts(values)
    first, second = np.triu_indices(values.shape[1], 1)
    rises = values[:, second] - values[:, first]
    slopes = rises / (second - first)
    slope = row_quantile(slopes, 0.5)
    kendall = np.where(np.isfinite(rises), np.sign(rises), 0.0).sum(axis=1)
    steps = np.arange(values.shape[1])
    variance = _variance(values, n) * _correction(autocorrelation(values - slope[:, None] * steps), n)
    z = np.divide(
        kendall - np.sign(kendall), np.sqrt(variance), out=np.zeros(len(values)), where=variance > 0
    )  # a step towards zero: Kendall's sum moves in steps of two
    enough = n >= MIN_SAMPLES
    low, high = _interval(slopes, variance)
    p = np.array([math.erfc(abs(each) / math.sqrt(2)) for each in z.tolist()])
    slope, low, high = (np.where(enough, each / step_seconds, np.nan) for each in (slope, low, high))
    return Trends(slope, low, high, np.where(enough, p, np.nan), row_quantile(values, 0.5), n)


def _interval(slopes: Floats, variance: Floats) -> tuple[Floats, Floats]:
    """Return the ends of the slope's interval: ranks about the median (Sen, 1968)."""
    pairs = np.maximum(counts(slopes), 1)
    wide = INTERVAL_Z * np.sqrt(variance)
    return _at_rank(slopes, (pairs - wide) / 2), _at_rank(slopes, (pairs + wide) / 2)


def _at_rank(slopes: Floats, rank: Floats) -> Floats:
    n = counts(slopes)
    place = np.clip(np.round(rank), 0, np.maximum(n - 1, 0)).astype(np.int64)
    return np.where(n > 0, np.sort(slopes, axis=1)[np.arange(len(slopes)), place], np.nan)


def _variance(values: Floats, n: Ids) -> Floats:
    """Return the variance of Kendall's sum when nothing but chance is at work, less what equal values take away."""
    ordered = np.sort(values, axis=1)
    run = np.ones(len(values))
    ties = np.zeros(len(values))
    for column in range(1, values.shape[1] + 1):
        same = ordered[:, column] == ordered[:, column - 1] if column < values.shape[1] else np.zeros(len(run), bool)
        ties += np.where(same, 0.0, run * (run - 1) * (2 * run + 5))
        run = np.where(same, run + 1, 1.0)
    variance: Floats = (n * (n - 1) * (2 * n + 5) - ties) / 18
    return np.maximum(variance, 0.0)


def _correction(correlation: Floats, n: Ids) -> Floats:
    """Return by how much fewer the values count than they are: n / n*; never fewer than one."""
    r, size = np.clip(correlation, 0.0, 0.99), np.maximum(n, 1).astype(np.float64)
    # The sum of (1 - k/n) r^k over k from 1 to n - 1, in closed form.
    total = r / (1 - r) - r * (1 - r**size) / (size * (1 - r) ** 2)
    return np.maximum(1 + 2 * total, 1.0)
