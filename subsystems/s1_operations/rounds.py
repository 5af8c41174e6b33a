"""Handing on what a round of questions brought to the rooms above, which may not be imported from here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from subsystems.s1_operations.adapters.celery_link import FleetRound

Keeper = Callable[[Mapping[int, FleetRound], datetime], None]
_keepers: list[Keeper] = []


def register(keeper: Keeper) -> None:
    """Let *keeper* have the rounds of every cycle, by the fleet's key. Registering twice changes nothing."""
    if keeper not in _keepers:
        _keepers.append(keeper)


def hand_on(rounds: Mapping[int, FleetRound], now: datetime) -> None:
    """Give the rounds of one cycle to whoever registered."""
    for keeper in _keepers:
        keeper(rounds, now)
