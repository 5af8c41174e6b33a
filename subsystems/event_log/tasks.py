"""Doors of the event log: what people may trigger."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from subsystems.event_log import queries, services
from subsystems.kernel.triggerable import Arguments, triggerable


class ReplayArguments(Arguments):
    """Which read model to build again."""

    name: Annotated[str, Field(max_length=80, description="Name of the event handler")]


class VerifyArguments(Arguments):
    """Which part of the chain to walk along."""

    from_position: Annotated[int, Field(ge=1, description="The first event")] = 1
    to_position: Annotated[int | None, Field(ge=1, description="The last event; without it, the newest")] = None


@triggerable("event_log.replay", ReplayArguments, scope="admin")
def replay(arguments: ReplayArguments) -> dict[str, Any]:
    """Build the read model of one event handler again from the first event."""
    return {"name": arguments.name, "events": services.replay(arguments.name)}


@triggerable("event_log.verify", VerifyArguments, scope="admin")
def verify(arguments: VerifyArguments) -> dict[str, Any]:
    """Prove that no event was altered, deleted, inserted or moved, or tell where."""
    return queries.verify(arguments.from_position, arguments.to_position).to_wire()
