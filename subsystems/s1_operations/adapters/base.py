"""What an adapter is: the door through which units of one kind are measured.

Adapters are the one place below the tasks that does I/O. They know no database: they get references to units and give
back readings, so that a plug-in needs nothing of the platform but this module.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, Protocol, TypeVar, runtime_checkable

from pydantic import BaseModel, ConfigDict

from subsystems.telemetry.tables import Table

UNIT_TIMEOUT_SECONDS = 1.0  # 002-18: one unit
CYCLE_TIMEOUT_SECONDS = 3.0  # 002-18: all of them
T = TypeVar("T")


class Config(BaseModel):
    """Base of a kind's configuration: unknown names are refused, so that a typing error is not silently ignored."""

    model_config = ConfigDict(extra="forbid")


@dataclass(frozen=True, slots=True)
class UnitRef:
    """A unit as an adapter sees it."""

    id: int
    name: str
    config: Mapping[str, Any] = field(default_factory=dict)
    fleet_id: int | None = None
    active: bool = True


@dataclass(frozen=True, slots=True)
class FleetRef:
    """A fleet as an adapter sees it; *url* carries credentials and is never logged."""

    id: int
    name: str
    url: str = field(repr=False)
    own: bool = False
    workers: frozenset[str] = frozenset()  # node names heard lately
    queues: tuple[str, ...] = ()  # queues that are known already, without the fleet's name
    foreign_queues: frozenset[str] = frozenset()  # the platform's own, which share a broker with some fleets
    heard_at: datetime | None = None  # the last time its broker answered


@dataclass(frozen=True, slots=True)
class Reading:
    """What one unit answered. A metric that could not be known is absent; a part that could not is None.

    *heard* tells whether the unit itself answered, whatever it said. A reading with *unit_id* None is of a unit that
    appeared by itself: it is then named by *name* within the fleet *fleet_id*.
    """

    unit_id: int | None
    metrics: dict[str, float] = field(default_factory=dict)
    error: str = ""
    parts: dict[str, float | None] = field(default_factory=dict)
    heard: bool = True
    name: str = ""
    fleet_id: int | None = None
    # For those who bring many samples: recorded beside the metrics. asyncio shows what its futures hold: not this.
    table: Table | None = field(default=None, repr=False)


@dataclass
class Context:
    """What a cycle offers its adapters: the time, what may be reached, threads for what blocks, and work they share."""

    now: float
    fleets: Sequence[FleetRef] = ()
    http_allow: Sequence[str] = ()
    task_ratios: Mapping[str, float] = field(
        default_factory=dict
    )  # worker's unit name -> share of tasks that succeeded
    threads: ThreadPoolExecutor | None = None
    shared: dict[str, asyncio.Task[Any]] = field(default_factory=dict)

    async def in_thread(self, function: Callable[..., T], *arguments: Any) -> T:
        """Run what blocks in a thread; the caller bounds how long it waits."""
        return await asyncio.get_running_loop().run_in_executor(self.threads, function, *arguments)


@runtime_checkable
class Adapter(Protocol):
    """One kind of unit. `collect` bounds each unit's time itself and never raises for a unit that fails."""

    kind: ClassVar[str]
    title: ClassVar[str]
    Config: ClassVar[type[BaseModel]]

    async def collect(self, units: Sequence[UnitRef], context: Context) -> list[Reading]:
        """Measure *units*, all at once."""
        ...
