"""Many units folded into counts, and the few of them that a page shows."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from subsystems.kernel.health import Health, band
from subsystems.s1_operations.roles import role_of

MOST_GROUPS = 200  # the largest; who has more roles than that is told how many are left out
STATE_RANK = {"silent": 0, "active": 1, "new": 2, "paused": 3}
HEALTH_RANK = {Health.UNHEALTHY: 0, Health.DEGRADED: 1, Health.HEALTHY: 2, Health.UNKNOWN: 3}
LAST = 9
_role = lru_cache(20_000)(role_of)


@dataclass(frozen=True, slots=True)
class Line:
    """What is needed of a unit to count and to rank it."""

    id: int
    name: str
    kind: str
    state: str
    score: float | None
    fleet: str | None

    @property
    def health(self) -> Health:
        return band(self.score)


def worst_first(line: Line) -> tuple[int, int, str, str]:
    """Return the key by which units are listed: silent and unhealthy ones before the others."""
    return STATE_RANK.get(line.state, LAST), HEALTH_RANK[line.health], line.kind, line.name


def totals(lines: Iterable[Line]) -> dict[str, Any]:
    """Return how many units there are by health, state and kind, and by groups of one kind, fleet and role.

    A role is the name without what changes at each start (`roles.py`); a group is `{"kind", "fleet", "role", "units",
    "health": {band: n}, "silent"}`, the largest first; `left_out` counts the units of groups beyond `MOST_GROUPS`.
    """
    health: Counter[str] = Counter()
    states: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    groups: defaultdict[tuple[str, str | None, str], Counter[str]] = defaultdict(Counter)
    for line in lines:
        found = str(line.health)
        health[found] += 1
        states[line.state] += 1
        kinds[line.kind] += 1
        groups[line.kind, line.fleet, _role(line.name)][found] += 1
        if line.state == "silent":
            groups[line.kind, line.fleet, _role(line.name)]["silent"] += 1
    ranked = sorted(groups.items(), key=lambda item: (-_size(item[1]), item[0][0], item[0][1] or "", item[0][2]))
    return {
        "all": sum(health.values()),
        "health": {str(each): health[each] for each in Health},
        "states": dict(states),
        "kinds": dict(sorted(kinds.items())),
        "groups": [_group(*place, counts) for place, counts in ranked[:MOST_GROUPS]],
        "left_out": sum(_size(counts) for _, counts in ranked[MOST_GROUPS:]),
    }


def chosen(lines: Sequence[Line], limit: int, depths: Mapping[str, float], queues: int) -> list[int]:
    """Return the ids of the *limit* worst units, and of the *queues* deepest queues (*depths* by name) beside them."""
    worst = sorted(lines, key=worst_first)[:limit]
    found = {line.id: None for line in worst}
    deep = [line for line in lines if line.kind == "celery_queue"]
    deep.sort(key=lambda line: (-depths.get(line.name, 0.0), line.name))
    return list(found | {line.id: None for line in deep[:queues]})


def _size(counts: Mapping[str, int]) -> int:
    return sum(counts.get(each, 0) for each in Health)


def _group(kind: str, fleet: str | None, role: str, counts: Mapping[str, int]) -> dict[str, Any]:
    return {
        "kind": kind,
        "fleet": fleet,
        "role": role,
        "units": _size(counts),
        "health": {str(each): counts.get(each, 0) for each in Health},
        "silent": counts.get("silent", 0),
    }
