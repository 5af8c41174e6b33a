"""Where many series will be, with intervals, and how well that was foretold before (requirements 3.6, 3.7).

Naive (as it is now), the same phase of the last period, smoothing with and without a damped trend, and smoothing with a
season are all made to foretell the past from some dozens of stops. The settings and the weights of the ensemble are
learnt at the earlier stops alone; its skill and its intervals come from the later ones. What does not beat naive there
is not used: naive is shown, and said to be. The intervals are the quantiles of what was wrong before, not a formula's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from subsystems.s4_intelligence.matrices import Bools, Floats, Ids, counts
from subsystems.s4_intelligence.smoothing import Settings, settings, smooth

MIN_SAMPLES = 20
MIN_COMPARED = 8  # forecasts of the past without which no skill is known
STOPS, LATE_STOPS = 16, 8  # over the whole past, and more in its last quarter for the sake of young series
KNOTS = 8  # horizons that are compared; the others lie between
CHUNK = 256  # series at once: bounds the memory
SHARES = (0.80, 0.95)  # of the future that the two intervals are to hold
NAIVE, ENSEMBLE, UNKNOWN = "naive", "ensemble", ""
WEIGHT_POWER = 2.0  # of one over the error

LEVELS = settings([(a, 0.0, 1.0, 0.0) for a in (0.05, 0.1, 0.2, 0.4, 0.7)])
SLOPES = settings([(a, b, phi, 0.0) for a in (0.2, 0.5, 0.9) for b in (0.05, 0.2) for phi in (0.9, 0.98)])
SEASONS = settings(
    [(a, b, 0.95, g) for a, b in ((0.02, 0.0), (0.1, 0.0), (0.3, 0.0), (0.1, 0.1), (0.5, 0.05)) for g in (0.1, 0.3)]
)


@dataclass(frozen=True, slots=True)
class Forecasts:
    """One row per series; columns are steps ahead. Without enough past all of a row is NaN and its model is empty.

    *skill* is 1 - error / naive error over the later stops, *compared* the number of forecasts that it rests on; it is
    NaN where naive was never wrong. It is that of the ensemble even where naive is used instead.
    """

    mean: Floats
    low80: Floats
    high80: Floats
    low95: Floats
    high95: Floats
    used: npt.NDArray[np.str_]
    best: npt.NDArray[np.str_]  # the member with the largest weight
    skill: Floats
    error: Floats  # mean absolute, of what is used
    naive_error: Floats
    compared: Ids

    def __len__(self) -> int:
        return len(self.mean)


@dataclass(frozen=True, slots=True)
class Member:
    """One way of foretelling: its forecasts at the stops (series, stops, knots) and at the end (series, horizon)."""

    name: str
    at_stops: Floats
    at_end: Floats


@dataclass(frozen=True, slots=True)
class Plan:
    """What is asked of the past: where it is cut off, and how far ahead each cut is to be foretold."""

    length: int
    horizon: int
    periods: tuple[int, ...] = ()
    stops: Ids = field(init=False)
    knots: Ids = field(init=False)

    def __post_init__(self) -> None:
        first = min(max(MIN_SAMPLES // 2, self.length // 3), max(self.length - 2, 0))
        end = max(self.length - 2, 0)
        spread = [np.linspace(first, end, STOPS), np.linspace(max(first, end - self.length // 4), end, LATE_STOPS)]
        stops = np.unique(np.concatenate(spread).astype(np.int64))
        knots = np.unique(np.round(np.geomspace(1, self.horizon, min(KNOTS, self.horizon))).astype(np.int64))
        object.__setattr__(self, "stops", stops)
        object.__setattr__(self, "knots", knots)


def forecast(
    values: Floats,
    *,
    horizon: int,
    periods: Sequence[int] = (),
    floor: Floats | None = None,
    ceiling: Floats | None = None,
) -> Forecasts:
    """Return what each row of *values* will be 1 to *horizon* steps on.

    *periods* are lengths of seasons, in steps, that may be there; each counts where two of it lie in the past. *floor*
    and *ceiling* are what a row cannot leave (NaN: nothing is known of that).
    """
    plan = Plan(values.shape[1], horizon, tuple(each for each in periods if 2 * each <= values.shape[1]))
    unknown = np.full(len(values), np.nan)
    bounds = np.stack([unknown if each is None else each for each in (floor, ceiling)])
    parts = [
        _forecast(values[low : low + CHUNK], plan, bounds[:, low : low + CHUNK])
        for low in range(0, max(len(values), 1), CHUNK)
    ]
    if len(parts) == 1:
        return parts[0]
    return Forecasts(
        *(np.concatenate([getattr(part, name) for part in parts]) for name in Forecasts.__dataclass_fields__)
    )


def _forecast(values: Floats, plan: Plan, bounds: Floats) -> Forecasts:
    # Large numbers that move little lose their digits in squares and sums: everything is about the row's first value.
    origin, scale = _units(values)
    scaled = (values - origin[:, None]) / scale[:, None]
    truth = _truth(scaled, plan)
    early, late = _halves(scaled, plan)
    members = list(_members(scaled, plan, early))
    learnt, _ = _weights(members, truth, early)
    trial = _mixed(members, learnt)
    naive = members[0].at_stops
    error, compared = _error(trial, truth, late)
    naive_error, _ = _error(naive, truth, late)
    skill = np.divide(naive_error - error, naive_error, out=np.full(len(values), np.nan), where=naive_error > 0)
    # Naive is beaten only by what stands on enough forecasts; and what is not known to be better is not used.
    better = (compared >= MIN_COMPARED) & (np.nan_to_num(skill, nan=-1.0) > 0)
    final, best = _weights(members, truth, early | late)
    mean = np.where(better[:, None], _mixed_end(members, final), members[0].at_end)
    ensemble = np.where(late[:, :, None], trial, _mixed(members, final))
    wrong = np.where(better[:, None, None], ensemble, naive) - truth
    half = [_half_widths(wrong, plan, share) for share in SHARES]
    known = (counts(values) >= MIN_SAMPLES) & np.isfinite(mean).all(axis=1)
    names = np.array([member.name for member in members])
    lines = [mean, mean - half[0], mean + half[0], mean - half[1], mean + half[1]]
    told = [_told(each, known, origin, scale, bounds) for each in lines]
    return Forecasts(
        mean=told[0],
        low80=told[1],
        high80=told[2],
        low95=told[3],
        high95=told[4],
        used=np.where(known, np.where(better, ENSEMBLE, NAIVE), UNKNOWN),
        best=np.where(known, np.where(better, names[best], NAIVE), UNKNOWN),
        skill=np.where(known & (compared >= MIN_COMPARED), skill, np.nan),
        error=np.where(known, np.where(better, error, naive_error) * scale, np.nan),
        naive_error=np.where(known, naive_error * scale, np.nan),
        compared=compared,
    )


def _told(line: Floats, known: Bools, origin: Floats, scale: Floats, bounds: Floats) -> Floats:
    whole = np.where(known[:, None], line * scale[:, None] + origin[:, None], np.nan)
    low, high = bounds[0][:, None], bounds[1][:, None]
    whole = np.where(np.isfinite(low), np.maximum(whole, low), whole)
    return np.where(np.isfinite(high), np.minimum(whole, high), whole)


def _units(values: Floats) -> tuple[Floats, Floats]:
    """Return where each row begins and how far it reaches; what never moved reaches one."""
    heard = np.isfinite(values)
    place = np.argmax(heard, axis=1)
    origin = np.nan_to_num(values[np.arange(len(values)), place]) if values.size else np.zeros(len(values))
    reach = np.where(heard, np.abs(values - origin[:, None]), 0.0).max(axis=1, initial=0.0)
    return origin, np.where(reach > 0, reach, 1.0)


def _truth(values: Floats, plan: Plan) -> Floats:
    """Return what came at each stop and horizon; NaN beyond the end."""
    place = plan.stops[:, None] + plan.knots[None, :]
    came = values[:, np.minimum(place, plan.length - 1)]
    return np.where(place < plan.length, came, np.nan)


def _halves(values: Floats, plan: Plan) -> tuple[Bools, Bools]:
    """Return the earlier and the later half of the stops of each row (series, stops), after its first value."""
    begun = np.maximum.accumulate(np.isfinite(values), axis=1)[:, plan.stops]
    place = np.cumsum(begun, axis=1)
    early = begun & (place <= begun.sum(axis=1, keepdims=True) // 2)
    return early, begun & ~early


def _members(values: Floats, plan: Plan, early: Bools) -> list[Member]:
    carried = _carried(values)
    stay = np.repeat(carried[:, plan.stops, None], len(plan.knots), axis=2)
    found = [Member(NAIVE, stay, np.repeat(carried[:, -1:], plan.horizon, axis=1))]
    found.append(_smoothed("level", values, plan, early, LEVELS, 0))
    found.append(_smoothed("trend", values, plan, early, SLOPES, 0))
    for period in plan.periods:
        found.append(_last_period(values, plan, period))
        found.append(_smoothed(f"season of {period}", values, plan, early, SEASONS, period))
    return found


def _carried(values: Floats) -> Floats:
    """Return each row with gaps filled by the value before."""
    place = np.where(np.isfinite(values), np.arange(values.shape[1]), -1)
    place = np.maximum.accumulate(place, axis=1)
    filled = np.take_along_axis(values, np.maximum(place, 0), axis=1)
    return np.where(place >= 0, filled, np.nan)


def _last_period(values: Floats, plan: Plan, period: int) -> Member:
    """Return the same phase of the last period that was heard; before there was one, nothing."""
    n, length = values.shape
    rows = -(-length // period)
    folded = np.full((n, rows * period), np.nan)
    folded[:, :length] = values
    filled = _carried(np.swapaxes(folded.reshape(n, rows, period), 1, 2).reshape(n * period, rows))
    flat = np.swapaxes(filled.reshape(n, period, rows), 1, 2).reshape(n, rows * period)

    def ahead(column: int, steps: Ids) -> Floats:
        back = column + steps - period * -(-steps // period)
        return np.where(back >= 0, flat[:, np.maximum(back, 0)], np.nan)

    at_stops = np.stack([ahead(int(stop), plan.knots) for stop in plan.stops], axis=1)
    return Member(f"last period of {period}", at_stops, ahead(length - 1, np.arange(1, plan.horizon + 1)))


def _smoothed(name: str, values: Floats, plan: Plan, early: Bools, tried: Settings, period: int) -> Member:
    """Return for each row the settings that were least wrong at the earlier stops."""
    told = smooth(values, tried, period=period, stops=plan.stops, knots=plan.knots, horizon=plan.horizon)
    begun = np.argmax(np.isfinite(values), axis=1)
    enough = plan.stops[None, :] >= begun[:, None] + 2 * period  # a season is not known before it has been seen twice
    at_stops = np.where(enough[None, :, :, None], told.at_stops, np.nan)
    wrong = np.abs(at_stops - _truth(values, plan))
    first = early | ~(early & enough).any(axis=1, keepdims=True)  # where it was never known early, all stops count
    heard = np.isfinite(wrong) & first[None, :, :, None]
    total = np.where(heard, wrong, 0.0).sum(axis=(2, 3))
    mean = np.divide(total, heard.sum(axis=(2, 3)), out=np.full(total.shape, np.inf), where=heard.any(axis=(2, 3)))
    chosen, rows = mean.argmin(axis=0), np.arange(len(values))
    at_end = np.where((values.shape[1] >= begun + 2 * period)[:, None], told.at_end[chosen, rows], np.nan)
    return Member(name, at_stops[chosen, rows], at_end)


def _error(told: Floats, truth: Floats, where: Bools) -> tuple[Floats, Ids]:
    """Return the mean absolute error of each row at some of its stops, and of how many forecasts."""
    wrong = np.abs(told - truth)
    heard = np.isfinite(wrong) & where[:, :, None]
    n = heard.sum(axis=(1, 2))
    total = np.where(heard, wrong, 0.0).sum(axis=(1, 2))
    return np.divide(total, n, out=np.full(len(told), np.nan), where=n > 0), n


def _weights(members: Sequence[Member], truth: Floats, where: Bools) -> tuple[Floats, Ids]:
    """Return the weight of each member (members, series), and which weighs most."""
    errors = np.stack([_error(member.at_stops, truth, where)[0] for member in members])
    known = np.isfinite(errors)
    least = np.where(known, errors, np.inf).min(axis=0)
    tiny = np.where(np.isfinite(least) & (least > 0), least, 1.0) * 1e-9
    weights = np.where(known, np.maximum(errors, tiny), np.inf) ** -WEIGHT_POWER
    total = weights.sum(axis=0)
    weights = np.divide(weights, total, out=np.zeros(weights.shape), where=total > 0)
    weights[0, total <= 0] = 1.0
    return weights, weights.argmax(axis=0)


def _mixed(members: Sequence[Member], weights: Floats) -> Floats:
    """Return the ensemble at the stops; a member that is not there yet leaves its weight to the others."""
    top = np.zeros(members[0].at_stops.shape)
    total = np.zeros(top.shape)
    for member, weight in zip(members, weights, strict=True):
        heard = np.isfinite(member.at_stops)
        part = np.broadcast_to(weight[:, None, None], top.shape)
        top += np.where(heard, part * np.where(heard, member.at_stops, 0.0), 0.0)
        total += np.where(heard, part, 0.0)
    return _shared(top, total)


def _mixed_end(members: Sequence[Member], weights: Floats) -> Floats:
    top = np.zeros(members[0].at_end.shape)
    total = np.zeros(top.shape)
    for member, weight in zip(members, weights, strict=True):
        heard = np.isfinite(member.at_end)
        top += np.where(heard, weight[:, None] * np.where(heard, member.at_end, 0.0), 0.0)
        total += np.where(heard, weight[:, None], 0.0)
    return _shared(top, total)


def _shared(top: Floats, total: Floats) -> Floats:
    mean: Floats = np.divide(top, total, out=np.full(top.shape, np.nan), where=total > 0)
    return mean


def _half_widths(wrong: Floats, plan: Plan, share: float) -> Floats:
    """Return half the width of the interval (series, horizon) that held *share* of what came.

    How wrong forecasts are grows with the horizon; about that growth the errors of all horizons are one sample, whose
    quantile is taken as conformal prediction does: one more error is reckoned with than was seen.
    """
    size = np.abs(wrong)
    heard = np.isfinite(size)
    n = heard.sum(axis=1)
    mean = np.where(heard, size, 0.0).sum(axis=1) / np.maximum(n, 1)
    growth = np.maximum.accumulate(np.where(n > 0, mean, 0.0), axis=1)  # (series, knots)
    ratio = np.divide(size, growth[:, None, :], out=np.full(size.shape, np.nan), where=growth[:, None, :] > 0)
    flat = np.sort(ratio.reshape(len(ratio), size.shape[1] * size.shape[2]), axis=1)
    seen = np.isfinite(flat).sum(axis=1)
    cuts = np.maximum(n.max(axis=1), 1)  # stops, not forecasts: those of one stop are wrong together
    place = np.ceil(np.minimum(share * (1 + 1 / cuts), 1.0) * seen).astype(np.int64) - 1
    quantile = flat[np.arange(len(flat)), np.clip(place, 0, np.maximum(seen - 1, 0))]
    quantile = np.where(seen > 0, quantile, 0.0)
    steps = np.arange(1, plan.horizon + 1)
    widths = [np.interp(steps, plan.knots, row) for row in growth]
    whole: Floats = quantile[:, None] * np.reshape(widths, (len(growth), plan.horizon))
    return whole
