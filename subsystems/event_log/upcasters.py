"""Bringing the data of old events to the form of today: one step per version, applied when an event is read.

What is stored never changes. Whoever changes the form of an event raises its version and leaves an up-caster here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Data = dict[str, Any]
UpCaster = Callable[[Data], Data]
_steps: dict[tuple[str, int], UpCaster] = {}


def upcasts(type_: str, version: int) -> Callable[[UpCaster], UpCaster]:
    """Register a function that turns the data of *type_* in *version* into that of the version after it."""

    def register(function: UpCaster) -> UpCaster:
        if _steps.setdefault((type_, version), function) is not function:
            raise ValueError(f"{type_} version {version} has an up-caster already")
        return function

    return register


def upcast(type_: str, version: int, data: Data) -> tuple[int, Data]:
    """Return the newest version that is known of an event, and its data in that version."""
    while step := _steps.get((type_, version)):
        version, data = version + 1, step(data)
    return version, data


def forget(type_: str) -> None:
    """Forget the up-casters of *type_*."""
    for key in [key for key in _steps if key[0] == type_]:
        del _steps[key]
