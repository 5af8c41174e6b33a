"""A quantile sketch: any quantile of any number of values, right to a stated share of the value, and mergeable.

DDSketch (Masson, Rim and Lee, VLDB 2019): a value x is counted in bin ceil(log_g x), g = (1 + a) / (1 - a), so that the
middle of its bin is within a * x of it. Merging adds bins, so sketches of workers, minutes and nodes add up to the
sketch of all (requirements 2-22: quantiles themselves do not). Memory is bounded: beyond MAX_BINS the smallest
magnitudes share one bin and `collapsed` says so; quantiles above them keep their guarantee.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from subsystems.kernel.errors import Invalid
from subsystems.telemetry import varints

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]
ACCURACY = 0.01
MAX_BINS = 2_048  # at 1 % eighteen powers of ten
TINIEST = 1e-300  # below it a logarithm would leave the range of floats; counted as 0
PENDING = 1_024  # single values wait for each other, because a numpy call costs the same for one as for a thousand
VERSION = 1
SUMMARY = struct.Struct("<ddd")  # sum, least, greatest
UNIT = 1e-6  # accuracy is stored as a multiple of this
MOST = 1 << 62


class _Bins:
    """Counts of consecutive keys from *low* up; `collapse` keeps the highest MAX_BINS."""

    __slots__ = ("collapsed", "counts", "low")

    def __init__(self, low: int = 0, counts: Counts | None = None, collapsed: bool = False) -> None:
        self.low = low
        self.counts = np.zeros(0, np.int64) if counts is None else counts
        self.collapsed = collapsed

    def add(self, low: int, counts: Counts) -> None:
        """Add counts of the keys from *low* up."""
        if not counts.size:
            return
        if not self.counts.size:
            self.low, self.counts = self._raised(low, counts.copy(), low + counts.size - MAX_BINS)
            return
        end = max(self.low + self.counts.size, low + counts.size)
        self.low, self.counts = self._raised(self.low, self.counts, end - MAX_BINS)
        low, counts = self._raised(low, counts, end - MAX_BINS)
        self._cover(min(self.low, low), end)
        self.counts[low - self.low : low - self.low + counts.size] += counts

    def _cover(self, low: int, end: int) -> None:
        before, after = self.low - low, end - self.low - self.counts.size
        if before or after:
            self.counts, self.low = np.pad(self.counts, (before, after)), low

    def _raised(self, low: int, counts: Counts, floor: int) -> tuple[int, Counts]:
        """Return the same counts with all keys below *floor* counted as *floor*."""
        extra = floor - low
        if extra <= 0:
            return low, counts
        kept = counts[extra:].copy() if extra < counts.size else np.zeros(1, np.int64)
        kept[0] += counts[:extra].sum()
        self.collapsed = True
        return floor, kept

    def copy(self) -> _Bins:
        return _Bins(self.low, self.counts.copy(), self.collapsed)


class Sketch:
    """Quantiles of values, each within *accuracy* of the exact one. Not for several threads at once without a lock."""

    __slots__ = ("_log_base", "_max", "_min", "_negative", "_pending", "_positive", "_sum", "_zeros", "accuracy")

    def __init__(self, accuracy: float = ACCURACY) -> None:
        if not 1e-4 <= accuracy <= 0.5:
            raise Invalid("An accuracy is a share from 0.0001 to 0.5.", field="accuracy")
        self.accuracy = round(accuracy / UNIT) * UNIT
        self._log_base = log_base(self.accuracy)
        self._positive, self._negative, self._zeros = _Bins(), _Bins(), 0
        self._min, self._max, self._sum = math.inf, -math.inf, 0.0
        self._pending: list[float] = []

    # --- In -----------------------------------------------------------------------------------------------------------
    def add(self, value: float) -> None:
        """Count one value. Raises Invalid if it is not finite."""
        if not math.isfinite(value):
            raise Invalid("Only finite values can be counted.", field="value")
        self._pending.append(value)
        if len(self._pending) >= PENDING:
            self._settle()

    def add_many(self, values: npt.ArrayLike) -> None:
        """Count an array of values. Raises Invalid, and counts none, if one is not finite."""
        numbers = np.asarray(values, np.float64).reshape(-1)
        if not np.isfinite(numbers).all():
            raise Invalid("Only finite values can be counted.", field="values")
        self._take(numbers)

    def merge(self, other: Sketch) -> None:
        """Count all that *other* counted. Raises Invalid if its accuracy differs."""
        if other.accuracy != self.accuracy:
            raise Invalid("Sketches of different accuracy cannot be merged.", field="accuracy")
        self._settle()
        other._settle()
        self._positive.add(other._positive.low, other._positive.counts)
        self._negative.add(other._negative.low, other._negative.counts)
        self._positive.collapsed |= other._positive.collapsed
        self._negative.collapsed |= other._negative.collapsed
        self._zeros += other._zeros
        self._sum += other._sum
        self._min, self._max = min(self._min, other._min), max(self._max, other._max)

    # --- Out ----------------------------------------------------------------------------------------------------------
    @property
    def count(self) -> int:
        """Return how many values were counted."""
        return self._zeros + int(self._positive.counts.sum()) + int(self._negative.counts.sum()) + len(self._pending)

    @property
    def sum(self) -> float:
        """Return the sum of all values."""
        self._settle()
        return self._sum

    @property
    def min(self) -> float | None:
        """Return the least value, exactly; None without one."""
        self._settle()
        return self._min if math.isfinite(self._min) else None

    @property
    def max(self) -> float | None:
        """Return the greatest value, exactly; None without one."""
        self._settle()
        return self._max if math.isfinite(self._max) else None

    @property
    def mean(self) -> float | None:
        """Return the mean of all values; None without one."""
        n = self.count
        return self.sum / n if n else None

    @property
    def collapsed(self) -> bool:
        """Return whether the smallest magnitudes share a bin, and low quantiles of them are no longer guaranteed."""
        return self._positive.collapsed or self._negative.collapsed

    def quantile(self, share: float) -> float | None:
        """Return the value that *share* (0 to 1) of the values do not exceed; None without values."""
        return self.quantiles([share])[0]

    def quantiles(self, shares: Sequence[float]) -> list[float | None]:
        """Return several quantiles at once: that of rank floor(q (n - 1)), counted from 0."""
        if any(not 0 <= share <= 1 for share in shares):
            raise Invalid("A quantile is a share from 0 to 1.", field="quantile")
        self._settle()
        values, counts = self._listed()
        if not counts.size:
            return [None] * len(shares)
        upto = np.cumsum(counts)
        ranks = np.floor(np.asarray(shares, np.float64) * (int(upto[-1]) - 1))
        found = values[np.searchsorted(upto, ranks, side="right")]
        return [float(each) for each in np.clip(found, self._min, self._max)]

    def share_at_most(self, value: float) -> float | None:
        """Return about the share of values that do not exceed *value*: the inverse of `quantile`."""
        found = self.shares_at_most([value])
        return found[0] if found else None

    def shares_at_most(self, values: Sequence[float]) -> list[float]:
        """Return about the shares that do not exceed each of *values*; nothing without any."""
        self._settle()
        known, counts = self._listed()
        if not counts.size:
            return []
        limits = np.array([value * (1 + math.copysign(self.accuracy, value)) for value in values])
        upto = np.concatenate([[0], np.cumsum(counts)])
        return [float(share) for share in upto[np.searchsorted(known, limits, side="right")] / upto[-1]]

    def copy(self) -> Sketch:
        """Return a sketch of the same values."""
        self._settle()
        twin = Sketch(self.accuracy)
        twin._positive, twin._negative, twin._zeros = self._positive.copy(), self._negative.copy(), self._zeros
        twin._sum, twin._min, twin._max = self._sum, self._min, self._max
        return twin

    # --- Bytes --------------------------------------------------------------------------------------------------------
    def to_bytes(self, *, summary: bool = True) -> bytes:
        """Return the sketch as bytes, few for few bins.

        Without *summary* sum, least and greatest value are left out, for whoever stores them in columns of their own;
        a few equal values then take about ten bytes.
        """
        self._settle()
        head = [VERSION, int(summary), round(self.accuracy / UNIT), self._zeros]
        parts = [np.array(head, np.int64), _packed(self._positive), _packed(self._negative)]
        packed = varints.encode(np.concatenate(parts))
        return SUMMARY.pack(self._sum, self._min, self._max) + packed if summary else packed

    @classmethod
    def from_bytes(cls, raw: bytes, *, summary: tuple[float, float, float] | None = None) -> Sketch:
        """Return the sketch of *raw*; *summary* is (sum, min, max) where the bytes were written without it.

        Raises Invalid for bytes that are no sketch.
        """
        carried = summary is None
        if summary is None:
            if len(raw) < SUMMARY.size:
                raise _broken()
            summary, raw = SUMMARY.unpack(raw[: SUMMARY.size]), raw[SUMMARY.size :]
        numbers = varints.decode(raw)
        if numbers.size < 8 or numbers[0] != VERSION or numbers[1] != carried or numbers[2] * UNIT > 0.5:
            raise _broken()
        made = cls(float(numbers[2]) * UNIT)
        made._zeros = int(numbers[3])
        made._positive, rest = _unpacked(numbers[4:])
        made._negative, rest = _unpacked(rest)
        if rest.size:
            raise _broken()
        made._sum, made._min, made._max = summary
        if made.count and not -math.inf < made._min <= made._max < math.inf:
            raise _broken()
        return made

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sketch):
            return NotImplemented
        return self._fields() == other._fields()

    __hash__ = None  # type: ignore[assignment]  # it changes

    def _fields(self) -> tuple[Any, ...]:
        self._settle()
        sides = [_packed(side).tolist() for side in (self._positive, self._negative)]
        return (self.accuracy, self._zeros, self._min, self._max, *sides)

    # --- Inside -------------------------------------------------------------------------------------------------------
    def _settle(self) -> None:
        if self._pending:
            waiting, self._pending = self._pending, []
            self._take(np.array(waiting, np.float64))

    def _take(self, numbers: Floats) -> None:
        if not numbers.size:
            return
        low, high = float(numbers.min()), float(numbers.max())
        self._min, self._max = min(self._min, low), max(self._max, high)
        with np.errstate(over="ignore"):  # a sum that no float holds is infinite
            self._sum += float(numbers.sum())
        if low >= TINIEST:  # the common case: durations
            self._positive.add(*self._binned(numbers))
            return
        positive, negative = numbers[numbers >= TINIEST], numbers[numbers <= -TINIEST]
        self._zeros += numbers.size - positive.size - negative.size
        self._positive.add(*self._binned(positive))
        self._negative.add(*self._binned(-negative))

    def _binned(self, magnitudes: Floats) -> tuple[int, Counts]:
        """Return the least key and the counts from there up."""
        if not magnitudes.size:
            return 0, np.zeros(0, np.int64)
        keys = np.log(magnitudes)
        keys /= self._log_base
        whole = np.ceil(keys, out=keys).astype(np.int64)
        low, high = int(whole.min()), int(whole.max())
        if high - low > MAX_BINS:  # one key more than is kept, so that what is raised is seen to be
            low = high - MAX_BINS
            np.maximum(whole, low, out=whole)
        whole -= low
        return low, np.bincount(whole).astype(np.int64, copy=False)

    def _listed(self) -> tuple[Floats, Counts]:
        """Return the value and count of every bin in use, in ascending order of value."""
        down, down_counts = self._values(self._negative)
        up, up_counts = self._values(self._positive)
        zero = np.zeros(1 if self._zeros else 0)
        values = np.concatenate([-down[::-1], zero, up])
        counts = np.concatenate([down_counts[::-1], np.full(zero.size, self._zeros, np.int64), up_counts])
        return values, counts

    def _values(self, bins: _Bins) -> tuple[Floats, Counts]:
        used = np.flatnonzero(bins.counts)
        with np.errstate(over="ignore"):  # the upper edge of the last bins; `quantiles` clips to the greatest value
            edge = np.exp((used + bins.low) * self._log_base)
        return edge * (1 - self.accuracy), bins.counts[used]


def log_base(accuracy: float) -> float:
    """Return the logarithm of the ratio of two neighbouring bins' edges."""
    return math.log1p(2 * accuracy / (1 - accuracy))


