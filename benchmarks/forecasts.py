"""Forecasts of real public series: how much less wrong than naive, and whether the intervals hold what they promise.

Each series is cut at up to sixty places; what lies after a cut is asked of what lies before it, and nothing of the
future is seen. Beside it stand naive, the same phase of the last period, and statsmodels' Holt-Winters (damped trend,
additive season, fitted to each cut by maximum likelihood), whose time is taken in the same run.
"""

from __future__ import annotations

import time
import warnings
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.public_series import Public, all_series
from benchmarks.recorded_load import recorded
from benchmarks.result import Result, report
from subsystems.s4_intelligence.forecasting import ENSEMBLE, Forecasts, forecast

Floats = npt.NDArray[np.float64]
PEER_CUTS = 2  # of each series: fitting takes its time


def mean_error(told: Floats, came: Floats) -> float:
    """Return the mean absolute error over what is known of both."""
    return float(np.nanmean(np.abs(told - came)))


def held(low: Floats, high: Floats, came: Floats) -> float:
    """Return the share of what came that lay in the interval, per cent."""
    known = np.isfinite(came) & np.isfinite(low)
    return 100.0 * float(((came >= low) & (came <= high))[known].mean())


def naive(past: Floats, ahead: int) -> Floats:
    filled = np.array([row[np.isfinite(row)][-1] for row in past])
    return np.repeat(filled[:, None], ahead, axis=1)


def last_period(past: Floats, ahead: int, period: int) -> Floats:
    return past[:, -period:][:, np.arange(ahead) % period]


def judged(series: Public) -> tuple[dict[str, Any], Forecasts]:
    past, came = series.cuts()
    found = forecast(past, horizon=series.ahead, periods=series.periods)
    worst = mean_error(naive(past, series.ahead), came)
    row = {
        "series": series.name,
        "cuts": len(past),
        "naive_error": worst,
        "skill": 1 - mean_error(found.mean, came) / worst,
        "promised_skill": float(np.nanmean(found.skill)),
        "naive_used": float((found.used != ENSEMBLE).mean()),
        "held_80": held(found.low80, found.high80, came),
        "held_95": held(found.low95, found.high95, came),
    }
    if series.periods:
        row["last_period_skill"] = 1 - mean_error(last_period(past, series.ahead, series.periods[0]), came) / worst
    return row, found


def peer(series: Public) -> tuple[float, float, float, int]:
    """Return what statsmodels makes of some cuts: its error over naive's, ours over naive's, its seconds, its fits."""
    from statsmodels.tsa.holtwinters import ExponentialSmoothing

    past, came = series.cuts(PEER_CUTS)
    season = {"seasonal": "add", "seasonal_periods": series.periods[0]} if series.periods else {}
    told, started = [], time.process_time()
    for row in past:
        whole = row[np.isfinite(row)] if not np.isfinite(row).all() else row
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fitted = ExponentialSmoothing(whole, trend="add", damped_trend=True, **season).fit()
        told.append(fitted.forecast(series.ahead))
    taken = time.process_time() - started
    worst = mean_error(naive(past, series.ahead), came)
    ours = forecast(past, horizon=series.ahead, periods=series.periods)
    return mean_error(np.array(told), came) / worst, mean_error(ours.mean, came) / worst, taken, len(past)


def of_a_thousand(series: Public) -> float:
    """Return the CPU seconds that a thousand series like this one take: the best of three."""
    past, _ = series.cuts()
    many = np.resize(past, (1_000, past.shape[1]))
    taken = []
    for _ in range(3):
        started = time.process_time()
        forecast(many, horizon=series.ahead, periods=series.periods)
        taken.append(time.process_time() - started)
    return min(taken)


def of_recorded() -> list[Result]:
    """Judge the forecasts of what the platform recorded of the demo fleet, with naive beside."""
    rows = [judged(series)[0] for series in recorded()]
    if not rows:
        return []
    ratios = np.array([1 - row["skill"] for row in rows])
    eighty, ninety = (float(np.mean([row[name] for row in rows])) for name in ("held_80", "held_95"))
    return [
        Result(
            "recorded_error", "error beside naive's, geometric mean over the recorded load of the demo fleet",
            float(np.exp(np.log(ratios).mean())), 1.0, "of naive's", "less",
            {"series": rows, "worst_ratio": float(ratios.max())},
        ),
        Result(
            "recorded_interval_80", "what lies in the intervals of 80 % of a recorded load, at most five points away",
            abs(eighty - 80), 5.0, "points", "less", {"held": eighty},
        ),
        Result(
            "recorded_interval_95", "what lies in the intervals of 95 % of a recorded load, at most five points away",
            abs(ninety - 95), 5.0, "points", "less", {"held": ninety},
        ),
    ]  # fmt: skip


def run() -> list[Result]:
    return [*of_recorded(), *of_public()]


def of_public() -> list[Result]:
    everything = all_series()
    if not everything:
        return []
    rows = [judged(series)[0] for series in everything]
    ratios = np.array([1 - row["skill"] for row in rows])
    eighty, ninety = ([row[name] for row in rows] for name in ("held_80", "held_95"))
    peers = [peer(series) for series in everything]
    theirs, ours = (float(np.exp(np.mean(np.log([each[place] for each in peers])))) for place in (0, 1))
    hourly = everything[0]
    mine = of_a_thousand(hourly)
    each_fit = peers[0][2] / peers[0][3]
    details = {"series": rows, "worst_ratio": float(ratios.max())}
    return [
        Result(
            "forecast_error", "error beside naive's, geometric mean over public series",
            float(np.exp(np.log(ratios).mean())), 1.0, "of naive's", "less", details,
        ),
        Result(
            "forecast_beside_peer", "error beside naive's on the cuts that statsmodels' Holt-Winters is fitted to",
            ours, theirs, "of naive's", "less",
        ),
        Result(
            "interval_80", "what lies in the intervals of 80 %, away from that at most five points",
            abs(float(np.mean(eighty)) - 80), 5.0, "points", "less", {"held": float(np.mean(eighty))},
        ),
        Result(
            "interval_95", "what lies in the intervals of 95 %, away from that at most five points",
            abs(float(np.mean(ninety)) - 95), 5.0, "points", "less", {"held": float(np.mean(ninety))},
        ),
        Result(
            "forecast_thousand", "four weeks of a thousand hourly series at least 20 times as fast as statsmodels",
            mine, 1_000 * each_fit / 20, "CPU s", "less", {"one_fit_seconds": each_fit, "columns": hourly.past},
        ),
    ]  # fmt: skip


if __name__ == "__main__":
    report(run)
