"""Agents push their samples to `/api/v1/ingest/`; there is nothing to poll, only silence to notice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from pydantic import BaseModel, Field

from subsystems.kernel.health import limit_health
from subsystems.s1_operations.adapters import base

SILENT_AFTER_SECONDS = 15.0
MEMORY = {"soft": 0.8, "hard": 0.98}
CPU = {"soft": 0.85, "hard": 1.0}
HEALTH_METRICS = frozenset({"memory_ratio", "cpu_ratio"})


class AgentConfig(base.Config):
    silent_after_seconds: float = Field(SILENT_AFTER_SECONDS, ge=5, le=86_400)


class AgentAdapter:
    kind: ClassVar[str] = "agent"
    title: ClassVar[str] = "Agent that pushes"
    Config: ClassVar[type[BaseModel]] = AgentConfig

    async def collect(self, units: Sequence[base.UnitRef], context: base.Context) -> list[base.Reading]:
        return []


def health_parts(latest: Mapping[str, float]) -> dict[str, float | None]:
    """Return an agent's health from what it pushed under the usual names; else all that is known is that it speaks."""
    parts: dict[str, float | None] = {}
    if "memory_ratio" in latest:
        parts["memory"] = limit_health(latest["memory_ratio"], **MEMORY)
    if "cpu_ratio" in latest:
        parts["cpu"] = limit_health(latest["cpu_ratio"], **CPU)
    return parts or {"heard": 1.0}