def merged(sketches: Iterable[Sketch], *, accuracy: float = ACCURACY) -> Sketch:
    """Return the sketch of all values of *sketches*; *accuracy* is only that of none at all."""
    total: Sketch | None = None
    for each in sketches:
        if total is None:
            total = each.copy()
        else:
            total.merge(each)
    return Sketch(accuracy) if total is None else total


def _packed(bins: _Bins) -> Counts:
    """Return bins as numbers: how many, whether collapsed, first key, gaps between keys, counts."""
    used = np.flatnonzero(bins.counts)
    head = np.array([used.size, int(bins.collapsed)], np.int64)
    if not used.size:
        return head
    first = varints.zigzag(np.array([used[0] + bins.low], np.int64))
    return np.concatenate([head, first, np.diff(used), bins.counts[used]])


def _unpacked(numbers: Counts) -> tuple[_Bins, Counts]:
    """Return the bins that *numbers* begin with, and the rest."""
    if numbers.size < 2:
        raise _broken()
    n, collapsed, body = int(numbers[0]), bool(numbers[1]), numbers[2:]
    if n == 0:
        return _Bins(collapsed=collapsed), body
    if n > MAX_BINS or body.size < 2 * n:
        raise _broken()
    gaps, counts = body[1:n], body[n : 2 * n]
    if (gaps < 1).any() or (gaps >= MAX_BINS).any() or gaps.sum() >= MAX_BINS or (counts < 1).any():
        raise _broken()
    if float(counts.sum(dtype=np.float64)) > MOST:
        raise _broken()
    places = np.append(0, np.cumsum(gaps))
    table = np.zeros(int(places[-1]) + 1, np.int64)
    table[places] = counts
    low = int(varints.unzigzag(body[:1])[0])
    if abs(low) > 1 << 31:
        raise _broken()
    return _Bins(low, table, collapsed), body[2 * n :]


def _broken() -> Invalid:
    return Invalid("These bytes are no quantile sketch.", field="bytes")
