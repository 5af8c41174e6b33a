"""Sources that come and go leave their history to their role: nothing is counted twice, and nothing is lost."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from subsystems.recursion.models import System
from subsystems.s1_operations import services as s1
from subsystems.s1_operations.models import Unit
from subsystems.telemetry import archiving, merging, packing, queries, registry, services, tiers, warm
from subsystems.telemetry.columns import columns
from subsystems.telemetry.distributions import of_samples
from subsystems.telemetry.models import Series
from subsystems.telemetry.steps import DAY
from subsystems.telemetry.tables import Table
from tests.support.factories import make_system, make_unit

pytestmark = pytest.mark.django_db
MIDNIGHT = int(datetime(2026, 11, 1, tzinfo=UTC).timestamp())
PODS = ("web-7d9f8b5c6d-x2k4j", "web-7d9f8b5c6d-z9w8v")
ROLES = dict.fromkeys(PODS, "web-*")


@pytest.fixture
def system() -> System:
    return make_system()


def stored(system: System, source: str, metric: str, values: Any, kind: str = "", start: int = MIDNIGHT) -> int:
    """Write samples, one each five seconds, as roll-ups of every step."""
    (pk,) = registry.series_ids(system.pk, [registry.Wanted(source, metric, {}, kind)]).values()
    at = start + 5.0 * np.arange(len(values))
    warm.write(of_samples(columns([pk] * len(at), at, values), 60))
    tiers.roll_up_steps(now=start + DAY)
    return pk


def asked(system: System, metric: str, agg: str, **more: Any) -> list[tuple[str, list[float]]]:
    found = queries.query(
        [system.pk], metric, start=MIDNIGHT, end=MIDNIGHT + 7199, step=3600, agg=agg, now=MIDNIGHT + 9 * DAY, **more
    )
    return [(line.source, line.values.tolist()) for line in found.series]


@pytest.mark.parametrize("packed", [True, False], ids=["packed", "as rows"])
def test_a_role_has_seen_what_its_sources_saw(system: System, packed: bool) -> None:
    """Counts, extremes and quantiles are those of all samples together."""
    rng = np.random.default_rng(3)
    values = [rng.lognormal(0, 1, 1440), rng.lognormal(1, 1, 1440)]
    for pod, its in zip(PODS, values, strict=True):
        stored(system, pod, "seconds", its)
    if packed:
        packing.pack_settled(now=MIDNIGHT + 2 * DAY)

    merged = merging.merge_sources(system.pk, ROLES)
    again = merging.merge_sources(system.pk, ROLES)

    everything = np.concatenate([its[:720] for its in values])
    assert (merged, again) == (2, 2)
    assert [source for source, _ in asked(system, "seconds", "count")] == ["web-*"]
    assert asked(system, "seconds", "count")[0][1] == [1440, 1440]
    assert asked(system, "seconds", "max")[0][1][0] == everything.max()
    assert asked(system, "seconds", "p95")[0][1][0] == pytest.approx(np.quantile(everything, 0.95), rel=0.02)


def test_counters_of_a_role_add_up_what_they_rose_by(system: System) -> None:
    """Two counters have no sum, and one that begins at 0 is no reset of the other."""
    for pod in PODS:
        stored(system, pod, "done_total", np.arange(1440.0))
    before = sum(values[0] for _, values in asked(system, "done_total", "increase"))

    merging.merge_sources(system.pk, ROLES)

    assert Series.objects.get(source="web-*").kind == "delta"
    assert asked(system, "done_total", "increase") == [("web-*", [before, 1440.0])]


def test_more_of_a_role_is_added_to_it(system: System) -> None:
    """Pods leave one after the other, for months."""
    for pod in PODS:
        stored(system, pod, "m", np.ones(720))
        merging.merge_sources(system.pk, {pod: "web-*"})

    assert asked(system, "m", "count") == [("web-*", [1440.0])]
    assert asked(system, "m", "sum") == [("web-*", [1440.0])]


def test_the_archive_answers_for_a_role(system: System, settings: Any, tmp_path: Path) -> None:
    """Its files still name the sources; the role reads them as its own."""
    settings.ARCHIVE_URL = f"file://{tmp_path}/archive"
    for pod in PODS:
        stored(system, pod, "m", np.arange(720.0))
        stored(system, pod, "done_total", np.arange(720.0))
    archiving.archive_due(now=MIDNIGHT + 9 * DAY)

    merging.merge_sources(system.pk, ROLES)
    found = queries.query(
        [system.pk], "m", start=MIDNIGHT, end=MIDNIGHT + 3599, step=60, agg="count", now=MIDNIGHT + 50 * DAY
    )
    rose = queries.query(
        [system.pk], "done_total", start=MIDNIGHT, end=MIDNIGHT + 3599, step=60, agg="increase", now=MIDNIGHT + 50 * DAY
    )

    assert (found.tiers, [line.source for line in found.series]) == (["cold"], ["web-*"])
    assert found.series[0].values.tolist() == [24.0] * 60
    assert rose.series[0].values.sum() == 2 * 719


def test_a_source_that_comes_back_has_a_name_of_its_own_again(system: System) -> None:
    """A process may be told to use a name again."""
    stored(system, PODS[0], "m", np.ones(12))
    merging.merge_sources(system.pk, ROLES)

    back = merging.come_back(system.pk, PODS)
    stored(system, PODS[0], "m", np.ones(12), start=MIDNIGHT + 3600)

    assert back == 1
    assert asked(system, "m", "count") == [(PODS[0], [12.0]), ("web-*", [12.0])]


def test_a_unit_gone_for_a_week_is_forgotten_and_its_history_kept(system: System) -> None:
    """Gone is not down; and a thousand restarts must not leave a thousand units."""
    now = datetime.fromtimestamp(MIDNIGHT, UTC) + timedelta(days=9)
    gone = make_unit(
        system=system, kind="host", name=PODS[0], state=Unit.State.GONE, last_seen_at=now - timedelta(days=8)
    )
    kept = make_unit(
        system=system, kind="host", name=PODS[1], state=Unit.State.GONE, last_seen_at=now - timedelta(days=6)
    )
    stored(system, PODS[0], "m", np.ones(720))

    forgotten = [s1.forget_gone(now=now), s1.forget_gone(now=now)]

    assert forgotten == [1, 0]
    assert list(Unit.objects.filter(pk__in=[gone.pk, kept.pk])) == [kept]
    assert asked(system, "m", "sum") == [("web-*", [720.0])]


def test_what_a_sender_says_a_series_is_outlives_the_process(system: System) -> None:
    """A delta read as a counter would show resets that never were."""
    names = [("a", "hits", "")]
    at = MIDNIGHT + 10.0 * np.arange(6)
    values = np.array([5.0, 1, 4, 0, 2, 3])
    table = Table(names, np.zeros(6, np.int32), at, values, [{}])
    services.record_table(table, system_id=system.pk, now=MIDNIGHT + 60)
    registry.forget_ids()
    table.kinds = ["delta"]
    services.record_table(table, system_id=system.pk, now=MIDNIGHT + 60)
    registry.forget_ids()

    found = queries.query(
        [system.pk], "hits", start=MIDNIGHT, end=MIDNIGHT + 59, step=60, agg="increase", now=MIDNIGHT + 61
    )

    assert Series.objects.get(metric="hits").kind == "delta"
    assert found.series[0].values.tolist() == [30.0]  # each was sent twice
