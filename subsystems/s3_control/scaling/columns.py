"""A load given as columns, CSV or JSON: read at the door, every mistake named by its column and row.

`at` is when a step begins (epoch seconds, or RFC 3339), evenly spaced; `arrivals` how many messages arrived in it;
`service_seconds` how long one takes, on average, empty where it is as in the row before.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any

from subsystems.kernel.errors import Invalid

COLUMNS = ("at", "arrivals", "service_seconds")
MOST_ROWS = 5_000
MOST_CHARACTERS = 500_000
SHORTEST_STEP, LONGEST_STEP = 1.0, 3600.0  # seconds
UNEVEN = 0.01  # of a step: clocks round
LATEST = 1e11  # epoch seconds
MOST_ARRIVALS, LONGEST_SERVICE, SHORTEST_SERVICE = 1e9, 86_400.0, 0.001


@dataclass(frozen=True, slots=True)
class Load:
    """What arrived a second in each step, and what one busy slot does a second."""

    step_seconds: float
    arrivals: tuple[float, ...]
    rate_each: tuple[float, ...]


def read_text(text: str) -> dict[str, list[Any]]:
    """Return the columns of CSV with a header, or of JSON: an object of columns, or a list of rows. Raises Invalid."""
    if len(text) > MOST_CHARACTERS:
        raise Invalid(f"At most {MOST_CHARACTERS:,} characters; these are {len(text):,}.", field="load")
    given = text.strip().removeprefix("\ufeff")
    if not given:
        raise Invalid("Give a load: CSV or JSON with the columns at, arrivals, service_seconds.", field="load")
    return _json(given) if given[0] in "[{" else _csv(given)


def _json(text: str) -> dict[str, list[Any]]:
    try:
        told = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Invalid(f"This JSON cannot be read: {error}"[:200], field="load") from None
    if isinstance(told, list):
        return _of_rows(told)
    if not isinstance(told, dict) or not all(isinstance(column, list) for column in told.values()):
        raise Invalid("JSON is an object of columns, each a list, or a list of rows.", field="load")
    return told


def _csv(text: str) -> dict[str, list[Any]]:
    try:
        rows = csv.DictReader(io.StringIO(text, newline=""), strict=True, restkey="")
        names = [name.strip() for name in rows.fieldnames or ()]
        rows.fieldnames = names
        return _of_rows(list(rows), names)
    except csv.Error as error:
        raise Invalid(f"This CSV cannot be read: {error}"[:200], field="load") from None


def _of_rows(rows: Sequence[Any], names: Sequence[str] = COLUMNS) -> dict[str, list[Any]]:
    for number, row in enumerate(rows, 1):
        if not isinstance(row, dict):
            raise Invalid(f"Row {number} is no row: each has {', '.join(COLUMNS)}.", field="load")
        if "" in row:
            raise Invalid(f"Row {number} has more cells than the header names.", field="load")
    return {name: [row.get(name) for row in rows] for name in COLUMNS if name in names}


def load_of(columns: Mapping[str, Sequence[Any]]) -> Load:
    """Return the load that *columns* tell of. Raises Invalid naming the column, and the row in words."""
    missing = [name for name in COLUMNS if name not in columns]
    if missing:
        raise Invalid(f"The column {missing[0]} is missing: {', '.join(COLUMNS)} are needed.", field=missing[0])
    at = [_moment(value, row) for row, value in enumerate(columns["at"], 1)]
    if not 2 <= len(at) <= MOST_ROWS:
        raise Invalid(f"From 2 to {MOST_ROWS:,} rows; these are {len(at):,}.", field="at")
    for name in COLUMNS[1:]:
        if len(columns[name]) != len(at):
            raise Invalid(f"{name} has {len(columns[name])} rows and at has {len(at)}.", field=name)
    step = _step(at)
    counts = [_number("arrivals", value, row, 0.0, MOST_ARRIVALS) for row, value in enumerate(columns["arrivals"], 1)]
    services = _services(columns["service_seconds"])
    return Load(step, tuple(count / step for count in counts), tuple(1.0 / seconds for seconds in services))


def _step(at: Sequence[float]) -> float:
    step = (at[-1] - at[0]) / (len(at) - 1)
    first = at[1] - at[0]
    for row, (one, other) in enumerate(pairwise(at), 2):
        if other <= one:
            raise Invalid(f"Row {row}, at: it is not later than the row before.", field="at")
        if abs(other - one - first) > max(UNEVEN * first, 0.001):
            words = f"Row {row}, at: {other - one:g} s after the row before, where the first are {first:g} s apart."
            raise Invalid(f"{words} Fill the holes.", field="at")
    if not SHORTEST_STEP <= step <= LONGEST_STEP:
        raise Invalid(f"Rows are {SHORTEST_STEP:g} to {LONGEST_STEP:g} s apart; these are {step:g} s.", field="at")
    return step


def _services(values: Sequence[Any]) -> list[float]:
    found: list[float] = []
    for row, value in enumerate(values, 1):
        if value is None or (isinstance(value, str) and not value.strip()):
            if not found:
                words = "Row 1, service_seconds: say how long one takes; later rows may leave it out."
                raise Invalid(words, field="service_seconds")
            found.append(found[-1])
        else:
            found.append(_number("service_seconds", value, row, SHORTEST_SERVICE, LONGEST_SERVICE))
    return found


def _number(name: str, value: Any, row: int, least: float, most: float) -> float:
    number = _finite(value)
    if number is None or not least <= number <= most:
        raise Invalid(f"Row {row}, {name}: a number from {least:g} to {most:g}, not {_shown(value)}.", field=name)
    return number


def _moment(value: Any, row: int) -> float:
    seconds = _finite(value)
    if seconds is None and isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value.strip())
            seconds = None if moment.tzinfo is None else moment.timestamp()
        except (ValueError, OverflowError):
            seconds = None
    if seconds is None or abs(seconds) > LATEST:
        raise Invalid(f"Row {row}, at: epoch seconds, or RFC 3339 with its time zone, not {_shown(value)}.", field="at")
    return seconds


def _finite(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _shown(value: Any) -> str:
    return "nothing" if value is None or value == "" else f"{value!r:.40}"
