"""How much of each resource is used, and where work piles up because of it (3.7)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

RATIOS = {"cpu": "cpu_ratio", "memory": "memory_ratio", "disk": "disk_ratio"}
METRICS = (*RATIOS.values(), "active", "pool_size")
MIN_SAMPLES = 4  # fewer cannot tell a growing queue from a full tick
Latest = Mapping[str, Mapping[str, tuple[float, float]]]


def utilisation(latest: Latest, *, since: float) -> dict[str, dict[str, Any]]:
    """Return for each resource the unit that uses most of it; samples older than *since* are not counted."""
    fresh = {
        source: {metric: value for metric, (at, value) in metrics.items() if at >= since}
        for source, metrics in latest.items()
    }
    found: dict[str, dict[str, Any]] = {}
    for source, metrics in sorted(fresh.items()):
        for resource, ratio in _ratios(metrics).items():
            if resource not in found or ratio > found[resource]["utilisation"]:
                found[resource] = {"unit": source, "utilisation": ratio}
    return found


def bottlenecks(used: Mapping[str, Mapping[str, Any]], growing: Sequence[str]) -> list[dict[str, Any]]:
    """Return the most used resource while a queue grows; without a growing queue nothing is held up (3.7)."""
    if not used or not growing:
        return []
    resource = max(used, key=lambda name: float(used[name]["utilisation"]))
    return [{"resource": resource, **used[resource], "growing_queues": sorted(growing)}]


def grows(values: Iterable[float]) -> bool:
    """Return whether the later half of *values* lies above the earlier one and the last above the first."""
    series = list(values)
    if len(series) < MIN_SAMPLES:
        return False
    half = len(series) // 2
    return series[-1] > series[0] and sum(series[-half:]) > sum(series[:half])


def _ratios(metrics: Mapping[str, float]) -> dict[str, float]:
    found = {resource: metrics[metric] for resource, metric in RATIOS.items() if metric in metrics}
    if "active" in metrics and metrics.get("pool_size", 0) > 0:
        found["workers"] = metrics["active"] / metrics["pool_size"]
    return found
