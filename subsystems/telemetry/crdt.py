"""Values that several replicas of the platform change while apart, and that agree once they have met.

State-based CRDTs (Shapiro, Preguica, Baquero and Zawirski, INRIA RR-7506, 2011): merging is commutative, associative
and idempotent, and a state only grows in the order of merging, so replicas may exchange states in any order and as
often as they like (requirements 000-3, 000-67, 3.9). All are immutable values.

A replica id belongs to one writer that remembers what it wrote: a replica that lost its state must come back under a
new incarnation, or its counts would be taken for old ones.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from subsystems.kernel.errors import Invalid

MAX_REPLICAS = 1_000
MAX_ELEMENTS = 100_000
LARGEST = 2**63 - 1
REPLICA = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:/-]{0,99}")
Json: TypeAlias = "str | int | float | bool | list[Json] | dict[str, Json] | None"


def replica_id(installation: str, role: str, slot: int = 0, incarnation: int = 0) -> str:
    """Return the stable id of a writer: the *slot*-th process of a *role* in an *installation*. Raises Invalid."""
    if slot < 0 or incarnation < 0:
        raise Invalid("Slot and incarnation are numbers from 0.", field="slot")
    return checked_replica(f"{installation}/{role}/{slot}" + (f":{incarnation}" if incarnation else ""))


def checked_replica(text: object) -> str:
    """Return *text* if it can name a replica. Raises Invalid."""
    if not isinstance(text, str) or not REPLICA.fullmatch(text):
        raise Invalid("A replica id is 1 to 100 letters, digits and _ . : / -", field="replica")
    return text


@dataclass(frozen=True, slots=True)
class GCounter:
    """A counter that only grows: each replica its own count, the greater one wins (000-3)."""

    counts: Mapping[str, int] = field(default_factory=dict)

    @property
    def value(self) -> int:
        """Return the sum over all replicas."""
        return sum(self.counts.values())

    def increment(self, replica: str, by: int = 1) -> GCounter:
        """Return the counter after *replica* counted *by* more. Raises Invalid."""
        mine = self.counts.get(checked_replica(replica), 0) + _checked_count(by, "by")
        return GCounter({**self.counts, replica: _checked_count(mine, "by")}) if by else self

    def merge(self, other: GCounter) -> GCounter:
        """Return what both know."""
        return GCounter(_greater(self.counts, other.counts))

    def knows(self, other: GCounter) -> bool:
        """Return whether *other* has nothing new."""
        return self.merge(other) == self

    def to_wire(self) -> dict[str, Any]:
        """Return plain JSON, the same for equal counters."""
        return {"type": "g_counter", "counts": dict(sorted(self.counts.items()))}

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> GCounter:
        """Return what `to_wire` wrote. Raises Invalid naming the field."""
        return cls(_counts_from(_typed(wire, "g_counter"), "counts"))


@dataclass(frozen=True, slots=True)
class PNCounter:
    """A counter that grows and falls: two that only grow."""

    up: GCounter = field(default_factory=GCounter)
    down: GCounter = field(default_factory=GCounter)

    @property
    def value(self) -> int:
        """Return what was added less what was taken away."""
        return self.up.value - self.down.value

    def increment(self, replica: str, by: int = 1) -> PNCounter:
        """Return the counter after *replica* added *by*."""
        return PNCounter(self.up.increment(replica, by), self.down)

    def decrement(self, replica: str, by: int = 1) -> PNCounter:
        """Return the counter after *replica* took *by* away."""
        return PNCounter(self.up, self.down.increment(replica, by))

    def merge(self, other: PNCounter) -> PNCounter:
        """Return what both know."""
        return PNCounter(self.up.merge(other.up), self.down.merge(other.down))

    def knows(self, other: PNCounter) -> bool:
        """Return whether *other* has nothing new."""
        return self.merge(other) == self

    def to_wire(self) -> dict[str, Any]:
        """Return plain JSON, the same for equal counters."""
        up, down = (dict(sorted(side.counts.items())) for side in (self.up, self.down))
        return {"type": "pn_counter", "up": up, "down": down}

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> PNCounter:
        """Return what `to_wire` wrote. Raises Invalid naming the field."""
        told = _typed(wire, "pn_counter")
        return cls(GCounter(_counts_from(told, "up")), GCounter(_counts_from(told, "down")))


@dataclass(frozen=True, slots=True)
class LWWRegister:
    """One JSON value; the last write wins, by (clock, replica, text of the value).

    The clock is a whole number that the writer takes: nanoseconds, or better `next_clock`, which no wrong clock of
    another replica can hold back.
    """

    value: Json = None
    clock: int = 0
    replica: str = ""

    def write(self, value: Json, *, clock: int, replica: str) -> LWWRegister:
        """Return the register after a write; one older than what is there changes nothing. Raises Invalid."""
        _text(value)
        return self.merge(LWWRegister(value, _checked_count(clock, "clock"), checked_replica(replica)))

    def next_clock(self, now: int) -> int:
        """Return the clock of a write now: later than all that this replica has seen (a hybrid logical clock)."""
        return max(now, self.clock + 1)

    def merge(self, other: LWWRegister) -> LWWRegister:
        """Return the later of both."""
        return max(self, other, key=lambda each: (each.clock, each.replica, _text(each.value)))

    def knows(self, other: LWWRegister) -> bool:
        """Return whether *other* has nothing new."""
        return self.merge(other) == self

    def to_wire(self) -> dict[str, Any]:
        """Return plain JSON."""
        return {"type": "lww_register", "value": self.value, "clock": self.clock, "replica": self.replica}

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> LWWRegister:
        """Return what `to_wire` wrote. Raises Invalid naming the field."""
        told = _typed(wire, "lww_register")
        clock = _checked_count(told.get("clock"), "clock")
        value, replica = told.get("value"), told.get("replica")
        _text(value)
        return cls(value, clock, replica if replica == "" and clock == 0 else checked_replica(replica))


Dots: TypeAlias = "Mapping[str, int]"


@dataclass(frozen=True, slots=True)
class ORSet:
    """A set of texts; of an addition and a removal that did not know each other, the addition wins.

    Without tombstones (Bieniusa et al., INRIA RR-8083, 2012): *seen* says how far each replica's additions are known,
    so an addition that one side has seen and does not hold was removed there. What is stored grows with the elements
    and the replicas, not with the removals.
    """

    entries: Mapping[str, Dots] = field(default_factory=dict)  # element: the latest addition by each replica
    seen: Dots = field(default_factory=dict)

    @property
    def value(self) -> frozenset[str]:
        """Return the elements."""
        return frozenset(self.entries)

    def __contains__(self, element: str) -> bool:
        return element in self.entries

    def add(self, replica: str, element: str) -> ORSet:
        """Return the set after *replica* added *element*. Raises Invalid."""
        if not isinstance(element, str):
            raise Invalid("An element is a text.", field="element")
        n = self.seen.get(checked_replica(replica), 0) + 1
        return ORSet({**self.entries, element: {replica: n}}, {**self.seen, replica: n})

    def remove(self, element: str) -> ORSet:
        """Return the set without *element*: without those additions that this replica has seen."""
        return ORSet({name: dots for name, dots in self.entries.items() if name != element}, self.seen)

    def merge(self, other: ORSet) -> ORSet:
        """Return what both know."""
        entries = {}
        for element in {**self.entries, **other.entries}:
            mine, theirs = self.entries.get(element, {}), other.entries.get(element, {})
            alive = _surviving(mine, theirs, other.seen) | _surviving(theirs, mine, self.seen)
            if alive:
                entries[element] = _latest(alive)
        return ORSet(entries, _greater(self.seen, other.seen))

    def knows(self, other: ORSet) -> bool:
        """Return whether *other* has nothing new."""
        return self.merge(other) == self

    def to_wire(self) -> dict[str, Any]:
        """Return plain JSON, the same for equal sets."""
        entries = {element: dict(sorted(dots.items())) for element, dots in sorted(self.entries.items())}
        return {"type": "or_set", "entries": entries, "seen": dict(sorted(self.seen.items()))}

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> ORSet:
        """Return what `to_wire` wrote. Raises Invalid naming the field."""
        told = _typed(wire, "or_set")
        seen, entries = _counts_from(told, "seen"), told.get("entries")
        if not isinstance(entries, Mapping) or len(entries) > MAX_ELEMENTS:
            raise Invalid(f"The entries are an object of at most {MAX_ELEMENTS}.", field="entries")
        made = {element: _counts_from(entries, element) for element in entries}
        if any(not dots or any(n > seen.get(replica, 0) for replica, n in dots.items()) for dots in made.values()):
            raise Invalid("An element was added by a replica that was not seen.", field="entries")
        return cls(made, seen)


CRDT: TypeAlias = "GCounter | PNCounter | LWWRegister | ORSet"
KINDS: Mapping[str, type[GCounter] | type[PNCounter] | type[LWWRegister] | type[ORSet]] = {
    "g_counter": GCounter, "pn_counter": PNCounter, "lww_register": LWWRegister, "or_set": ORSet,
}  # fmt: skip


def from_wire(wire: object) -> CRDT:
    """Return the value of any kind that *wire* holds. Raises Invalid naming the field."""
    kind = wire.get("type") if isinstance(wire, Mapping) else None
    if not isinstance(wire, Mapping) or not isinstance(kind, str) or kind not in KINDS:
        raise Invalid(f"The type is one of {', '.join(KINDS)}.", field="type")
    return KINDS[kind].from_wire(wire)


def _greater(x: Mapping[str, int], y: Mapping[str, int]) -> dict[str, int]:
    return {replica: max(x.get(replica, 0), y.get(replica, 0)) for replica in {**x, **y}}


def _surviving(dots: Dots, others: Dots, seen_there: Dots) -> set[tuple[str, int]]:
    """Return the additions that the other side holds too, or has not heard of yet."""
    return {(replica, n) for replica, n in dots.items() if others.get(replica) == n or n > seen_there.get(replica, 0)}


def _latest(dots: Iterable[tuple[str, int]]) -> dict[str, int]:
    latest: dict[str, int] = {}
    for replica, n in dots:
        latest[replica] = max(n, latest.get(replica, 0))
    return latest


def _text(value: Json) -> str:
    try:
        return json.dumps(value, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        raise Invalid("The value must be plain JSON.", field="value") from None


def _typed(wire: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    if not isinstance(wire, Mapping) or wire.get("type") != kind:
        raise Invalid(f"The type must be {kind}.", field="type")
    return wire


def _counts_from(wire: Mapping[str, Any], name: str) -> dict[str, int]:
    counts = wire.get(name)
    if not isinstance(counts, Mapping) or len(counts) > MAX_REPLICAS:
        raise Invalid(f"Counts are an object of at most {MAX_REPLICAS} replicas.", field=name[:80])
    checked = {checked_replica(replica): _checked_count(n, name[:80]) for replica, n in counts.items()}
    return {replica: n for replica, n in checked.items() if n}


def _checked_count(n: object, field_name: str) -> int:
    if isinstance(n, bool) or not isinstance(n, int) or not 0 <= n <= LARGEST:
        raise Invalid("A count is a whole number from 0, below 2^63.", field=field_name)
    return n
