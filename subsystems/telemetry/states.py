"""States as numbers: counting them, giving them short codes, and declaring how a continuous measure becomes states.

Variety is relative to an observer's set of distinctions (Ashby 1956, ch. 7; requirements 3.1). So whoever measures it
says which states there are: names that occur, or bins that are declared beforehand and travel with the result.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from subsystems.kernel.errors import Invalid

Counts = npt.NDArray[np.int64]
Codes = npt.NDArray[np.int64]
States = npt.NDArray[Any] | Sequence[Hashable] | Mapping[Any, int]
DENSE = 65_536  # a table of so many numbers costs less than sorting
MAX_BINS = 10_000
OTHER = "(other)"  # all states beyond those that a codebook holds


@dataclass(frozen=True, slots=True)
class Binning:
    """How a continuous measure becomes states: n edges make n + 1 bins, the outer ones open.

    A value on an edge belongs to the bin above it.
    """

    edges: tuple[float, ...]
    kind: str = "edges"

    def __post_init__(self) -> None:
        edges = np.asarray(self.edges, np.float64)
        if not 1 <= edges.size < MAX_BINS or not np.isfinite(edges).all() or (np.diff(edges) <= 0).any():
            raise Invalid(f"Edges are 1 to {MAX_BINS - 1} finite numbers, each above the last.", field="edges")

    @property
    def states(self) -> int:
        """Return how many states the measure may be in."""
        return len(self.edges) + 1

    def codes(self, values: Any) -> Codes:
        """Return the bin of each of *values*, from 0. Raises Invalid for one that is no finite number."""
        try:
            numbers = np.asarray(values, np.float64).reshape(-1)
        except (TypeError, ValueError):
            raise Invalid("Only numbers can be binned.", field="values") from None
        if not np.isfinite(numbers).all():
            raise Invalid("Only finite values can be binned.", field="values")
        return np.searchsorted(np.asarray(self.edges), numbers, side="right").astype(np.int64)

    def to_wire(self) -> dict[str, Any]:
        """Return plain JSON."""
        return {"kind": self.kind, "edges": list(self.edges), "states": self.states}


def equal_width(low: float, high: float, bins: int) -> Binning:
    """Return *bins* bins of one width from *low* to *high*; what lies outside falls into the outer ones."""
    _check_bins(bins)
    if not low < high:
        raise Invalid("The low end must be below the high one.", field="low")
    return Binning(tuple(np.linspace(low, high, bins + 1)[1:-1].tolist()), "equal_width")


def logarithmic(low: float, high: float, bins: int) -> Binning:
    """Return *bins* bins of one ratio from *low* (above 0) to *high*: for durations and sizes."""
    _check_bins(bins)
    if not 0 < low < high:
        raise Invalid("A logarithmic binning needs 0 < low < high.", field="low")
    return Binning(tuple(np.geomspace(low, high, bins + 1)[1:-1].tolist()), "logarithmic")


def by_quantiles(reference: npt.ArrayLike, bins: int) -> Binning:
    """Return at most *bins* bins that hold equal shares of *reference*; equal quantiles make fewer."""
    _check_bins(bins)
    numbers = np.asarray(reference, np.float64)
    if numbers.size == 0 or not np.isfinite(numbers).all():
        raise Invalid("The reference must be finite values, one at least.", field="reference")
    edges = np.unique(np.quantile(numbers, np.arange(1, bins) / bins))
    return Binning(tuple(edges.tolist()), "quantiles")


def counts_of(states: States) -> Counts:
    """Return how often each state occurs, in no order, none of them 0.

    *states* are observations (an array of integers is fastest), or counts by state. Continuous values are refused:
    they need a binning first.
    """
    if isinstance(states, Mapping):
        return _checked_counts(states.values())
    if isinstance(states, np.ndarray):
        return _array_counts(states.reshape(-1))
    return positive(np.fromiter(Counter(_discrete(states)).values(), np.int64))


def dense_codes(states: States) -> Codes:
    """Return each observation as a number from 0 up to how many states there are, in order of observation."""
    if isinstance(states, Mapping):
        raise Invalid("Counts do not say which observation goes with which; give the observations.", field="states")
    if not isinstance(states, np.ndarray):
        known: dict[Hashable, int] = {}
        return np.fromiter((known.setdefault(each, len(known)) for each in _discrete(states)), np.int64, len(states))
    flat = states.reshape(-1)
    _refuse_continuous(flat)
    if flat.dtype.kind == "O":
        return dense_codes(flat.tolist())
    if flat.dtype.kind in "biu" and flat.size and _span(flat) <= DENSE:
        shifted = _shifted(flat)
        names: Codes = np.cumsum(np.bincount(shifted) > 0) - 1
        return names[shifted]
    return np.unique(flat, return_inverse=True)[1].reshape(-1).astype(np.int64)


class Codebook:
    """Short codes for names of states, so that windows hold numbers; at most *limit* names, then all are `(other)`.

    Code 0 is `(other)`. `overflow` counts what was folded into it, so that a variety measured with it can say so.
    """

    def __init__(self, limit: int = 256, names: Iterable[str] = ()) -> None:
        if limit < 1:
            raise Invalid("A codebook holds one name at least.", field="limit")
        self.limit = limit
        self.overflow = 0
        self._codes: dict[str, int] = {}
        self.encode(list(names))

    def encode(self, names: Sequence[str]) -> Codes:
        """Return the code of each of *names*; new names get new codes while there is room."""
        known = self._codes
        for name in dict.fromkeys(names):
            if name not in known and name != OTHER and len(known) < self.limit:
                known[name] = len(known) + 1
        codes = np.fromiter((known.get(name, 0) for name in names), np.int64, len(names))
        self.overflow += int(np.count_nonzero(codes == 0))
        return codes

    @property
    def names(self) -> list[str]:
        """Return the name of each code, `(other)` first."""
        return [OTHER, *self._codes]

    def __len__(self) -> int:
        return len(self._codes) + 1


def _array_counts(states: npt.NDArray[Any]) -> Counts:
    _refuse_continuous(states)
    if states.dtype.kind == "O":
        return counts_of(states.tolist())
    if not states.size:
        return np.zeros(0, np.int64)
    if states.dtype.kind in "biu":
        table = _table(states)
        if table is not None:
            return positive(table)
    return np.unique(states, return_counts=True)[1].astype(np.int64)


def _table(states: npt.NDArray[Any]) -> Counts | None:
    """Return integers counted in a table, or None where they are too far apart for one.

    Each pass over a million states costs as much as a quarter of counting them: codes from 0 get one for their
    greatest, and `bincount` itself refuses negative ones.
    """
    most = max(DENSE, 2 * states.size)
    if int(states.max()) < most:
        try:
            return np.bincount(states)
        except ValueError:
            pass
    return np.bincount(_shifted(states)) if _span(states) <= most else None


def _span(states: npt.NDArray[Any]) -> int:
    return int(states.max()) - int(states.min()) + 1


def _shifted(states: npt.NDArray[Any]) -> Codes:
    """Return integers as small ones from 0, without overflow in a narrow type."""
    low = states.min()
    if 0 <= low < DENSE:
        return states.astype(np.int64, copy=False)  # a few unused places cost less than a pass over all
    if states.dtype.kind == "u":
        distance: npt.NDArray[Any] = states - low
        return distance.astype(np.int64)
    return states.astype(np.int64, copy=False) - np.int64(low)


def _refuse_continuous(states: npt.NDArray[Any]) -> None:
    if states.dtype.kind in "fc":
        raise Invalid("Continuous values have no states until a binning is declared.", field="states")


def _discrete(states: Sequence[Hashable]) -> Sequence[Hashable]:
    if any(isinstance(each, float) for each in states[:16]):
        raise Invalid("Continuous values have no states until a binning is declared.", field="states")
    if any(type(each).__hash__ is None for each in states[:16]):
        raise Invalid("A state is a name or a number.", field="states")
    return states


def _checked_counts(values: Iterable[Any]) -> Counts:
    listed = list(values)
    if any(isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 0 for n in listed):
        raise Invalid("Counts are whole numbers from 0.", field="states")
    return positive(np.array(listed, np.int64))


def positive(counts: npt.NDArray[Any]) -> Counts:
    """Return the counts that are not 0."""
    return counts[counts > 0].astype(np.int64, copy=False)


def _check_bins(bins: int) -> None:
    if not 2 <= bins <= MAX_BINS:
        raise Invalid(f"There are 2 to {MAX_BINS} bins.", field="bins")
