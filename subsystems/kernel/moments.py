"""Moments as programs write them."""

from __future__ import annotations

from datetime import datetime


def moment_of(given: object) -> float | None:
    """Return the epoch seconds of an RFC 3339 text or a number; None for anything else, also without a zone."""
    if isinstance(given, str):
        try:
            return float(given) if _is_number(given) else _parsed(given)
        except (ValueError, OverflowError):
            return None
    if isinstance(given, bool) or not isinstance(given, (int, float)):
        return None
    return float(given)


def _is_number(text: str) -> bool:
    return text.isascii() and text.replace(".", "", 1).isdigit() and len(text) < 20


def _parsed(text: str) -> float | None:
    """Parse RFC 3339; in an address an unescaped plus arrives as a blank."""
    moment = datetime.fromisoformat(text[:40].replace(" ", "+") if "T" in text else text[:40])
    return moment.timestamp() if moment.tzinfo else None
