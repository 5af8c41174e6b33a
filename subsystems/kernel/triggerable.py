"""What people and programs may trigger: a register that each app's tasks fill in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict

from subsystems.kernel.errors import NotListed


class Arguments(BaseModel):
    """Base of the arguments of a triggerable task: unknown names are refused."""

    model_config = ConfigDict(extra="forbid", strict=True)


@dataclass(frozen=True)
class Triggerable:
    """One entry: its public name, what it does, the model of its arguments and the function that does it.

    *scope* is what its caller must hold; `admin` is meant of the root system.
    """

    name: str
    summary: str
    arguments: type[Arguments]
    run: Callable[[Any], Any]
    scope: str = "operate"

    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema of the arguments."""
        return self.arguments.model_json_schema()


_register: dict[str, Triggerable] = {}
F = TypeVar("F", bound=Callable[[Any], Any])


def triggerable(
    name: str, arguments: type[Arguments] = Arguments, *, scope: str = "operate"
) -> Callable[[F], F]:
    """Register a function taking *arguments* and returning plain JSON under *name*; its docstring is the summary."""

    def register(function: F) -> F:
        summary = (function.__doc__ or "").strip().splitlines()[0]
        _register[name] = Triggerable(name, summary, arguments, function, scope)
        return function

    return register


def listed() -> list[Triggerable]:
    """Return every entry by name."""
    return [_register[name] for name in sorted(_register)]


def find(name: str) -> Triggerable:
    """Return the entry of *name*. Raises NotListed when nobody may trigger it."""
    try:
        return _register[name]
    except KeyError:
        raise NotListed(f"There is no task named {name!r} that may be triggered.", field="name") from None
