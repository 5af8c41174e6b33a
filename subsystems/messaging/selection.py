"""Which of several handlers takes a piece of work (requirements 003-13, 2-40)."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from hashlib import blake2b

from subsystems.kernel.errors import Invalid, NotListed

VIRTUAL_NODES = 160  # of each handler: shares stay within about a fifth of each other
RINGS_KEPT = 64


class Strategy(StrEnum):
    """How one of several is chosen, after those that cannot do the work are left out."""

    ROUND_ROBIN = "round_robin"  # the default: each in its turn
    LEAST_LOADED = "least_loaded"  # who has least to do
    CAPABILITY = "capability"  # who can do the least beside what is asked, so that the versatile stay free
    CONSISTENT_HASH = "consistent_hash"  # always the same for one key, for handlers that keep state


@dataclass(frozen=True, slots=True)
class Candidate:
    """A handler that could be chosen. Without capabilities it takes only work that asks for none."""

    name: str
    capabilities: frozenset[str] = frozenset()


def choose(
    strategy: Strategy,
    candidates: Sequence[Candidate],
    *,
    turn: int = 0,
    loads: Mapping[str, float] | None = None,
    required: Iterable[str] = (),
    key: str = "",
) -> Candidate:
    """Return who takes the work. Raises NotListed when nobody can do it, Invalid when a key is needed and missing."""
    able = capable(candidates, required)
    if strategy is Strategy.LEAST_LOADED:
        return least_loaded(able, loads or {}, turn)
    if strategy is Strategy.CAPABILITY:
        return best_fit(able, turn)
    if strategy is Strategy.CONSISTENT_HASH:
        return by_key(able, key)
    return round_robin(able, turn)


def capable(candidates: Sequence[Candidate], required: Iterable[str]) -> list[Candidate]:
    """Return those who can do all that is *required*, by name. Raises NotListed saying what nobody can do."""
    wanted = frozenset(required)
    able = sorted((each for each in candidates if wanted <= each.capabilities), key=lambda each: each.name)
    if not able:
        what = f" with the capability {', '.join(sorted(wanted))}" if wanted else ""
        raise NotListed(f"There is no handler{what}.", field="capability" if wanted else "operation")
    return able


def round_robin(candidates: Sequence[Candidate], turn: int) -> Candidate:
    """Return the candidate whose *turn* it is: a number that grows by one with each choice."""
    return candidates[turn % len(candidates)]


def least_loaded(candidates: Sequence[Candidate], loads: Mapping[str, float], turn: int = 0) -> Candidate:
    """Return who has the least load; those with equal loads take turns. A load that nobody knows is taken for none."""
    least = min(loads.get(each.name, 0.0) for each in candidates)
    return round_robin([each for each in candidates if loads.get(each.name, 0.0) <= least], turn)


def best_fit(candidates: Sequence[Candidate], turn: int = 0) -> Candidate:
    """Return who can do the least beside what is asked; those who can do equally much take turns."""
    least = min(len(each.capabilities) for each in candidates)
    return round_robin([each for each in candidates if len(each.capabilities) == least], turn)


def by_key(candidates: Sequence[Candidate], key: str) -> Candidate:
    """Return who has the state of *key*: the same in every process, as long as the candidates are the same."""
    if not key:
        raise Invalid("This operation keeps state by key, and the message has none.", field="state_key")
    owner = ring(tuple(sorted(each.name for each in candidates))).owner(key)
    return next(each for each in candidates if each.name == owner)


class Ring:
    """A circle of hashes on which each name owns what lies before its points.

    When a name comes or goes, only the keys that it takes over or leaves move; all others keep their owner.
    """

    def __init__(self, names: Iterable[str], *, virtual_nodes: int = VIRTUAL_NODES) -> None:
        points = sorted((_hash(f"{name}\0{node}"), name) for name in set(names) for node in range(virtual_nodes))
        if not points:
            raise NotListed("There is no handler.", field="operation")
        self._points = [point for point, _ in points]
        self._names = [name for _, name in points]

    def owner(self, key: str) -> str:
        """Return the name that owns *key*."""
        return self._names[bisect_right(self._points, _hash(key)) % len(self._names)]


@lru_cache(RINGS_KEPT)
def ring(names: tuple[str, ...]) -> Ring:
    """Return the ring of *names*, made once."""
    return Ring(names)


def _hash(text: str) -> int:
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest())
