"""What people and programs may trigger: a register that each app's tasks fill in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
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

    Unless it is *harmless* it acts on, or tells of, every tenant's units: then it is for those who hold *scope* in the
    root system.
    """

    name: str
    summary: str
    arguments: type[Arguments]
    run: Callable[[Any], Any]
    harmless: bool = False
    scope: str = "operate"

    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema of the arguments."""
        return self.arguments.model_json_schema()


Progress = Callable[[int, int], None]
_hears: ContextVar[Progress | None] = ContextVar("hears_progress", default=None)


@contextmanager
def hearing_progress(hear: Progress) -> Iterator[None]:
    """Let *hear* be told how far what runs inside has come."""
    token = _hears.set(hear)
    try:
        yield
    finally:
        _hears.reset(token)


def tell_progress(done: int, total: int) -> None:
    """Say that *done* of *total* are done, to whoever follows the run; long functions do so every minute or so."""
    if hear := _hears.get():
        hear(done, total)


_register: dict[str, Triggerable] = {}
F = TypeVar("F", bound=Callable[[Any], Any])


def triggerable(
    name: str, arguments: type[Arguments] = Arguments, *, harmless: bool = False, scope: str = "operate"
) -> Callable[[F], F]:
    """Register a function taking *arguments* and returning plain JSON under *name*; its docstring is the summary."""

    def register(function: F) -> F:
        summary = (function.__doc__ or "").strip().splitlines()[0]
        _register[name] = Triggerable(name, summary, arguments, function, harmless, scope)
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
