"""Variety at many scales of time, from a second to a month, in bounded memory, with its trend and its drift.

Requisite variety must hold at each scale: a controller that matches the minute may miss the week (requirements 3.2;
Siegenfeld and Bar-Yam, arXiv 2206.04896). Each scale has a window of its own that slides in BUCKETS steps; windows that
are full and closed make its history, from which come the trend (Mann 1945, Kendall 1975) and the reference that recent
states are compared with (Kullback-Leibler, requirements 3.6). Times are epoch seconds and are passed in.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from subsystems.kernel.errors import Invalid
from subsystems.telemetry.entropy import Confidence, Variety, divergence, homogeneity, variety_of_counts
from subsystems.telemetry.states import Codebook, Codes

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
SCALES: dict[str, float] = {
    "1s": 1.0, "10s": 10.0, "1m": 60.0, "5m": 300.0, "1h": 3_600.0, "1d": 86_400.0, "1w": 604_800.0, "1mo": 2_592_000.0,
}  # fmt: skip
BUCKETS = 12  # a window slides by a twelfth of itself
HISTORY = 48  # closed windows whose variety is remembered
LEAST_TREND = 8  # fewer windows have no trend
FADING = 0.9  # what a closed window weighs in the reference after each further one
FUTURE_SECONDS = 60.0
UNLIKELY = 0.01
STEADY_Z = 1.96


class Direction(StrEnum):
    """Where variety is going."""

    RISING = "rising"
    FALLING = "falling"
    STEADY = "steady"
    INSUFFICIENT_DATA = "insufficient_data"


@dataclass(frozen=True, slots=True)
class Trend:
    """The course of variety over the closed windows of one scale; the slope is Theil and Sen's, in bits a window."""

    direction: Direction
    bits_per_window: float | None
    windows: int


@dataclass(frozen=True, slots=True)
class Drift:
    """How recent states differ from earlier ones; None where one side has none."""

    divergence_bits: float | None  # D(recent || reference)
    chance: float | None  # probability that chance alone makes such a difference
    drifted: bool | None  # None with too few observations to tell
    reference_size: float


@dataclass(frozen=True, slots=True)
class ScaleVariety:
    """Variety in the window of one scale that ends now."""

    scale: str
    seconds: float
    variety: Variety
    covered: float  # share of the window during which anybody watched
    trend: Trend
    drift: Drift

    def to_wire(self) -> dict[str, Any]:
        """Return plain JSON."""
        trend, drift = self.trend, self.drift
        return {
            "scale": self.scale, "seconds": self.seconds, "covered": self.covered, "variety": self.variety.to_wire(),
            "trend": {
                "direction": str(trend.direction), "bits_per_window": trend.bits_per_window, "windows": trend.windows,
            },
            "drift": {
                "divergence_bits": drift.divergence_bits, "chance": drift.chance, "drifted": drift.drifted,
                "reference_size": drift.reference_size,
            },
        }  # fmt: skip


