"""Roll-up and archive are killed at every step: no sample counts twice, none is lost, no file is torn."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.conf import settings as django_settings
from django.db import connection

from subsystems.recursion.models import System
from subsystems.telemetry import archive_files, archiving, queries, registry, steps, tiers, warm
from subsystems.telemetry.columns import as_pieces, columns, grouped
from subsystems.telemetry.models import ArchivedDay, DueWindow, FiveMinuteRollup, HourRollup, Rollup
from subsystems.telemetry.steps import DAY
from subsystems.telemetry.store import hot_tier
from tests.support.dying import Filesystem, Step, dies_at
from tests.support.factories import make_system
from tests.support.waiting import wait_for

pytestmark = pytest.mark.django_db(transaction=True)
MIDNIGHT = int(datetime(2026, 11, 1, tzinfo=UTC).timestamp())
HOUR = 3600
MOST_STEPS = 400


@pytest.fixture
def system() -> System:
    return make_system()


def series_of(system: System, n: int) -> list[int]:
    wanted = [registry.Wanted("host-1", "m", {"core": str(core)}) for core in range(n)]
    return sorted(registry.series_ids(system.pk, wanted).values())


def totals(model: Any) -> tuple[int, float]:
    rows = model.objects.values_list("count", "sum")
    return sum(count for count, _ in rows), sum(total for _, total in rows)


def _roll_up(step: Step) -> None:
    if hasattr(hot_tier(), "_client"):
        _watch_redis(step)
    tiers.roll_up(now=MIDNIGHT + HOUR)


def _watch_redis(step: Step) -> None:
    client: Any = hot_tier()._client  # type: ignore[attr-defined]
    client.connection_pool.reset()
    run = client.execute_command
    client.execute_command = lambda *args, **options: step.run(run, *args, **options)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_roll_up_killed_at_any_step_loses_and_doubles_nothing(
    system: System, after: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kill it at its first step, at its second, ... until it survives; then it must be as if nobody had died."""
    ids = series_of(system, 3)
    at = MIDNIGHT + np.arange(0, HOUR, 15)
    owners = np.repeat(ids, len(at))
    samples = columns(owners, np.tile(at, 3), np.ones(len(owners)))
    half = len(samples) // 2
    hot_tier().append(samples.where(slice(half)))
    monkeypatch.setattr("subsystems.telemetry.redis_tier.LEASE_SECONDS", -1)  # the dead are known to be dead at once

    deaths = 0
    while deaths < MOST_STEPS and dies_at(deaths + 1, _roll_up, after=after):
        deaths += 1
        wait_for(_the_dead_are_gone)
        if deaths == 10:  # meanwhile more arrives, late too
            hot_tier().append(samples.where(slice(half, None)))
    tiers.roll_up(now=MIDNIGHT + HOUR)
    tiers.roll_up(now=MIDNIGHT + HOUR)

    assert 10 < deaths < MOST_STEPS
    expected = (len(samples), float(len(samples)))
    assert [totals(model) for model in (Rollup, FiveMinuteRollup, HourRollup)] == [expected] * 3
    assert (DueWindow.objects.count(), hot_tier().oldest_dirty()) == (0, None)


def _archive(now: float) -> Any:
    def work(step: Step) -> None:
        archive = archive_files.open_archive(django_settings.ARCHIVE_URL)
        archive._fs = Filesystem(archive._fs, step)
        archiving.archive_due(now=now)

    return work


def _the_dead_are_gone() -> bool:
    """Return whether the server has noticed the death: until then it keeps the locks of the dead."""
    if connection.vendor != "postgresql":
        return True
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            " AND application_name = 'dying'"
        )
        return bool(cursor.fetchone()[0] == 0)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_archiving_killed_at_any_step_tears_nothing(system: System, settings: Any, tmp_path: Path, after: bool) -> None:
    """After every death each question has the same answer, and what bears a name in the archive is whole."""
    settings.ARCHIVE_URL = f"file://{tmp_path}/archive"
    ids = series_of(system, 2)
    at = np.concatenate([MIDNIGHT + hour * HOUR + np.arange(0, 120, 30.0) for hour in range(48)])
    owners = np.repeat(ids, len(at))
    warm.write(grouped(as_pieces(columns(owners, np.tile(at, 2), np.ones(len(owners)))), 60))
    tiers.roll_up_steps(now=MIDNIGHT + 2 * DAY)
    now = MIDNIGHT + 9 * DAY
    asked = {"start": MIDNIGHT, "end": MIDNIGHT + 2 * DAY - 1, "step": 60, "agg": "count", "now": now}

    deaths = 0
    while deaths < MOST_STEPS and dies_at(deaths + 1, _archive(now), after=after):
        deaths += 1
        wait_for(_the_dead_are_gone)
        found = queries.query([system.pk], "m", **asked)
        assert [line.values.sum() for line in found.series] == [192.0, 192.0], f"after death {deaths}"
        for path in (tmp_path / "archive" / "minutes").rglob("*.parquet"):
            assert archive_files.sha256(path.read_bytes()).hexdigest()[:16] in path.name
    report = archiving.archive_due(now=now)

    assert 20 < deaths < MOST_STEPS
    assert set(report.to_wire().values()) == {0}
    assert [known.state for known in ArchivedDay.objects.all()] == ["moved", "moved"]
    assert (warm.count(0, now), warm.count(0, now, steps.HOUR)) == ((0, 0), (2 * 48, len(owners)))
    assert len(list((tmp_path / "archive" / "minutes").rglob("*.parquet"))) == 2
