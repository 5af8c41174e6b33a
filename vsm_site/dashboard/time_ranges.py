"""The time range of a page: the last minutes, hours or days, which goes on live, or from one moment to another.

The address says it the same on every page: `range`, or `from` and `to` as epoch seconds.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext

from subsystems.kernel.errors import Invalid

RANGES = {"15m": 900, "1h": 3600, "6h": 6 * 3600, "24h": 86_400, "7d": 7 * 86_400, "30d": 30 * 86_400}
USUAL = "1h"
DAY, YEAR = 86_400, 366 * 86_400


@dataclass(frozen=True)
class Span:
    """From *start* to *end*, in epoch seconds."""

    start: float
    end: float

    @property
    def seconds(self) -> float:
        return self.end - self.start


def offered(longest: float = YEAR) -> dict[str, int]:
    """Return the ranges that a page offers which shows *longest* seconds at most."""
    return {name: seconds for name, seconds in RANGES.items() if seconds <= longest}


def script(longest: float = YEAR, usual: str = USUAL) -> dict[str, Any]:
    """Return what the control of a page (`js/range.js`) is told."""
    return {"ranges": offered(longest), "usualRange": usual, "longestRange": longest}


def read_span(given: Mapping[str, str], *, longest: float = YEAR, now: float | None = None) -> Span:
    """Return the range that an address says, the usual one for none. Raises Invalid naming the field at fault."""
    now = time.time() if now is None else now
    if given.get("from") or given.get("to"):
        return _between(given, longest)
    name = given.get("range") or USUAL
    ranges = offered(longest)
    if name not in ranges:
        raise Invalid(gettext("A range is one of %(names)s.") % {"names": ", ".join(ranges)}, field="range")
    return Span(now - ranges[name], now)


def _between(given: Mapping[str, str], longest: float) -> Span:
    span = Span(*(_moment(given.get(name, ""), name) for name in ("from", "to")))
    if span.seconds <= 0:
        raise Invalid(gettext("The range must start before it ends."), field="from")
    if span.seconds > longest:
        days = gettext("%(days)g days") % {"days": longest / DAY}
        raise Invalid(gettext("The range is too long: here it may have %(days)s.") % {"days": days}, field="from")
    return span


def _moment(text: str, name: str) -> float:
    try:
        found = float(text)
    except ValueError:
        raise Invalid(gettext("Epoch seconds are needed."), field=name) from None
    if not 0 < found < 4e9:
        raise Invalid(gettext("This is no moment."), field=name)
    return found