class SlidingCounts:
    """How often each code occurred in the last *seconds*, in buckets of a twelfth; and the windows that closed."""

    def __init__(self, seconds: float, *, states: int = 16) -> None:
        self.seconds, self.width = seconds, seconds / BUCKETS
        self.late = 0  # observations older than the window
        self._ids = np.full(BUCKETS, -1, np.int64)
        self._counts = np.zeros((BUCKETS, states), np.int64)
        self._open_id = -1
        self._open = np.zeros(states, np.int64)
        self._waiting = np.zeros(states, np.int64)  # the last closed window: recent still, so no reference yet
        self._reference = np.zeros(states, np.float64)
        self.history: deque[tuple[float, float, int]] = deque(maxlen=HISTORY)  # end, bits, observations

    def add(self, codes: Codes, at: Floats, counts: Codes) -> None:
        """Count *codes* observed at *at*, each so many times, in any order."""
        if not codes.size:
            return
        self._widen(int(codes.max()) + 1)
        self._slide(codes, np.floor(at / self.width).astype(np.int64), counts)
        self._close_and_open(codes, np.floor(at / self.seconds).astype(np.int64), counts)

    def close(self, now: float) -> None:
        """Close the open window if it ended before *now*, although nothing new was observed."""
        current = int(now // self.seconds)
        if 0 <= self._open_id < current:
            self._close()
            self._open_id = current  # so that what comes late for the closed one does not close it twice

    def counts(self, now: float) -> Counts:
        """Return the counts of the window that ends at *now*."""
        newest = int(now // self.width)
        recent = (self._ids > newest - BUCKETS) & (self._ids <= newest)
        total: Counts = self._counts[recent].sum(axis=0)
        return total

    def reference(self) -> Floats:
        """Return the faded counts of closed windows, those that the sliding window may overlap left out."""
        return self._reference

    def _slide(self, codes: Codes, ids: Codes, counts: Codes) -> None:
        newest = max(int(ids.max()), int(self._ids.max()))
        fits = ids > newest - BUCKETS
        if not fits.all():
            self.late += int(counts[~fits].sum())
            codes, ids, counts = codes[fits], ids[fits], counts[fits]
        for id_, table in _grouped(codes, ids, counts, self._counts.shape[1]):
            row = id_ % BUCKETS
            if self._ids[row] != id_:
                self._ids[row], self._counts[row] = id_, 0
            self._counts[row] += table

    def _close_and_open(self, codes: Codes, ids: Codes, counts: Codes) -> None:
        recent = ids > int(ids.max()) - HISTORY
        for id_, table in _grouped(codes[recent], ids[recent], counts[recent], self._open.size):
            if id_ > self._open_id:
                self._close()
                self._open_id = id_
            if id_ == self._open_id:
                self._open += table

    def _close(self) -> None:
        size = int(self._open.sum())
        if size == 0:
            return
        bits = variety_of_counts(self._open).corrected_bits or 0.0  # else a busier window would seem more varied
        self.history.append(((self._open_id + 1) * self.seconds, bits, size))
        self._reference = FADING * self._reference + self._waiting
        self._waiting, self._open = self._open, np.zeros_like(self._open)

    def _widen(self, states: int) -> None:
        more = states - self._open.size
        if more > 0:
            more = max(more, self._open.size)
            self._counts = np.pad(self._counts, ((0, 0), (0, more)))
            self._open, self._waiting = np.pad(self._open, (0, more)), np.pad(self._waiting, (0, more))
            self._reference = np.pad(self._reference, (0, more))

    def to_wire(self) -> dict[str, Any]:
        """Return plain JSON, zeros left out."""
        rows = [[int(id_), _sparse(row)] for id_, row in zip(self._ids, self._counts, strict=True) if id_ >= 0]
        return {
            "buckets": rows, "open_id": self._open_id, "open": _sparse(self._open), "late": self.late,
            "waiting": _sparse(self._waiting), "reference": _sparse(self._reference),
            "history": [list(each) for each in self.history],
        }  # fmt: skip

    @classmethod
    def from_wire(cls, seconds: float, wire: dict[str, Any], *, states: int) -> SlidingCounts:
        """Return what `to_wire` wrote; *states* is how many codes there are."""
        made = cls(seconds, states=max(states, 16))
        for id_, row in wire["buckets"]:
            made._ids[id_ % BUCKETS] = id_
            _fill(made._counts[id_ % BUCKETS], row)
        made._open_id, made.late = int(wire["open_id"]), int(wire["late"])
        for name, target in (("open", made._open), ("waiting", made._waiting), ("reference", made._reference)):
            _fill(target, wire[name])
        made.history.extend((float(end), float(bits), int(size)) for end, bits, size in wire["history"])
        return made


class TemporalVariety:
    """The variety of one thing at all scales. Not for several threads at once without a lock."""

    def __init__(self, *, limit: int = 256, scales: Iterable[str] = tuple(SCALES)) -> None:
        self.codebook = Codebook(limit)
        self.refused = 0  # observations from a future that no clock explains
        self.since: float | None = None
        self._windows = {name: SlidingCounts(_seconds(name)) for name in scales}

    def observe(
        self,
        names: Sequence[str],
        at: Sequence[float] | Floats,
        *,
        now: float,
        counts: Sequence[int] | Codes | None = None,
    ) -> int:
        """Count states by name, each observed at its time (*counts* times), in any order; return how many were taken.

        One that claims to be more than a minute ahead of *now* would empty every window, and is refused and counted.
        Beyond the limit of names all are `(other)`. Raises Invalid naming the field.
        """
        times = np.asarray(at, np.float64).reshape(-1)
        if len(names) != times.size:
            raise Invalid(f"Each state has a time; got {len(names)} and {times.size}.", field="at")
        if not np.isfinite(times).all() or (times < 0).any():
            raise Invalid("Times are finite epoch seconds.", field="at")
        known = times <= now + FUTURE_SECONDS
        many = np.ones(times.size, np.int64) if counts is None else np.asarray(counts, np.int64)
        if many.size != times.size or (many < 1).any():
            raise Invalid("Each state has a count from 1.", field="counts")
        self.refused += int(many[~known].sum())
        if not known.any():
            return 0
        if not known.all():
            names = [name for name, kept in zip(names, known.tolist(), strict=True) if kept]
        codes, times, many = self.codebook.encode(names), times[known], many[known]
        first = float(times.min())
        self.since = first if self.since is None else min(self.since, first)
        for window in self._windows.values():
            window.add(codes, times, many)
        return int(many.sum())

    def counts(self, scale: str, *, now: float) -> dict[str, int]:
        """Return how often each state occurred in the window of *scale* that ends at *now*."""
        found = self._windows[scale].counts(now)
        names = self.codebook.names
        return {names[code]: int(found[code]) for code in np.flatnonzero(found).tolist()}

    def reading(self, *, now: float, absorbed: str = "") -> list[ScaleVariety]:
        """Return the variety of each scale in the window that ends at *now*.

        A state that is *absorbed* adds no variety: it is counted as the commonest of the others.
        """
        code = self.codebook.names.index(absorbed) if absorbed in self.codebook.names else None
        return [self._read(name, window, now, code) for name, window in self._windows.items()]

    def to_wire(self) -> dict[str, Any]:
        """Return plain JSON, from which a restart goes on: a month is longer than any process lives."""
        return {
            "limit": self.codebook.limit, "names": self.codebook.names[1:], "overflow": self.codebook.overflow,
            "since": self.since, "refused": self.refused,
            "scales": {name: window.to_wire() for name, window in self._windows.items()},
        }  # fmt: skip

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> TemporalVariety:
        """Return what `to_wire` wrote. Raises Invalid."""
        try:
            made = cls(limit=wire["limit"], scales=wire["scales"])
            made.codebook = Codebook(wire["limit"], wire["names"])
            made.codebook.overflow, made.refused = int(wire["overflow"]), int(wire["refused"])
            made.since = None if wire["since"] is None else float(wire["since"])
            for name, each in wire["scales"].items():
                made._windows[name] = SlidingCounts.from_wire(_seconds(name), each, states=len(made.codebook))
        except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError) as error:
            raise Invalid(f"These are no windows of variety: {error!r:.80}.", field="windows") from None
        return made

    def _read(self, name: str, window: SlidingCounts, now: float, absorbed: int | None) -> ScaleVariety:
        window.close(now)
        counts = window.counts(now)
        if absorbed is not None and counts[absorbed] < counts.sum():
            failed, counts[absorbed] = int(counts[absorbed]), 0
            counts[counts.argmax()] += failed
        watched = 0.0 if self.since is None else min(max(now - self.since, 0.0), window.seconds)
        return ScaleVariety(
            scale=name,
            seconds=window.seconds,
            variety=variety_of_counts(counts),
            covered=watched / window.seconds,
            trend=trend_of([bits for _, bits, _ in window.history]),
            drift=drift_of(counts, window.reference()),
        )


def trend_of(bits: Sequence[float]) -> Trend:
    """Return where a series of varieties is going, by Mann and Kendall's test and Theil and Sen's slope."""
    n = len(bits)
    if n < LEAST_TREND:
        return Trend(Direction.INSUFFICIENT_DATA, None, n)
    values = np.asarray(bits, np.float64)
    first, second = np.triu_indices(n, 1)
    rises = np.round(values[second] - values[first], 9)
    slope = float(np.median(rises / (second - first)))
    score = float(np.sign(rises).sum())
    ties = np.unique(np.round(values, 9), return_counts=True)[1]
    spread = (n * (n - 1) * (2 * n + 5) - float((ties * (ties - 1) * (2 * ties + 5)).sum())) / 18
    z = 0.0 if score == 0 or spread <= 0 else (score - math.copysign(1, score)) / math.sqrt(spread)
    if abs(z) < STEADY_Z:
        return Trend(Direction.STEADY, slope, n)
    return Trend(Direction.RISING if z > 0 else Direction.FALLING, slope, n)


def drift_of(recent: Counts, reference: Floats) -> Drift:
    """Return how *recent* counts differ from *reference* ones, and whether more than chance makes them."""
    size = float(reference.sum())
    bits = divergence(recent, reference)  # type: ignore[arg-type]
    chance = homogeneity(recent, reference)  # type: ignore[arg-type]
    enough = all(variety_of_counts(side).confidence is Confidence.SUFFICIENT for side in (recent, _whole(reference)))
    return Drift(bits, chance, chance < UNLIKELY if enough and chance is not None else None, size)


def _grouped(codes: Codes, ids: Codes, counts: Codes, states: int) -> list[tuple[int, Counts]]:
    """Return the counts of the codes of each id, in ascending order of id."""
    if not codes.size:
        return []
    weights = None if (counts == 1).all() else counts  # whole numbers below 2^53 stay whole as weights
    if ids[0] == ids[-1] and (ids == ids[0]).all():  # the common case: one batch, one bucket
        return [(int(ids[0]), np.bincount(codes, weights, minlength=states).astype(np.int64, copy=False))]
    found, place = np.unique(ids, return_inverse=True)
    table = np.bincount(place.reshape(-1) * states + codes, weights, minlength=found.size * states)
    return list(zip(found.tolist(), table.astype(np.int64, copy=False).reshape(-1, states), strict=True))


def _whole(weights: Floats) -> Counts:
    return np.ceil(weights).astype(np.int64)


def _seconds(scale: str) -> float:
    if scale not in SCALES:
        raise Invalid(f"A scale is one of {', '.join(SCALES)}.", field="scale")
    return SCALES[scale]


def _sparse(row: npt.NDArray[Any]) -> list[list[float]]:
    used = np.flatnonzero(row)
    return [[int(code), row[code].item()] for code in used]


def _fill(target: npt.NDArray[Any], pairs: Sequence[Sequence[float]]) -> None:
    for code, n in pairs:
        target[int(code)] = n
