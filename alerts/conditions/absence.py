"""How long nothing has been heard. Here silence is the news, not a lack of it."""

from __future__ import annotations

from alerts.conditions.kind import MAX_WINDOW_SECONDS, Asked, Kind
from alerts.conditions.ragged import Floats, Rows, last_at
from subsystems.kernel.texts import gettext_noop as _


def measure(rows: Rows, asked: Asked, now: float) -> Floats:
    """Return the seconds since the last sample of each row."""
    return now - last_at(rows)


KIND = Kind(
    "absence", _("Absence"), "the seconds since it was last heard", measure=measure,
    window=lambda asked: float(MAX_WINDOW_SECONDS), default_threshold=60.0, hears_silence=True,
)  # fmt: skip
