"""Parts that are loaded by whoever asks for them first, so that a platform which does not use them stays small."""

from __future__ import annotations

from functools import cache
from types import SimpleNamespace


@cache
def patterns() -> SimpleNamespace:
    """Return the engine of event patterns: its language, its services, its rehearsal."""
    from subsystems.s4_intelligence.patterns import builtin, exchange, rehearsing, services

    return SimpleNamespace(builtin=builtin, exchange=exchange, rehearsing=rehearsing, services=services)
