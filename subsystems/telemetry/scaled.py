"""Decimal numbers as whole ones: what is measured has few digits, and whole numbers take half the room of doubles.

A series whose values are all n / 10**k, to the last bit, is stored as n; every other one stays as it is. Only sums are
smoothed: adding up decimals leaves an error of rounding that no measurement had, and it is that error which is dropped.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from subsystems.telemetry.columns import Floats, Ids, Pieces, runs

PLACES = range(8)
EXACT = 2.0**52
ROUNDING = 2.0**-50  # of a sum, for each sample that was added
VALUES = ("sum", "min", "max", "last")


class Scaled(NamedTuple):
    """The values of one series as whole numbers of 10**-places, or as they are (places -1).

    Whole are the minimum, and of maximum, last and sum what they exceed the minimum by: small numbers that stay small.
    """

    places: int
    whole: dict[str, Ids]
    plain: dict[str, Floats]


def scaled(pieces: Pieces) -> Scaled:
    """Return the values of one series in the smaller of the two ways that lose nothing."""
    for places in PLACES:
        whole = {name: _whole(getattr(pieces, name), places) for name in VALUES}
        if all(_fits(pieces, name, numbers, places) for name, numbers in whole.items()):
            return Scaled(places, _relative(pieces, whole), {})
    return Scaled(-1, {}, {name: getattr(pieces, name) for name in VALUES})


def restored(whole: dict[str, Ids], count: Floats, places: Ids, plain: dict[str, Floats]) -> dict[str, Floats]:
    """Return the values of rows that are whole numbers of 10**-places, or plain where *places* is negative."""
    low, unit = whole["min"], 10.0 ** np.maximum(places, 0)
    absolute = {"min": low, "max": whole["max"] + low, "last": whole["last"] + low}
    absolute["sum"] = whole["sum"] + low * count.astype(np.int64)
    return {name: np.where(places < 0, plain[name], absolute[name] / unit) for name in VALUES}


def each_series(pieces: Pieces) -> list[Pieces]:
    """Return ordered *pieces* series by series."""
    return [pieces.where(np.arange(low, high)) for low, high in runs(pieces.series)]


def _relative(pieces: Pieces, whole: dict[str, Floats]) -> dict[str, Ids]:
    numbers = {name: values.astype(np.int64) for name, values in whole.items()}
    low = numbers["min"]
    over = {"max": numbers["max"] - low, "last": numbers["last"] - low}
    return {"min": low, **over, "sum": numbers["sum"] - low * pieces.count.astype(np.int64)}


def _whole(values: Floats, places: int) -> Floats:
    with np.errstate(over="ignore"):
        return np.rint(values * 10.0**places)


def _fits(pieces: Pieces, name: str, whole: Floats, places: int) -> bool:
    if not bool(np.all(np.abs(whole) < EXACT)):
        return False
    off = np.abs(whole / 10.0**places - getattr(pieces, name))
    if name != "sum":
        return not off.any()
    largest = np.maximum(np.abs(pieces.min), np.abs(pieces.max)) * pieces.count
    return bool(np.all(off <= largest * pieces.count * ROUNDING))
