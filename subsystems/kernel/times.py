"""Moments as text."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import overload


@overload
def moment_text(moment: None) -> None: ...
@overload
def moment_text(moment: datetime | float) -> str: ...
@overload
def moment_text(moment: datetime | float | None) -> str | None: ...
def moment_text(moment: datetime | float | None) -> str | None:
    """Return an aware moment, or one in epoch seconds, as RFC 3339 in UTC; None stays None."""
    if moment is None:
        return None
    aware = moment if isinstance(moment, datetime) else datetime.fromtimestamp(moment, tz=UTC)
    return aware.astimezone(UTC).isoformat().replace("+00:00", "Z")
