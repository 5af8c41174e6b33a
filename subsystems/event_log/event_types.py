"""The documented events as types (requirements 004-18, 004-19): checked when recorded and when read."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from subsystems.event_log.recorded import Recorded
from subsystems.event_log.streams import Stream
from subsystems.kernel.times import moment_text


class TypedEvent(BaseModel):
    """Base of an event with a documented form. Its fields are its data; *about* names those that are metadata."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    stream: ClassVar[Stream]
    subsystem: ClassVar[str]
    version: ClassVar[int] = 1
    about: ClassVar[frozenset[str]] = frozenset()

    @classmethod
    def name(cls) -> str:
        """Return the event's type as it is stored."""
        return cls.__name__


class OperationExecuted(TypedEvent):
    """A unit carried out an operation (004-18)."""

    stream = Stream.OPERATIONS
    subsystem = "system1"
    about = frozenset({"operation", "handler"})

    operation_id: str = Field(max_length=64)
    operation: str = ""
    handler: str = ""
    input_variety: float | None = Field(default=None, ge=0, description="Bits; unknown when nobody measured it")
    output_variety: float | None = Field(default=None, ge=0, description="Bits; unknown when nobody measured it")
    execution_time: float = Field(ge=0, description="Milliseconds")
    result: Any = None


class AlgedonicSignalEmitted(TypedEvent):
    """Pain or pleasure was raised (004-19)."""

    stream = Stream.ALGEDONIC
    subsystem = "algedonic_channel"
    about = frozenset({"escalation_path"})

    signal_id: str = Field(max_length=64)
    signal_type: Literal["pain", "pleasure"]
    severity: Literal["critical", "high", "medium", "low"]
    source: str
    description: str = ""
    metrics: dict[str, Any] = Field(default_factory=dict)
    escalation_path: list[str] = Field(default_factory=list)


TYPES: dict[str, type[TypedEvent]] = {each.name(): each for each in (OperationExecuted, AlgedonicSignalEmitted)}


def typed(event: Recorded) -> TypedEvent | None:
    """Return *event* as its type, or None when it has no documented form. Raises pydantic's ValidationError."""
    known = TYPES.get(event.type)
    return None if known is None else known.model_validate(event.data)


def document(event: Recorded) -> dict[str, Any]:
    """Return *event* in the documented form: type, subsystem, data, metadata."""
    version, data = event.current()
    known = TYPES.get(event.type)
    about = known.about if known else frozenset()
    return {
        "type": event.type,
        "subsystem": known.subsystem if known else event.stream,
        "data": {name: value for name, value in data.items() if name not in about},
        "metadata": {
            "timestamp": moment_text(event.at),
            "version": version,
            **{name: value for name, value in data.items() if name in about},
        },
    }
