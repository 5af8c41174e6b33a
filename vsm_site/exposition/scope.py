"""Of which systems, and of which moment, metrics are shown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from subsystems.recursion.models import System
from subsystems.recursion.queries import ROOT_SLUG

MAX_LABELLED = 2_000  # rows that one family has of one system, where labels come from outside


@dataclass(frozen=True, slots=True)
class Scope:
    """Systems by id with their slugs, and now (epoch seconds)."""

    systems: Mapping[int, str]
    now: float

    @property
    def moment(self) -> datetime:
        return datetime.fromtimestamp(self.now, UTC)

    @property
    def shows_platform(self) -> bool:
        """Return whether the platform's own health is among what may be seen: it goes with the root system."""
        return ROOT_SLUG in self.systems.values()


def scope_of(systems: Iterable[System], *, now: float) -> Scope:
    """Return what shows *systems* at *now*."""
    return Scope({system.pk: system.slug for system in systems}, now)
