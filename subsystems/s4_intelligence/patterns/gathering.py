"""Facts that no event tells and patterns ask for: readings of variety, use of resources, performance, acts on units.

They are read every half minute where a pattern of the system wants them, and heard as events. What was not measured
makes no event.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from django.db.models import Sum

from subsystems.kernel.errors import TransientError
from subsystems.s2_coordination.models import Clearing
from subsystems.s4_intelligence.models import Pattern, PatternInput
from subsystems.s4_intelligence.patterns import listening
from subsystems.telemetry import queries as telemetry
from subsystems.variety.models import Operation, Reading

PERIOD_SECONDS = 30
FRESH_SECONDS = 90.0
MAX_ACTS = 500
LOOK_BACK_SECONDS = 120.0
VARIETY, RESOURCES, PERFORMANCE, ACT = "vsm.variety.calculated", "vsm.s3.resources", "vsm.s1.performance", "vsm.s2.act"
RATIOS = ("cpu_ratio", "memory_ratio", "disk_ratio")
Fact = Mapping[str, Any]


def gather(*, now: datetime) -> int:
    """Write the facts that patterns ask for; return how many. Call it once in a slot."""
    asked: dict[int, set[str]] = {}
    for system_id, names in Pattern.objects.filter(enabled=True).values_list("system_id", "names"):
        asked.setdefault(system_id, set()).update(names)
    told = [
        (system_id, now.timestamp(), name, dict(data))
        for system_id, names in sorted(asked.items())
        for name, read in _READERS.items()
        if name in names
        for data in read(system_id, now.timestamp())
    ]
    return listening.write(told) if told else 0


def _last(system_id: int, name: str) -> Fact | None:
    text = PatternInput.objects.filter(system=system_id, type=name).order_by("-pk").values_list("data", flat=True)
    found = text.first()
    return None if found is None else json.loads(found)


def _variety(system_id: int, now: float) -> Iterable[Fact]:
    """Bits that come in (the environment's) and that answer (the operations'), with what they rest on (2-15, 2-18)."""
    reading = Reading.objects.filter(system=system_id).order_by("-slot").first()
    last = _last(system_id, VARIETY)
    if reading is None or now - reading.at > FRESH_SECONDS or (last is not None and last.get("slot") == reading.slot):
        return
    figures = reading.figures
    incoming, answered = figures.get("environment"), figures.get("operation")
    said = {
        "input_variety": incoming, "output_variety": answered, "input_samples": figures.get("samples"),
        "variety_ratio": figures.get("ratio"), "deficit_bits": figures.get("deficit_bits"),
        "variety_load": incoming / answered if incoming is not None and answered else None, "slot": reading.slot,
    }  # fmt: skip
    yield {name: value for name, value in said.items() if value is not None}


def _resources(system_id: int, now: float) -> Iterable[Fact]:
    """The resource that is used most, of the units heard in the last half minute."""
    try:
        latest = telemetry.latest(system_id, metrics=RATIOS)
    except TransientError:  # the hot tier is away: nothing is known
        return
    used = [
        (value, source, metric)
        for source, metrics in latest.items()
        for metric, (at, value) in metrics.items()
        if now - at <= PERIOD_SECONDS
    ]
    if used:
        value, source, metric = max(used)
        yield {"utilization": value, "unit": source, "resource": metric.removesuffix("_ratio")}


def _performance(system_id: int, now: float) -> Iterable[Fact]:
    """The share of operations that ended well since the last time; none where none ended."""
    sums = Operation.objects.filter(system=system_id).aggregate(count=Sum("count"), success=Sum("success"))
    if sums["count"] is None:
        return
    last = _last(system_id, PERFORMANCE)
    before = last or {}
    data: dict[str, Any] = {"count": sums["count"], "success": sums["success"]}
    ended = sums["count"] - before.get("count", sums["count"])
    if ended > 0:
        data["performance_score"] = (sums["success"] - before["success"]) / ended
    yield data


def _acts(system_id: int, now: float) -> Iterable[Fact]:
    """What S2 was told to be done, by whomever: its direction, and whether it took back the one before."""
    since = now - LOOK_BACK_SECONDS
    told = PatternInput.objects.filter(system=system_id, type=ACT, at__gte=since - PERIOD_SECONDS)
    known = {json.loads(text)["clearing"] for text in told.values_list("data", flat=True)}
    rows = Clearing.objects.filter(
        damper__system=system_id, done=True, ended_at__gte=datetime.fromtimestamp(since, UTC)
    )
    for row in rows.select_related("damper").order_by("ended_at")[:MAX_ACTS]:
        if row.pk not in known:
            data = {"subject": row.damper.subject, "writer": row.writer, "direction": row.direction}
            yield {**data, "reversal": row.reversal, "clearing": row.pk}


_READERS: Mapping[str, Callable[[int, float], Iterable[Fact]]] = {
    VARIETY: _variety, RESOURCES: _resources, PERFORMANCE: _performance, ACT: _acts,
}  # fmt: skip
