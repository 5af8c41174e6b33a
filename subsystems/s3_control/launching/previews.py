"""What starting or stopping workers would do, said before it is done."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from subsystems.kernel.errors import Invalid, Refused
from subsystems.s1_operations.models import Fleet
from subsystems.s3_control.launching import sizes, store
from subsystems.s3_control.launching.adapters.base import LauncherUnreachable
from subsystems.s3_control.launching.models import Launcher

SHOWN = 5  # of many instances


@dataclass(frozen=True)
class Launching:
    """What would be done, in words; *refusal* says why it cannot be."""

    words: str
    before: dict[str, Any] = field(default_factory=dict)
    refusal: str = ""


def look(fleet: Fleet, name: str, change: int) -> Launching:
    """Return what *change* more workers (fewer below zero) would mean. Raises Invalid, Refused."""
    launcher = Launcher.objects.filter(fleet=fleet, name=name).select_related("action").first()
    if launcher is None:
        raise Invalid(f"{fleet.name} has no launcher {name!r}.", field="target")
    try:
        actuator = store.actuator(launcher)
        seen = actuator.observe()
        others = actuator.refusal()
    except LauncherUnreachable as error:
        raise Refused(str(error), code=error.code) from None
    here = sizes.here(seen)
    size = len(here)
    why = busy(launcher) or others or sizes.refusal(size, change, launcher.least, launcher.most)
    before = {"size": size, "least": launcher.least, "most": launcher.most, "workers": [each.body() for each in seen]}
    if why:
        return Launching("", before, why)
    if change > 0:
        would = actuator.words("start", actuator.fresh(seen, change), size + change)
        return Launching(f"{size} run, {size + change} would: {_some(would)}", before)
    leaving = ", ".join(each.name for each in actuator.leaving(seen, -change)[: 4 * SHOWN])
    words = f"{size} run, {size + change} would. The idlest of {leaving} are drained first, then: "
    return Launching(words + _some(actuator.words("stop", ["…"], size + change)), before)


def busy(launcher: Launcher) -> str:
    """Return who changes its size just now; empty when nobody does."""
    other = launcher.action
    if other is None or other.state not in other.OPEN:
        return ""
    return f"{other.actor} is doing {other.kind} on {launcher.name}: one writer at a time."


def _some(would: list[str]) -> str:
    more = f" and {len(would) - SHOWN} more" if len(would) > SHOWN else ""
    return "; ".join(would[:SHOWN]) + more
