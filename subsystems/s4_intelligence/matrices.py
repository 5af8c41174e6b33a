"""Many series side by side: one row per series, one column per step, NaN where nothing was heard."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Ids = npt.NDArray[np.int64]
MAD_TO_SIGMA = 1.4826  # of a normal distribution
MEAN_DEVIATION_TO_SIGMA = 1.2533


def counts(values: Floats) -> Ids:
    """Return how many values each row has."""
    n: Ids = np.isfinite(values).sum(axis=1)
    return n


def row_quantile(values: Floats, q: float) -> Floats:
    """Return the *q* quantile of each row, linear between neighbours; NaN for an empty one."""
    n = counts(values)
    if not values.size:
        return np.full(len(values), np.nan)
    ordered = np.sort(values, axis=1)  # NaN goes to the end
    place = q * np.maximum(n - 1, 0)
    low = np.floor(place).astype(np.int64)
    high = np.minimum(low + 1, np.maximum(n - 1, 0))
    rows = np.arange(len(values))
    below, above = ordered[rows, low], ordered[rows, high]
    found: Floats = np.where(n > 0, below + (above - below) * (place - low), np.nan)
    return found


def row_mean(values: Floats) -> Floats:
    """Return the mean of each row; NaN for an empty one."""
    n = counts(values)
    total = np.where(np.isfinite(values), values, 0.0).sum(axis=1)
    mean: Floats = np.divide(total, n, out=np.full(len(values), np.nan), where=n > 0)
    return mean


def robust_spread(values: Floats, middle: Floats) -> Floats:
    """Return the spread of each row about *middle*: from the median deviation, else the mean one, as a sigma."""
    away = np.abs(values - middle[:, None])
    mad = row_quantile(away, 0.5) * MAD_TO_SIGMA
    return np.where(mad > 0, mad, row_mean(away) * MEAN_DEVIATION_TO_SIGMA)


def last(values: Floats) -> Floats:
    """Return the newest value of each row."""
    heard = np.isfinite(values)
    place = values.shape[1] - 1 - np.argmax(heard[:, ::-1], axis=1)
    return np.where(heard.any(axis=1), values[np.arange(len(values)), place], np.nan)


def autocorrelation(values: Floats) -> Floats:
    """Return the correlation of each row with itself one step before, less the bias of short rows; between -1 and 1.

    The bias is that of Kendall (1954): an estimate from n values lies about (1 + 4r)/n too low.
    """
    away = values - row_mean(values)[:, None]
    both = np.isfinite(away[:, 1:]) & np.isfinite(away[:, :-1])
    product = np.where(both, away[:, 1:] * away[:, :-1], 0.0).sum(axis=1)
    square = np.where(np.isfinite(away), away**2, 0.0).sum(axis=1)
    n, pairs = counts(values), both.sum(axis=1)
    full = (square > 0) & (pairs > 2)
    raw = np.divide(product * n, square * np.maximum(pairs, 1), out=np.zeros(len(values)), where=full)
    return np.where(full, np.clip(raw + (1 + 4 * raw) / np.maximum(n, 1), -0.99, 0.99), 0.0)


def on_grid(rows: Ids, at: Floats, values: Floats, *, n_rows: int, start: float, step: float, columns: int) -> Floats:
    """Return values (row, time) as a matrix whose column c holds [start + c step, start + (c + 1) step).

    Of several values in one cell the last given counts; what lies outside is left out.
    """
    matrix = np.full((n_rows, columns), np.nan)
    column = np.floor((at - start) / step).astype(np.int64)
    inside = (column >= 0) & (column < columns)
    matrix[rows[inside], column[inside]] = values[inside]
    return matrix
