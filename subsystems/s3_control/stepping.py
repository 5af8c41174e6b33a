"""What a step of carrying an act out has at hand, and what it comes to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from subsystems.s1_operations.adapters.celery_control import FleetControl
from subsystems.s3_control import acts
from subsystems.s3_control.models import Action

AGAIN = timedelta(seconds=1)
SHOWN_WITHIN_SECONDS = 20.0  # a busy machine takes its time to start a process
UNCERTAIN = "It may or may not have been done: whoever did it did not live to say so. It is not done again by itself."


@dataclass
class Work:
    """One step's surroundings."""

    action: Action
    control: FleetControl
    now: datetime

    @property
    def memory(self) -> dict[str, Any]:
        memory: dict[str, Any] = self.action.memory
        return memory

    @property
    def target(self) -> str:
        return self.action.target

    def parameters(self) -> Any:
        return acts.ACTS[self.action.kind].parameters.model_validate(self.action.parameters)

    def begin_once(self) -> bool:
        """Mark that what must not happen twice begins now; return False when the mark is there already."""
        if self.memory.get("begun"):
            return False
        self.memory["begun"] = True
        Action.objects.filter(pk=self.action.pk).update(memory=self.memory)
        return True

    @property
    def elapsed_seconds(self) -> float:
        return (self.now - (self.action.started_at or self.now)).total_seconds()


@dataclass
class Outcome:
    """What a step came to. Without a *state* the act goes on *again* later."""

    state: Action.State | None = None
    detail: str = ""
    after: Mapping[str, Any] | None = None
    counts: Mapping[str, int] = field(default_factory=dict)  # done, failed, total
    again: timedelta = AGAIN


def verified(detail: str, after: Mapping[str, Any], **counts: int) -> Outcome:
    return Outcome(Action.State.VERIFIED, detail, after, counts)
