"""Which metric stands for a unit where there is room for one."""

from __future__ import annotations

from collections.abc import Iterable

KEY_METRICS = {
    "host": "cpu_ratio",
    "celery_worker": "task_rate",
    "celery_queue": "ready",
    "http": "latency_seconds",
}


def key_metric(kind: str, metrics: Iterable[str]) -> str:
    """Return the metric shown for a unit of *kind*: the known one, else the first by name, else nothing."""
    return KEY_METRICS.get(kind) or min(metrics, default="")
