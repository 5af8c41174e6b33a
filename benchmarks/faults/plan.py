"""Which faults strike and in which order: the same for the same seed."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    KILL_CHILD = "kill -9 of the pool's processes"
    KILL_BROKER = "kill -9 of the broker, and its restart"
    CUT = "connections cut in mid-publish"
    KILL_RELAY = "kill -9 of a relay"
    RESTART_DATABASE = "restart of the database"
    KILL_WORKER = "kill -9 of a worker's main process"
    PAUSE_RELAY = "a relay paused, and back"
    REFUSED = "broker refuses connections"
    KILL_BEAT = "kill -9 of beat"
    KILL_DATABASE = "kill -9 of the database"
    UNREACHABLE = "broker unreachable"  # packets vanish; for long


REFUSED_SECONDS = 3.0
AGAIN = [kind for kind in Kind if kind is not Kind.UNREACHABLE]
SIMPLE = 6  # so many kinds, the first, need one relay and no beat
UNIT_SECONDS = 6.0  # a fault that lasts longer sees as many more messages


@dataclass(frozen=True, slots=True)
class Fault:
    """What strikes once *share* of its messages are published, and for how long."""

    kind: Kind
    seconds: float
    share: float

    @property
    def units(self) -> int:
        return max(1, round(self.seconds / UNIT_SECONDS))


def make_plan(seed: int, count: int, outage_seconds: float, pause_seconds: float) -> list[Fault]:
    """Return *count* faults: every kind once while there is room, first those that everybody meets, then any."""
    chance = random.Random(seed)
    kinds = [Kind.UNREACHABLE, *AGAIN][:count] if count > len(AGAIN) else list(AGAIN)[:count]
    kinds += [chance.choice(AGAIN) for _ in range(count - len(kinds))]
    chance.shuffle(kinds)
    seconds = {Kind.PAUSE_RELAY: pause_seconds, Kind.REFUSED: REFUSED_SECONDS, Kind.UNREACHABLE: outage_seconds}
    return [Fault(kind, seconds.get(kind, 0.0), chance.uniform(0.2, 0.7)) for kind in kinds]


def units(plan: Sequence[Fault]) -> int:
    """Return in how many portions the messages go out: one or more per fault, and one after the last."""
    return sum(fault.units for fault in plan) + 1
