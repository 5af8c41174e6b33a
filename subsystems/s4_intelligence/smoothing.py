"""Exponential smoothing of many series with many settings at once, and what it would have foretold at each stop.

Level, damped trend and additive season in error-correction form (Holt, 1957; Winters, 1960; Gardner and McKenzie, 1985;
Hyndman et al., 2008). One pass over time serves all: a loop over the columns, in which the series and the settings go
side by side. A stop's forecast knows nothing of what came after it, so the same pass is the back-test.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from subsystems.s4_intelligence.matrices import Floats, Ids


@dataclass(frozen=True, slots=True)
class Settings:
    """What is tried side by side, one entry each: weights of level, trend and season, and how fast a trend dies."""

    level: Floats
    trend: Floats
    damping: Floats
    season: Floats

    def __len__(self) -> int:
        return len(self.level)


def settings(rows: Sequence[tuple[float, float, float, float]]) -> Settings:
    """Return (level, trend, damping, season) of each row as columns."""
    return Settings(*np.array(rows, np.float64).T)


@dataclass(frozen=True, slots=True)
class Told:
    """Forecasts at the stops for some horizons (settings, series, stops, horizons), and at the end for all of them."""

    at_stops: Floats
    at_end: Floats


def smooth(values: Floats, tried: Settings, *, period: int, stops: Ids, knots: Ids, horizon: int) -> Told:
    """Smooth each row; foretell *knots* steps after each of *stops* (columns), and 1 to *horizon* after the end.

    A *period* of 0 means no season. A missing value changes nothing but the time that passes.
    """
    n, length = values.shape
    shape = (len(tried), n)
    alpha, beta, phi, gamma = (each[:, None] for each in (tried.level, tried.trend, tried.damping, tried.season))
    season = np.broadcast_to(_first_season(values, period), (max(period, 1), *shape)).copy()
    level, trend = np.full(shape, np.nan), np.zeros(shape)
    at_stops = np.full((*shape, len(stops), len(knots)), np.nan)
    wanted = {int(stop): place for place, stop in enumerate(stops)}
    for column in range(length):
        phase = column % period if period else 0
        value = values[:, column]
        heard = np.isfinite(value)
        if not heard.all():
            value = np.where(heard, value, 0.0)
        begins = heard & np.isnan(level[0])
        if begins.any():
            level[:, begins] = value[begins] - season[phase][:, begins]
        moved = phi * trend
        expected = level + moved
        wrong = value - expected - season[phase]
        if not heard.all():
            wrong[:, ~heard] = 0.0
        level = expected + alpha * wrong
        trend = moved + alpha * beta * np.nan_to_num(wrong)
        if period:
            season[phase] += (gamma * (1 - alpha)) * np.nan_to_num(wrong)
        if column in wanted:
            at_stops[:, :, wanted[column]] = _ahead(level, trend, tried.damping, season, period, column, knots)
    whole = np.arange(1, horizon + 1)
    return Told(at_stops, _ahead(level, trend, tried.damping, season, period, length - 1, whole))


def _ahead(
    level: Floats, trend: Floats, damping: Floats, season: Floats, period: int, column: int, steps: Ids
) -> Floats:
    """Return the forecasts (settings, series, steps): the trend's part is damping + … + damping^step."""
    power = damping[:, None] ** np.arange(1, int(steps.max()) + 1)[None, :]
    reach = np.cumsum(power, axis=1)[:, steps - 1]
    told: Floats = level[:, :, None] + trend[:, :, None] * reach[:, None, :]
    if period:
        told += np.moveaxis(season[(column + steps) % period], 0, -1)
    return told


def _first_season(values: Floats, period: int) -> Floats:
    """Return the season to begin with (phase, one, series), from the first two periods alone."""
    if not period:
        return np.zeros((1, 1, len(values)))
    first = values[:, : 2 * period]
    first = np.pad(first, ((0, 0), (0, 2 * period - first.shape[1])), constant_values=np.nan)
    folded = first.reshape(len(values), 2, period)
    heard = np.isfinite(folded)
    middle = np.where(heard, folded, 0.0).sum(axis=2) / np.maximum(heard.sum(axis=2), 1)
    away = np.where(heard, folded - middle[:, :, None], 0.0)
    mean: Floats = away.sum(axis=1) / np.maximum(heard.sum(axis=1), 1)
    return mean.T[:, None, :]


def holt(at: Floats, values: Floats, moment: float, *, level_weight: float = 0.5, trend_weight: float = 0.1) -> Floats:
    """Return level and trend of each row carried on to *moment*; *at* are times, and steps may be of unequal length."""
    n = len(values)
    level, seen, trend = np.full(n, np.nan), np.full(n, np.nan), np.zeros(n)
    for column in range(values.shape[1]):  # over time; the series go side by side
        heard = np.isfinite(values[:, column])
        begins = heard & np.isnan(level)
        step = at[:, column] - seen
        on = heard & ~begins & (step > 0)
        before = level
        expected = level + trend * step
        level = np.where(on, level_weight * values[:, column] + (1 - level_weight) * expected, level)
        slope = (level - before) / np.where(on, step, 1)
        trend = np.where(on, trend_weight * slope + (1 - trend_weight) * trend, trend)
        level = np.where(begins, values[:, column], level)
        seen = np.where(heard, at[:, column], seen)
    return level + trend * (moment - seen)


def line(at: Floats, values: Floats, moment: float) -> Floats:
    """Return the least-squares line of each row at *moment*."""
    heard = np.isfinite(values)
    n = np.maximum(heard.sum(axis=1), 1)
    x, y = np.where(heard, at, 0.0), np.where(heard, values, 0.0)
    middle, height = x.sum(axis=1) / n, y.sum(axis=1) / n
    x = np.where(heard, at - middle[:, None], 0.0)
    spread = (x * x).sum(axis=1)
    slope = np.divide((x * y).sum(axis=1), spread, out=np.zeros(len(values)), where=spread > 0)
    return np.where(heard.any(axis=1), height + slope * (moment - middle), np.nan)
