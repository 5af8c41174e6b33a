"""Anomalies in real series where five people each marked what changed (Turing Change Point Dataset, carried by river).

Every series is read as it would have come: at each value the detectors see the 120 before it and nothing after. An
alarm counts as found when somebody's mark lies at most fifteen values back, as false otherwise; precision is against
all marks, recall the mean over the people (van den Burg and Williams, 2020; here the margin lies after the mark alone,
for nobody can hear of a change before it). Beside it stand a plain three-sigma rule and river's Page-Hinkley.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from benchmarks.public_series import annotated, folder
from benchmarks.recorded_load import recorded
from benchmarks.result import Result, report
from subsystems.s4_intelligence.anomalies import NOMINAL, detect

Floats = npt.NDArray[np.float64]
WINDOW, MARGIN, QUIET = 120, 15, 15
NOISE_ROWS = 50_000
STEPS_OF_A_LOOK = 6  # of five seconds: the look of each minute has steps of half a minute


def windows(series: Floats) -> Floats:
    """Return what was known at each value, one row each."""
    padded = np.concatenate([np.full(WINDOW - 1, np.nan), series])
    return np.lib.stride_tricks.sliding_window_view(padded, WINDOW)


def onsets(alarms: npt.NDArray[np.bool_]) -> list[int]:
    """Return where an alarm begins after a time of quiet."""
    found: list[int] = []
    last = -QUIET - 1
    for place in np.flatnonzero(alarms).tolist():
        if place - last > QUIET:
            found.append(place)
        last = place
    return found


def ours(series: Floats) -> list[int]:
    scores = detect(windows(series).copy())
    return onsets(np.logical_or.reduce([score.found for score in scores]))


def three_sigma(series: Floats) -> list[int]:
    past = windows(series)[:, :-1]
    seen = np.isfinite(past).sum(axis=1) >= 30
    alarms = np.zeros(len(series), bool)
    rows = past[seen]
    alarms[seen] = np.abs(series[seen] - np.nanmean(rows, axis=1)) > 3 * np.nanstd(rows, axis=1)
    return onsets(alarms)


def page_hinkley(series: Floats) -> list[int]:
    from river.drift import PageHinkley

    first = series[:30]
    detector = PageHinkley()
    alarms = []
    for value in ((series - np.mean(first)) / (np.std(first) or 1.0)).tolist():  # it must be told of the scale
        detector.update(value)
        alarms.append(detector.drift_detected)
    return onsets(np.array(alarms))


def f1(found: Sequence[int], people: Sequence[Sequence[int]]) -> tuple[float, float, float]:
    """Return F1, precision and recall."""
    marks = sorted({mark for each in people for mark in each})
    right = [any(0 <= at - mark <= MARGIN for mark in marks) for at in found]
    precision = sum(right) / len(found) if found else 1.0
    recalls = [
        sum(any(0 <= at - mark <= MARGIN for at in found) for mark in each) / len(each) if each else 1.0
        for each in people
    ]
    recall = float(np.mean(recalls))
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0, precision, recall


def noise() -> Result:
    rng = np.random.default_rng(11)
    values = rng.normal(0, 1, (NOISE_ROWS, WINDOW))
    started = time.process_time()
    scores = detect(values)
    taken = (time.process_time() - started) * 1_000 / NOISE_ROWS
    rates = {score.name: float(score.found.mean()) for score in scores}
    promise = "false alarms of the most talkative detector for each value of white noise: about one in ten thousand"
    return Result("anomaly_false_alarms", promise, max(rates.values()), 2 * NOMINAL, "of values", "less",
                  {"rates": rates, "cpu_seconds_per_thousand_series": taken})  # fmt: skip


def of_peer_on_noise() -> dict[str, float]:
    """Return how often Page-Hinkley cries for each value of noise: white, and one whose neighbours are alike."""
    rng = np.random.default_rng(13)
    white = rng.normal(0, 1, 20_000)
    alike = np.zeros(len(white))
    for place in range(1, len(white)):
        alike[place] = 0.8 * alike[place - 1] + white[place]
    return {name: len(page_hinkley(series)) / len(series) for name, series in (("white", white), ("alike", alike))}


def of_recorded() -> list[Result]:
    """Return how often each way cries over the recorded load of the demo fleet, in which nothing was broken.

    Waves, bursts and slow reports are its daily life: what is found there is no change that anybody made.
    """
    found: dict[str, int] = {"ours": 0, "three_sigma": 0}
    values = 0
    for series in recorded():
        halves = series.values[: len(series.values) // STEPS_OF_A_LOOK * STEPS_OF_A_LOOK].reshape(-1, STEPS_OF_A_LOOK)
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            means = np.nanmean(halves, axis=1)
        values += int(np.isfinite(means).sum())
        for way, look in (("ours", ours), ("three_sigma", three_sigma)):
            found[way] += len(look(means))
    if not values:
        return []
    details = {**found, "values": values}
    promise = "onsets of alarms in the recorded load of a demo fleet in which nothing was broken, beside three-sigma"
    return [Result("recorded_alarms", promise, found["ours"] / values, max(found["three_sigma"], 1) / values,
                   "of values", "less", details)]  # fmt: skip


def run() -> list[Result]:
    results = [noise(), *of_recorded()]
    if folder("river") is None:
        return results
    rows, totals = [], {"ours": [], "three_sigma": [], "page_hinkley": []}
    for name, series, people in annotated():
        ways = {"ours": ours(series), "three_sigma": three_sigma(series), "page_hinkley": page_hinkley(series)}
        told = {way: f1(found, people) for way, found in ways.items()}
        for way, figures in told.items():
            totals[way].append(figures[0])
        rows.append(
            {"series": name, "values": len(series), **{way: [round(x, 2) for x in each] for way, each in told.items()}}
        )
    mean = {way: float(np.mean(each)) for way, each in totals.items()}
    promise = "mean F1 against people's marks in real series, beside a three-sigma rule; Page-Hinkley is in the details"
    details = {**mean, "page_hinkley_false_alarms": of_peer_on_noise(), "series": rows}
    return [*results, Result("change_detection", promise, mean["ours"], mean["three_sigma"], "F1", "more", details)]


if __name__ == "__main__":
    report(run)
