"""What a sample costs in each tier, and how long questions over an hour, a day, a month and a year take.

The year is GENERATED: 5 s data of series of five kinds (a noisy share with one decimal, a counter, a constant, bytes in
whole pages, seconds with four decimals), taken in by the hot tier and loaded by the platform's own roll-up, packing and
archive on a clock that runs ahead. `python -m benchmarks tiers [--series 200] [--days 365]`; the table runs it smaller.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import django
import numpy as np

from benchmarks.result import Result, report

DAY, STEP = 86_400, 5
END = 1_795_132_800  # a midnight
HERE = {"VSM_ARCHIVE_URL": f"file://{os.environ.get('VSM_HOME', '/tmp')}/archive"}


def generated(kind: int, samples: int, rng: Any) -> Any:
    """Return the values of one series: what machines and applications usually tell."""
    match kind % 5:
        case 0:
            daily = 20 * np.sin(np.arange(samples) * STEP / DAY * 2 * np.pi)
            return np.round(np.clip(50 + daily + rng.normal(0, 3, samples), 0, 100), 1)
        case 1:
            return np.cumsum(rng.poisson(20, samples)).astype(float)
        case 2:
            return np.full(samples, 16.0)
        case 3:
            return np.round(np.cumsum(rng.normal(0, 40_960, samples)) / 4096) * 4096 + 2e9
    return np.round(rng.lognormal(-3, 0.5, samples), 4)


def loaded(n_series: int, n_days: int) -> dict[str, Any]:
    """Load the generated days through every tier on a clock that runs ahead.

    Return the seconds each part took, and the bytes of a day that is not packed yet.
    """
    from subsystems.recursion.queries import root_system
    from subsystems.telemetry import archiving, packing, registry, retention, tiers
    from subsystems.telemetry.steps import STEPS

    wanted = [registry.Wanted(f"host-{n // 5}", f"metric_{n % 5}", {}) for n in range(n_series)]
    ids = sorted(registry.series_ids(root_system().pk, wanted).values())
    rng, open_day = np.random.default_rng(1), 0.0
    spent = dict.fromkeys(("generate", "append", "roll_up", "pack", "archive"), 0.0)
    for day in range(n_days):
        start = END - (n_days - day) * DAY
        with _Clock(spent, "generate"):
            values = np.stack([generated(n, DAY // STEP, rng) for n in range(n_series)])
        for hour in range(24):
            _one_hour(ids, values[:, hour * 720 : (hour + 1) * 720], start + hour * 3600, spent)
        now = start + DAY + packing.SETTLED_SECONDS
        open_day = sum(table_bytes(step.table) for step in STEPS.values()) if day == 0 else open_day
        with _Clock(spent, "roll_up"):
            tiers.roll_up_steps(now=now)
        with _Clock(spent, "pack"):
            packing.pack_settled(now=now)
        with _Clock(spent, "archive"):
            archiving.archive_due(now=now)
            retention.forget(now=now)
        vacuum()
    return {"spent": spent, "open_day": open_day}


def vacuum() -> None:
    """Do what PostgreSQL does by itself in a day: make room of what was deleted."""
    from django.db import connection

    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("VACUUM telemetry_rollupchunk")


def _one_hour(ids: list[int], values: Any, start: float, spent: dict[str, float]) -> None:
    """Put one hour into the hot tier, five minutes of all series at a time, sum it up and let it go."""
    from subsystems.telemetry import tiers
    from subsystems.telemetry.columns import Columns
    from subsystems.telemetry.store import hot_tier

    at = start + np.arange(0, 300, STEP)
    with _Clock(spent, "append"):
        for part in range(12):
            some = values[:, part * 60 : (part + 1) * 60].reshape(-1)
            hot_tier().append(Columns(np.repeat(ids, 60), np.tile(at + part * 300, len(ids)), some))
    with _Clock(spent, "roll_up"):
        tiers.roll_up(now=start + 3600)
    tiers.evict(now=start + 3600 + 3600)


class _Clock:
    def __init__(self, spent: dict[str, float], name: str) -> None:
        self._spent, self._name = spent, name

    def __enter__(self) -> None:
        self._started = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self._spent[self._name] += time.perf_counter() - self._started


def table_bytes(name: str) -> float:
    """Return what a table takes on disk, with its indexes, its partitions and what PostgreSQL stores beside it."""
    from django.db import connection

    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(
                "SELECT pg_total_relation_size(%s::regclass) + coalesce(sum(pg_total_relation_size(inhrelid)), 0)"
                " FROM pg_inherits WHERE inhparent = %s::regclass",
                [name, name],
            )
        else:
            cursor.execute(
                "SELECT coalesce(sum(pgsize), 0) FROM dbstat WHERE name = %s OR name IN"
                " (SELECT name FROM sqlite_master WHERE tbl_name = %s)",
                [name, name],
            )
        return float(cursor.fetchone()[0])


def disk(n_series: int, n_days: int, open_day: float) -> dict[str, float]:
    """Return bytes on disk, and what a year of them comes to for each metric and day.

    Loaded were fewer days than a year: of each step the bytes of a day are multiplied by how many days it is kept.
    """
    from django.conf import settings
    from django.db.models import Sum
    from django.db.models.functions import Coalesce, Length

    from subsystems.telemetry.models import ArchivedDay, RollupChunk
    from subsystems.telemetry.steps import STEPS

    held = RollupChunk.objects.annotate(size=Length("data") + Coalesce(Length("sketches"), 0)).order_by()
    by_step = {
        row["step_seconds"]: row
        for row in held.values("step_seconds").annotate(bytes=Sum("size"), n=Sum("rows"), told=Sum("samples"))
    }
    around = table_bytes("telemetry_rollupchunk") / sum(row["bytes"] for row in by_step.values())
    sizes: dict[str, float] = {"open_day_bytes_per_metric": open_day / n_series, "bytes_around_a_chunk": around}
    year = open_day / n_series / 365
    for step in STEPS.values():
        row = by_step[step.seconds]
        rollup = row["bytes"] * around / row["n"]
        sizes[f"rollup_{step.seconds}_bytes"] = round(rollup, 2)
        year += rollup * DAY / step.seconds * step.keep_seconds / DAY / 365
    archive = Path(settings.ARCHIVE_URL.removeprefix("file://"))
    stored = float(sum(path.stat().st_size for path in archive.rglob("*") if path.is_file()))
    kept = list(ArchivedDay.objects.values_list("samples", "bytes"))
    sizes["archive_bytes_per_sample"] = sum(size for _, size in kept) / max(1, sum(n for n, _ in kept))
    sizes["database_kilobytes_per_metric_and_day"] = year / 1000
    sizes["kilobytes_per_metric_and_day"] = year / 1000 + stored / n_series / n_days / 1000
    return {name: round(size, 3) for name, size in sizes.items()}


def latencies(n_days: int) -> dict[str, float]:
    """Return milliseconds (medians of nine) of one series over ranges, and of fifty panels at once."""
    from subsystems.recursion.queries import root_system
    from subsystems.telemetry import queries
    from subsystems.telemetry.aggregates import Aggregate

    system = root_system().pk

    def ask(days: float, step: float, agg: str = "avg", end: float = END) -> Callable[[], object]:
        return lambda: queries.query(
            [system], "metric_0", source="host-3", start=end - days * DAY, end=end, step=step, agg=agg, now=END
        )

    found = {
        "1h_ms": median(ask(1 / 24, 60)),
        "1d_ms": median(ask(1, 300)),
        "30d_ms": median(ask(min(30, n_days), 3600)),
        "1y_ms": median(ask(min(365, n_days), DAY)),
        "1y_increase_ms": median(ask(min(365, n_days), DAY, "increase")),
        "cold_1d_by_the_minute_ms": median(ask(1, 60, end=END - (n_days - 2) * DAY)),
        "1y_p95_by_the_day_ms": median(ask(min(365, n_days), DAY, "p95")),
        "cold_30d_by_five_minutes_ms": median(ask(min(30, n_days - 9), 300, "avg", END - 9 * DAY)),
    }
    panels = [
        queries.Request((system,), f"metric_{n % 5}", END - 6 * 3600, END, 60, Aggregate("avg"), f"host-{n % 40}")
        for n in range(50)
    ]
    found["50_panels_6h_ms"] = median(lambda: queries.answer(panels, now=END))
    return found


def hot_read() -> dict[str, float]:
    """Return milliseconds of reading 1000 series x 1 h as arrays, and bytes a sample, from the hot tier in use."""
    from subsystems.telemetry.columns import Columns
    from subsystems.telemetry.store import hot_tier

    tier, ids = hot_tier(), np.arange(1, 1001, dtype=np.int64)
    for n in range(720):
        tier.append(Columns(ids, np.full(1000, END + STEP * n, float), np.full(1000, n / 7)))
    tier.read(ids, END, END + 3600)
    return {"hot_1000_series_1h_ms": median(lambda: tier.read(ids, END, END + 3599))}


def median(work: Callable[[], object], rounds: int = 9) -> float:
    spent = []
    for _ in range(rounds):
        started = time.perf_counter()
        work()
        spent.append((time.perf_counter() - started) * 1000)
    return round(statistics.median(spent), 3)


def measured(n_series: int, n_days: int) -> dict[str, Any]:
    os.environ.update({name: os.environ.get(name, value) for name, value in HERE.items()})
    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    hot = hot_read()
    from subsystems.telemetry.store import hot_tier

    hot_tier().clear()
    loading = loaded(n_series, n_days)
    return {
        "generated": True,
        "series": n_series,
        "days": n_days,
        **hot,
        **latencies(n_days),
        **disk(n_series, n_days, loading["open_day"]),
        "loading_seconds": {name: round(seconds, 1) for name, seconds in loading["spent"].items()},
    }


def run(n_series: int = 20, n_days: int = 20) -> list[Result]:
    found = measured(n_series, n_days)
    cold, read, panels = "archive_bytes_per_sample", "hot_1000_series_1h_ms", "50_panels_6h_ms"
    day = "kilobytes_per_metric_and_day"
    return [
        Result("tiers_disk", "a metric takes ten kilobytes a day, everything together", found[day], 10, "KB"),
        Result("tiers_cold", "a sample takes two bytes in the archive", found[cold], 2, "B", details=found),
        Result("tiers_hot_read", "an hour of 1000 series is read as arrays within 50 ms", found[read], 50, "ms"),
        Result("tiers_panels", "fifty panels are answered within half a second", found[panels], 500, "ms"),
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--series", type=int, default=20)
    parser.add_argument("--days", type=int, default=20)
    given = parser.parse_args()
    report(lambda: run(given.series, given.days))
