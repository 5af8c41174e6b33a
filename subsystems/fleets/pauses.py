"""Queues that nobody reads because somebody said so: the rooms above, which keep such orders, say which."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Set

Asked = Callable[[Collection[int]], Mapping[int, Set[str]]]
_asked: list[Asked] = []


def register(asked: Asked) -> None:
    """Let *asked* say by fleet which queues are paused. Registering twice changes nothing."""
    if asked not in _asked:
        _asked.append(asked)


def paused(fleet_ids: Collection[int]) -> dict[int, frozenset[str]]:
    """Return by fleet the queues that are paused."""
    found: dict[int, frozenset[str]] = {}
    for asked in _asked:
        for fleet_id, queues in asked(fleet_ids).items():
            found[fleet_id] = found.get(fleet_id, frozenset()) | queues
    return found
