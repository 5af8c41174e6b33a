"""The kinds of units that can be watched: built-ins, and plug-ins from the entry points `vsm.adapters`."""

from __future__ import annotations

import logging
from functools import cache
from importlib.metadata import EntryPoint, entry_points

from subsystems.s1_operations.adapters.agent import AgentAdapter
from subsystems.s1_operations.adapters.base import Adapter
from subsystems.s1_operations.adapters.celery_fleet import QueueAdapter, WorkerAdapter
from subsystems.s1_operations.adapters.host import HostAdapter
from subsystems.s1_operations.adapters.http import HttpAdapter
from subsystems.s1_operations.adapters.prometheus import PrometheusAdapter

logger = logging.getLogger(__name__)
ENTRY_POINTS = "vsm.adapters"
BUILT_IN: tuple[type[Adapter], ...] = (
    HostAdapter, WorkerAdapter, QueueAdapter, HttpAdapter, PrometheusAdapter, AgentAdapter,
)  # fmt: skip


@cache
def registry() -> dict[str, Adapter]:
    """Return the adapters by kind. A broken plug-in is logged and left out; it stops nothing else."""
    found: dict[str, Adapter] = {adapter.kind: adapter() for adapter in BUILT_IN}
    for point in entry_points(group=ENTRY_POINTS):
        adapter = _plug_in(point)
        if adapter is None:
            continue
        if adapter.kind in found:
            logger.error("The adapter %s is left out: the kind %r is taken.", point.name, adapter.kind)
            continue
        found[adapter.kind] = adapter
    return found


def is_built_in(adapter: Adapter) -> bool:
    """Return whether the adapter is ours; a plug-in is kept at arm's length."""
    return isinstance(adapter, BUILT_IN)


def _plug_in(point: EntryPoint) -> Adapter | None:
    try:
        adapter = point.load()()
    except Exception:
        logger.exception("The adapter %s (%s) could not be loaded.", point.name, point.value)
        return None
    if not isinstance(adapter, Adapter):
        logger.error("The adapter %s (%s) lacks kind, title, Config or collect.", point.name, point.value)
        return None
    return adapter
