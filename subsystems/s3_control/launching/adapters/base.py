"""The port of a launcher: observe, start, stop, and say beforehand what would be done."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from subsystems.kernel.errors import Refused, TransientError
from subsystems.s3_control.launching.sizes import Instance

SECONDS = 10.0  # for one answer of whatever runs the workers


class LauncherUnreachable(TransientError):
    """What runs the workers does not answer now."""

    code = "launcher_unreachable"


class LauncherRefuses(Refused):
    """What runs the workers says no: it may not, or what is named is not there."""

    code = "launcher_refuses"


@dataclass(frozen=True, slots=True)
class Process:
    """A process that was started: its number means nothing without when it began, because numbers come again."""

    name: str
    host: str
    pid: int | None = None  # None: it is about to be started, or whoever was to did not live to say so
    began: float | None = None


class Processes(Protocol):
    """Where it is kept which processes were started, over restarts of the platform."""

    def all(self) -> list[Process]: ...
    def claim(self, name: str) -> bool: ...
    def note(self, name: str, pid: int, began: float) -> None: ...
    def forget(self, name: str) -> None: ...


@dataclass(frozen=True)
class Surroundings:
    """What an actuator needs of the platform. *credential* gives a secret by its reference."""

    host: str
    home: Path
    most: int
    key: str  # what marks the instances of this launcher among others
    credential: Callable[[str], str] = field(repr=False)
    processes: Processes | None = None
    systemctl: str = "systemctl"


class Actuator(Protocol):
    """What starts and stops the workers of one launcher.

    Starting what runs and stopping what is gone changes nothing, so that a step may be taken again after a crash.
    Every method raises LauncherUnreachable, or LauncherRefuses.
    """

    def observe(self) -> list[Instance]: ...

    def refusal(self) -> str:
        """Return why its size is not ours to change; empty when it is."""

    def fresh(self, seen: Sequence[Instance], count: int) -> list[str]:
        """Return the names of *count* new instances; none where the names are given by whoever starts them."""

    def leaving(self, seen: Sequence[Instance], count: int) -> list[Instance]:
        """Return those of *seen* among which *count* may be chosen to leave."""

    def start(self, names: Sequence[str], size: int) -> None:
        """Start *names*, after which there are *size*."""

    def stop(self, names: Sequence[str], size: int) -> None:
        """Stop *names* gracefully, after which there are *size*. Returns without waiting for their end."""

    def words(self, verb: str, names: Sequence[str], size: int) -> list[str]:
        """Return exactly what *verb* (`start`, `stop`) would do, without any secret."""
