"""How long messages take from who sends to who receives (requirements 3.7): columns in, a table out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import numpy as np

BOUNDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)  # seconds; and above
Line = tuple[str, str, str, float]  # channel, sender, recipient, seconds


def lags(lines: Iterable[Line]) -> list[dict[str, Any]]:
    """Return one row for each channel and pair of ends: count, quantiles and a histogram; most messages first."""
    found: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    for channel, sender, recipient, seconds in lines:
        found[channel, sender, recipient].append(max(seconds, 0.0))
    rows = [_row(*ends, np.asarray(seconds)) for ends, seconds in found.items()]
    return sorted(rows, key=lambda row: (-row["count"], row["channel"], row["from"], row["to"]))


def overall(rows: Iterable[dict[str, Any]]) -> float | None:
    """Return the mean lag over all rows, each message counting once; None without any."""
    told = [(row["count"], row["mean_seconds"]) for row in rows]
    count = sum(n for n, _ in told)
    return round(sum(n * mean for n, mean in told) / count, 4) if count else None


def _row(channel: str, sender: str, recipient: str, seconds: np.ndarray[Any, np.dtype[np.float64]]) -> dict[str, Any]:
    bins = np.bincount(np.searchsorted(BOUNDS, seconds), minlength=len(BOUNDS) + 1)
    median, high = np.quantile(seconds, [0.5, 0.95])
    return {
        "channel": channel,
        "from": sender,
        "to": recipient,
        "count": len(seconds),
        "mean_seconds": round(float(seconds.mean()), 4),
        "median_seconds": round(float(median), 4),
        "p95_seconds": round(float(high), 4),
        "largest_seconds": round(float(seconds.max()), 4),
        "histogram": [
            {"up_to_seconds": bound, "count": int(n)} for bound, n in zip([*BOUNDS, None], bins, strict=True)
        ],
    }
