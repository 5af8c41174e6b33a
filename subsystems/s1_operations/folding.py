"""Many units folded into counts, and the few of them that a page shows."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from subsystems.kernel.health import Health, band
from subsystems.s1_operations.roles import ANY, role_of

Place = tuple[str, str | None, str]  # a kind, a fleet and a role
Groups = defaultdict[Place, Counter[str]]  # how many of each health and of each state
MOST_GROUPS = 200  # the largest; who has more roles than that is told the others together
STATE_RANK = {"silent": 0, "active": 1, "new": 2, "paused": 3}
HEALTH_RANK = {Health.UNHEALTHY: 0, Health.DEGRADED: 1, Health.HEALTHY: 2, Health.UNKNOWN: 3}
LAST = 9
_NUMBER = re.compile(r"\d+")
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
    """Return how many units there are by health, state and kind, by fleet and kind, and by groups of one role.

    A role is the name without what changes at each start (`roles.py`); a group is `{"kind", "fleet", "role", "units",
    "health": {band: n}, "silent"}`, the largest first; together they hold every unit, however few may be told.
    `fleets` is `[{"fleet", "kind", "units", "health", "silent", "active"}]`, so that nobody need add up groups.
    """
    health: Counter[str] = Counter()
    states: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    fleets: Groups = defaultdict(Counter)
    groups: Groups = defaultdict(Counter)
    alike = Counter((line.kind, line.fleet, _role(line.name), line.state, str(line.health)) for line in lines)
    for (kind, fleet, role, state, found), n in alike.items():
        health[found] += n
        states[state] += n
        kinds[kind] += n
        for counts in (fleets[kind, fleet, ANY], groups[kind, fleet, role]):
            counts[found] += n
            counts[state] += n
    return {
        "all": sum(health.values()),
        "health": {str(each): health[each] for each in Health},
        "states": dict(states),
        "kinds": dict(sorted(kinds.items())),
        "fleets": [_fleet(kind, fleet, counts) for (kind, fleet, _), counts in fleets.items() if fleet],
        "groups": [_group(*place, counts) for place, counts in sorted(_fewer(groups).items(), key=_largest_first)],
    }


def _fewer(groups: Groups) -> Groups:
    """Return *groups*; where they are too many, those that differ in numbers as one, the smallest as one per fleet.

    Numbers tell roles apart (`db-1`, `db-2`) only as long as somebody can read so many of them.
    """
    if len(groups) <= MOST_GROUPS:
        return groups
    numbered = _joined(groups, _numberless)
    if len(numbered) <= MOST_GROUPS:
        return numbered
    ranked = sorted(numbered.items(), key=_largest_first)
    found: Groups = defaultdict(Counter, ranked[:MOST_GROUPS])
    for place, counts in _joined(dict(ranked[MOST_GROUPS:]), lambda fleet, role: ANY).items():
        found[place].update(counts)
    return found


def _joined(groups: Mapping[Place, Counter[str]], named: Callable[[str | None, str], str]) -> Groups:
    """Return *groups* by what *named* makes of their roles; a role that nothing is joined to keeps its name."""
    members: defaultdict[Place, list[str]] = defaultdict(list)
    for kind, fleet, role in groups:
        members[kind, fleet, named(fleet, role)].append(role)
    found: Groups = defaultdict(Counter)
    for (kind, fleet, name), roles in members.items():
        for role in roles:
            found[kind, fleet, name if len(roles) > 1 else role].update(groups[kind, fleet, role])
    return found


def chosen(lines: Sequence[Line], limit: int, depths: Mapping[str, float], queues: int) -> list[int]:
    """Return the ids of the *limit* worst units, and of the *queues* deepest queues (*depths* by name) beside them."""
    worst = sorted(lines, key=worst_first)[:limit]
    found = {line.id: None for line in worst}
    deep = [line for line in lines if line.kind == "celery_queue"]
    deep.sort(key=lambda line: (-depths.get(line.name, 0.0), line.name))
    return list(found | {line.id: None for line in deep[:queues]})


def _numberless(fleet: str | None, role: str) -> str:
    own = f"{fleet}/" if fleet and role.startswith(f"{fleet}/") else ""  # the name of a fleet is nobody's number
    return own + _NUMBER.sub(ANY, role.removeprefix(own))


def _largest_first(group: tuple[Place, Counter[str]]) -> tuple[int, str, str, str]:
    (kind, fleet, role), counts = group
    return -_size(counts), kind, fleet or "", role


def _size(counts: Mapping[str, int]) -> int:
    return sum(counts.get(each, 0) for each in Health)


def _fleet(kind: str, fleet: str, counts: Mapping[str, int]) -> dict[str, Any]:
    return {"kind": kind, "fleet": fleet, **_told(counts), "active": counts.get("active", 0)}


def _group(kind: str, fleet: str | None, role: str, counts: Mapping[str, int]) -> dict[str, Any]:
    return {"kind": kind, "fleet": fleet, "role": role, **_told(counts)}


def _told(counts: Mapping[str, int]) -> dict[str, Any]:
    return {
        "units": _size(counts),
        "health": {str(each): counts.get(each, 0) for each in Health},
        "silent": counts.get("silent", 0),
    }
