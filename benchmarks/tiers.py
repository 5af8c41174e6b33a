"""What a sample costs in each tier, and how long questions over an hour, a day, a month and a year take.

The year is GENERATED: 5 s data of series of five kinds (a noisy share with one decimal, a counter, a constant, bytes in
whole pages, seconds with four decimals), summed up and loaded by the platform's own roll-up and archive, as if it had
run for a year. `python -m benchmarks.tiers [--series 200] [--days 365]`; the table runs it smaller.
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
    """Load the generated year through the tiers, day by day; return ids and how long each part took."""
    from subsystems.recursion.queries import root_system
    from subsystems.telemetry import archiving, registry, retention, tiers, warm
    from subsystems.telemetry.columns import Columns, as_pieces, grouped, joined_pieces

    wanted = [registry.Wanted(f"host-{n // 5}", f"metric_{n % 5}", {}) for n in range(n_series)]
    ids = sorted(registry.series_ids(root_system().pk, wanted).values())
    rng = np.random.default_rng(1)
    spent = dict.fromkeys(("generate", "write", "roll_up", "archive"), 0.0)
    at = np.arange(0, DAY, STEP, dtype=float)
    for day in range(n_days):
        start = END - (n_days - day) * DAY
        with _Clock(spent, "generate"):
            minutes = [
                grouped(as_pieces(Columns(np.full(len(at), pk), start + at, generated(n, len(at), rng))), 60)
                for n, pk in enumerate(ids)
            ]
        with _Clock(spent, "write"):
            warm.write(joined_pieces(minutes))
        with _Clock(spent, "roll_up"):
            tiers.roll_up_steps(now=start + DAY)
        with _Clock(spent, "archive"):
            archiving.archive_due(now=start + DAY + 7_200)
            retention.forget(now=start + DAY + 7_200)
    return {"ids": ids, "spent": spent}


class _Clock:
    def __init__(self, spent: dict[str, float], name: str) -> None:
        self._spent, self._name = spent, name

    def __enter__(self) -> None:
        self._started = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self._spent[self._name] += time.perf_counter() - self._started


def disk(n_series: int, n_days: int) -> dict[str, float]:
    """Return bytes on disk: of the database's tables (indexes included) and of the archive."""
    from django.conf import settings
    from django.db import connection

    from subsystems.telemetry.models import ArchivedDay
    from subsystems.telemetry.steps import STEPS

    sizes: dict[str, float] = {}
    with connection.cursor() as cursor:
        for step in STEPS.values():
            if connection.vendor == "postgresql":
                cursor.execute(
                    "SELECT coalesce(sum(pg_total_relation_size(inhrelid)), 0) FROM pg_inherits"
                    " WHERE inhparent = %s::regclass",
                    [step.table],
                )
                sizes[step.table] = float(cursor.fetchone()[0])
            else:
                cursor.execute("SELECT coalesce(sum(pgsize), 0) FROM dbstat WHERE name = %s", [step.table])
                sizes[step.table] = float(cursor.fetchone()[0])
            cursor.execute(f"SELECT count(*) FROM {step.table}")
            sizes[f"{step.table}_rows"] = float(cursor.fetchone()[0])
    archive = Path(settings.ARCHIVE_URL.removeprefix("file://"))
    sizes["archive"] = float(sum(path.stat().st_size for path in archive.rglob("*") if path.is_file()))
    kept = list(ArchivedDay.objects.values_list("samples", "bytes"))
    sizes["archive_bytes_per_sample"] = sum(size for _, size in kept) / max(1, sum(n for n, _ in kept))
    sizes["warm"] = sum(sizes[step.table] for step in STEPS.values())
    sizes["kilobytes_per_metric_and_day"] = (sizes["warm"] + sizes["archive"]) / n_series / n_days / 1000
    return sizes


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
        "cold_30d_by_the_minute_ms": median(ask(min(30, n_days - 9), 300, "quantile(0.9)", END - 9 * DAY)),
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
    loading = loaded(n_series, n_days)["spent"]
    return {
        "generated": True,
        "series": n_series,
        "days": n_days,
        **hot,
        **latencies(n_days),
        **disk(n_series, n_days),
        "loading_seconds": {name: round(seconds, 1) for name, seconds in loading.items()},
    }


def run(n_series: int = 40, n_days: int = 45) -> list[Result]:
    found = measured(n_series, n_days)
    cold, read, panels = "archive_bytes_per_sample", "hot_1000_series_1h_ms", "50_panels_6h_ms"
    return [
        Result("tiers_cold", "a sample takes two bytes in the archive", found[cold], 2, "B", details=found),
        Result("tiers_hot_read", "an hour of 1000 series is read as arrays within 50 ms", found[read], 50, "ms"),
        Result("tiers_panels", "fifty panels are answered within half a second", found[panels], 500, "ms"),
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--series", type=int, default=40)
    parser.add_argument("--days", type=int, default=45)
    given = parser.parse_args()
    report(lambda: run(given.series, given.days))
