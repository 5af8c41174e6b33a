"""A forecast as few bytes: its five lines as columns of single precision."""

from __future__ import annotations

import numpy as np

from subsystems.s4_intelligence.forecasting import Forecasts
from subsystems.s4_intelligence.matrices import Floats

LINES = ("mean", "low80", "high80", "low95", "high95")


def packed(found: Forecasts, row: int) -> bytes:
    """Return the lines of one series."""
    return np.stack([getattr(found, name)[row] for name in LINES]).astype("<f4").tobytes()


def unpacked(body: bytes) -> dict[str, Floats]:
    """Return the lines by name."""
    lines = np.frombuffer(body, "<f4").reshape(len(LINES), -1).astype(np.float64)
    return dict(zip(LINES, lines, strict=True))
