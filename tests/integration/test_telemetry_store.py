"""Samples in, both tiers, one reading path over them."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest
import time_machine
from django.contrib.admin.sites import site
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from subsystems.kernel.errors import Invalid, TransientError
from subsystems.recursion.models import System
from subsystems.telemetry import queries, registry, retention, services, tasks, tiers, warm
from subsystems.telemetry.aggregates import parse
from subsystems.telemetry.columns import Columns
from subsystems.telemetry.memory import MemoryHotTier
from subsystems.telemetry.models import ArchivedDay, Rollup, Series
from subsystems.telemetry.samples import Sample
from subsystems.telemetry.steps import STEPS
from subsystems.telemetry.store import hot_tier, use_tier
from tests.support.factories import make_system, make_user

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC).timestamp()


@pytest.fixture
def system() -> System:
    return make_system()


def record(
    system: System, source: str, metric: str, values: list[float], *, start: float = NOON, step: float = 5.0
) -> None:
    """Record *values*, one each *step* seconds, seen at the last of them."""
    samples = [Sample(metric, start + step * n, value) for n, value in enumerate(values)]
    outcome = services.record({source: samples}, system_id=system.pk, now=samples[-1].at)
    assert outcome.rejected == []


def test_the_latest_value_of_each_metric_is_known_by_source(system: System) -> None:
    """What the dashboard and the rules ask every few seconds."""
    record(system, "host-1", "cpu_ratio", [0.1, 0.9])
    services.record({"host-1": [Sample("cpu_ratio", NOON, 0.5, {"core": "0"})]}, system_id=system.pk, now=NOON)

    assert queries.latest(system.pk) == {"host-1": {"cpu_ratio": (NOON + 5, 0.9), 'cpu_ratio{core="0"}': (NOON, 0.5)}}
    assert queries.latest(system.pk, sources=["host-2"]) == {}
    assert queries.latest(system.pk, metrics=["memory_ratio"]) == {}


def test_systems_do_not_see_each_other(system: System) -> None:
    """The same source and metric in two systems are two series."""
    other = make_system()
    record(system, "host-1", "cpu_ratio", [0.1])
    record(other, "host-1", "cpu_ratio", [0.9])

    assert queries.latest(system.pk)["host-1"]["cpu_ratio"][1] == 0.1
    assert queries.latest(other.pk)["host-1"]["cpu_ratio"][1] == 0.9


def test_refused_samples_are_named_by_their_index_and_counted(system: System) -> None:
    """The sender learns which, the operator how many; the good ones in the same batch stay."""
    batches = {"a": [Sample("m", NOON, 1.0), Sample("m", NOON + 100, 1.0)], "b": [Sample("m", NOON - 4000, 1.0)]}

    outcome = services.record(batches, system_id=system.pk, now=NOON)

    assert outcome.accepted == 1
    assert [(rejection.index, rejection.code) for rejection in outcome.rejected] == [(1, "future"), (2, "too_old")]
    assert hot_tier().counters() == {"dropped_future": 1, "dropped_old": 1}


def test_new_series_cost_the_same_queries_however_many(system: System) -> None:
    """A thousand agents may start in one minute."""
    counts = []
    for size in (10, 100):
        batches = {f"agent-{size}-{n}": [Sample("m", NOON, 1.0)] for n in range(size)}
        with CaptureQueriesContext(connection) as captured:
            services.record(batches, system_id=system.pk, now=NOON)
        counts.append(len(captured))

    assert counts[0] == counts[1]


@pytest.mark.django_db(transaction=True)
def test_known_series_cost_no_query(system: System) -> None:
    """Ingest of what is already known never touches the database."""
    record(system, "host-1", "cpu_ratio", [0.1])

    with CaptureQueriesContext(connection) as captured:
        record(system, "host-1", "cpu_ratio", [0.2], start=NOON + 5)

    assert len(captured) == 0


def test_a_system_cannot_make_series_without_end(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    """A label with an id in it would otherwise fill the database; those that exist go on."""
    wanted = [registry.Wanted("a", f"m{n}", {}) for n in range(5)]

    found = registry.series_ids(system.pk, wanted, limit=3)
    again = registry.series_ids(system.pk, wanted, limit=3)

    assert len(found) == 3
    assert again == found
    assert Series.objects.count() == 3


def test_samples_without_room_for_their_series_are_refused(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    """The refusal has a code and a counter of its own."""
    room_for_one = registry.series_ids
    monkeypatch.setattr(registry, "series_ids", lambda system_id, wanted: room_for_one(system_id, wanted, limit=1))

    outcome = services.record({"a": [Sample("m", NOON, 1.0), Sample("n", NOON, 1.0)]}, system_id=system.pk, now=NOON)

    assert (outcome.accepted, [rejection.code for rejection in outcome.rejected]) == (1, ["series_limit"])
    assert hot_tier().counters() == {"dropped_series_limit": 1}


class UnreachableTier(MemoryHotTier):
    """A tier whose server does not answer."""

    def append(self, samples: Columns) -> None:
        raise TransientError("down")

    def read(self, *args: object) -> Columns:
        raise TransientError("down")


@pytest.fixture
def _unreachable():
    use_tier(UnreachableTier(10))
    yield
    use_tier(None)


@pytest.mark.usefixtures("_unreachable")
def test_a_hot_tier_that_is_down_loses_samples_loudly_and_stops_nobody(system: System) -> None:
    """Collection goes on; the loss is in the answer and in a counter."""
    outcome = services.record({"a": [Sample("m", NOON, 1.0)]}, system_id=system.pk, now=NOON)

    assert (outcome.accepted, outcome.rejected[0].code) == (0, "store_unavailable")
    assert hot_tier().counters() == {"dropped_store_unavailable": 1}


@pytest.mark.usefixtures("_unreachable")
def test_a_roll_up_without_a_hot_tier_waits_for_the_next_minute() -> None:
    """The task's door takes the failure; beat brings the next chance."""
    tasks.roll_up()

    assert Rollup.objects.count() == 0


@pytest.mark.usefixtures("_unreachable")
def test_a_query_without_a_hot_tier_says_that_it_is_incomplete(system: System) -> None:
    """Old data is still shown, and nobody takes it for all."""
    found = queries.query([system.pk], "m", start=NOON - 60, end=NOON, step=5, now=NOON)

    assert not found.complete


def test_closed_minutes_are_rolled_up_and_the_open_one_waits(system: System) -> None:
    """Count, sum, minimum, maximum and last of each minute (000-60)."""
    record(system, "host-1", "cpu_ratio", [float(n) for n in range(18)])

    tiers.roll_up(now=NOON + 90)

    rollup = Rollup.objects.get()
    assert (rollup.at, rollup.count, rollup.sum) == (NOON, 12, 66.0)
    assert (rollup.min, rollup.max, rollup.last) == (0.0, 11.0, 11.0)


def test_rolling_up_twice_writes_the_same(system: System) -> None:
    """A redelivered tick must not double anything."""
    record(system, "host-1", "cpu_ratio", [1.0] * 24)

    for _ in range(2):
        tiers.roll_up(now=NOON + 120)

    assert list(Rollup.objects.order_by("at").values_list("count", flat=True)) == [12, 12]


@pytest.mark.parametrize("late_seconds", [60, 3000], ids=["a minute late", "after an outage of the sender"])
def test_late_samples_reach_the_roll_up(system: System, late_seconds: float) -> None:
    """An agent that was offline sends its backlog; a week later it must still be there."""
    end = NOON + late_seconds
    record(system, "host-1", "m", [1.0])
    record(system, "host-2", "m", [1.0], start=end)
    tiers.roll_up(now=end + 60)
    services.record({"host-1": [Sample("m", NOON + 1, 3.0)]}, system_id=system.pk, now=end + 60)

    tiers.roll_up(now=end + 120)

    assert Rollup.objects.get(at=NOON, series__source="host-1").sum == 4.0


def test_a_restart_does_not_spoil_what_was_rolled_up(system: System) -> None:
    """Half a minute in a new, empty tier never replaces the whole minute in the database."""
    record(system, "host-1", "m", [1.0] * 12)
    tiers.roll_up(now=NOON + 60)
    hot_tier().clear()
    services.record({"host-1": [Sample("m", NOON + 59, 9.0)]}, system_id=system.pk, now=NOON + 70)

    tiers.roll_up(now=NOON + 70)

    assert Rollup.objects.get().sum == 12.0


def test_samples_of_a_deleted_series_do_not_stop_the_roll_up(system: System) -> None:
    """Somebody deletes a system while its last samples are still hot."""
    record(system, "gone", "m", [1.0])
    record(system, "host-1", "m", [1.0])
    Series.objects.get(source="gone").delete()

    tiers.roll_up(now=NOON + 60)

    assert Rollup.objects.get().series.source == "host-1"


def test_minutes_go_after_a_week_by_whole_days(system: System) -> None:
    """Requirements 2-26; a day goes as one, which costs a partitioned table nothing."""
    record(system, "host-1", "m", [1.0] * 30, step=60)
    tiers.roll_up(now=NOON + 3600)

    kept = retention.forget(now=NOON + 7 * 86_400)

    assert (kept, warm.count(0, NOON + 3600)) == (0, (30, 30))
    assert retention.forget(now=NOON + 8 * 86_400) == 30
    assert [warm.count(0, NOON + 3600, step) for step in STEPS.values()] == [(0, 0), (6, 30), (1, 30)]


def test_a_query_reads_both_tiers_without_overlap(system: System) -> None:
    """Two hours: the first only in the roll-ups, the second still hot; each sample counts once."""
    record(system, "host-1", "m", [1.0] * 60, step=60)
    tiers.roll_up(now=NOON + 3600)
    record(system, "host-1", "m", [2.0] * 60, start=NOON + 3600, step=60)
    tiers.roll_up(now=NOON + 7200)
    tiers.evict(now=NOON + 7200)

    found = queries.query([system.pk], "m", start=NOON, end=NOON + 7199, step=1800, agg="count", now=NOON + 7200)

    (line,) = found.series
    assert line.at.tolist() == [NOON, NOON + 1800, NOON + 3600, NOON + 5400]
    assert line.values.tolist() == [30.0, 30.0, 30.0, 30.0]
    assert (found.tiers, found.complete) == (["hot", "warm"], True)


def test_a_query_just_after_a_restart_still_shows_the_last_hour(system: System) -> None:
    """The hot tier of one process is empty then, the roll-ups are not."""
    record(system, "host-1", "m", [1.0] * 24)
    tiers.roll_up(now=NOON + 120)
    hot_tier().clear()

    found = queries.query([system.pk], "m", start=NOON, end=NOON + 120, step=60, agg="sum", now=NOON + 120)

    assert found.to_wire() == {
        "series": [
            {
                "metric": "m",
                "source": "host-1",
                "labels": {},
                "points": [[NOON, 12.0], [NOON + 60, 12.0]],
            }
        ],
        "tiers": ["warm"],
        "complete": True,
        "exact": True,
        "error": 0.0,
        "parts": [{"tier": "recent", "step": 60, "from": NOON, "to": NOON + 120}],
    }


def test_a_range_that_starts_within_a_minute_starts_there(system: System) -> None:
    """The roll-up of that minute knows more samples, but not those asked for."""
    record(system, "host-1", "m", [1.0] * 24)
    tiers.roll_up(now=NOON + 120)

    found = queries.query([system.pk], "m", start=NOON + 30, end=NOON + 70, step=10, agg="count", now=NOON + 120)

    assert found.series[0].at.tolist() == [NOON + 30, NOON + 40, NOON + 50, NOON + 60, NOON + 70]
    assert found.tiers == ["hot"]


@pytest.mark.parametrize(
    ("agg", "value"), [("avg", 2.5), ("min", 1.0), ("max", 4.0), ("sum", 10.0), ("last", 4.0), ("count", 4.0)]
)
def test_each_aggregate_is_that_of_the_samples(system: System, agg: str, value: float) -> None:
    """The six that the API offers."""
    record(system, "host-1", "m", [1.0, 2.0, 3.0, 4.0])

    found = queries.query([system.pk], "m", start=NOON, end=NOON + 60, step=60, agg=agg, now=NOON + 60)

    assert found.series[0].values.tolist() == [value]


def test_labels_choose_among_series(system: System) -> None:
    """One metric, a series per core."""
    samples = [Sample("cpu", NOON, float(core), {"core": str(core), "kind": "user"}) for core in range(3)]
    services.record({"host-1": samples}, system_id=system.pk, now=NOON)

    found = queries.query(
        [system.pk], "cpu", source="host-1", labels={"core": "2"}, start=NOON, end=NOON + 5, step=5, now=NOON
    )

    assert [(line.labels, line.values.tolist()) for line in found.series] == [({"core": "2", "kind": "user"}, [2.0])]


def test_a_range_older_than_the_retention_is_called_incomplete(system: System) -> None:
    """Nothing there is not the same as nothing happened."""
    found = queries.query([system.pk], "m", start=NOON - 400 * 86_400, end=NOON, step=86_400, now=NOON)

    assert not found.complete


@pytest.mark.parametrize(
    ("fields", "at_fault"),
    [
        pytest.param({"agg": "p100"}, "agg", id="an unknown aggregate"),
        pytest.param({"start": NOON + 100}, "from", id="an end before its start"),
        pytest.param({"step": 0}, "step", id="no step"),
        pytest.param({"step": 0.001}, "step", id="more points than anybody can see"),
        pytest.param({"end": float("inf")}, "step", id="no end"),
    ],
)
def test_a_query_that_cannot_be_answered_names_the_field(
    system: System, fields: dict[str, object], at_fault: str
) -> None:
    """The API turns this into a problem document."""
    arguments: dict[str, object] = {"start": NOON, "end": NOON + 60, "step": 5, **fields}

    with pytest.raises(Invalid) as refused:
        queries.query([system.pk], "m", **arguments)  # type: ignore[arg-type]

    assert refused.value.field == at_fault


def test_a_window_gives_the_samples_of_each_source(system: System) -> None:
    """What rules with a for-duration look at."""
    record(system, "host-1", "m", [1.0, 2.0])
    record(system, "host-2", "m", [3.0])

    found = queries.window(system.pk, "m", start=NOON, end=NOON + 5)

    assert {key: values.tolist() for key, (_, values) in found.items()} == {
        ("host-1", ""): [1.0, 2.0],
        ("host-2", ""): [3.0],
    }


def test_sparklines_hold_only_the_pairs_asked_for(system: System) -> None:
    """Two sources with two metrics are not four lines when two were asked for."""
    for source in ("host-1", "host-2"):
        record(system, source, "cpu", [1.0, 3.0])
        record(system, source, "mem", [2.0])

    found = queries.sparklines(system.pk, [("host-1", "cpu"), ("host-2", "mem")], now=NOON + 10)

    assert found == {"host-1": {"cpu": [[NOON, 2.0]]}, "host-2": {"mem": [[NOON, 2.0]]}}


def test_reading_costs_the_same_queries_however_many_series(system: System) -> None:
    """A dashboard of a hundred units must not ask a hundred times."""
    counts = []
    for size in (2, 60):
        services.record({f"unit-{n}": [Sample("m", NOON, 1.0)] for n in range(size)}, system_id=system.pk, now=NOON)
        pairs = [(f"unit-{n}", "m") for n in range(size)]
        with CaptureQueriesContext(connection) as captured:
            queries.latest(system.pk)
            queries.window(system.pk, "m", start=NOON, end=NOON)
            queries.sparklines(system.pk, pairs, now=NOON)
            queries.query([system.pk], "m", start=NOON - 60, end=NOON + 1, step=5, now=NOON)
        counts.append(len(captured))

    assert counts == [8, 8]  # of the minutes twice the rows and the chunks


def test_anybody_who_may_trigger_can_roll_up_now() -> None:
    """It takes no argument and says how many roll-ups were written."""
    assert tasks.roll_up_now(tasks.Arguments()) == {"rollups": 0}


def test_the_cleaning_task_forgets_what_is_past_its_time(system: System) -> None:
    """An hour of samples (000-43), a week of roll-ups (2-26)."""
    record(system, "host-1", "m", [1.0] * 24)
    tiers.roll_up(now=NOON + 120)

    left = []
    for moment in (NOON + 3600, NOON + 3800, NOON + 8 * 86_400):
        with time_machine.travel(moment, tick=False):
            tasks.evict()
        left.append((hot_tier().size(), Rollup.objects.count()))

    assert left[0] == (24, 2)
    assert left[-1] == (0, 0)


@pytest.mark.parametrize("model", [Series, ArchivedDay])
def test_the_admin_shows_series_and_days_and_changes_none(client: Client, system: System, model: type) -> None:
    """Measurements are not edited by hand."""
    record(system, "host-1", "m", [1.0] * 24)
    ArchivedDay.objects.create(day=date(2026, 1, 1), path="host-1", rows=1, samples=1, bytes=1)
    client.force_login(make_user(superuser=True))

    page = client.get(f"/admin/telemetry/{model.__name__.lower()}/?q=host")

    assert page.status_code == 200
    assert "1 result" in page.content.decode()
    assert not site.get_model_admin(model).has_add_permission(page.wsgi_request)


def test_late_samples_and_clocks_that_are_ahead_are_counted(system: System) -> None:
    """They are kept, and what is wrong with a clock shows before its samples are refused."""
    samples = [Sample("m", NOON + offset, 1.0) for offset in (-90.0, -61.0, -5.0, 0.0, 3.0)]

    outcome = services.record({"host-1": samples}, system_id=system.pk, now=NOON)

    assert outcome.rejected == []
    assert {"late_samples": 2, "ahead_samples": 1}.items() <= hot_tier().counters().items()


def test_a_system_full_of_series_says_which_setting_it_is(system: System, settings: Any) -> None:
    """The limit is the operator's to raise."""
    settings.MAX_SERIES = 1
    outcome = services.record({"a": [Sample("m", NOON, 1.0), Sample("n", NOON, 1.0)]}, system_id=system.pk, now=NOON)

    assert [(each.code, "VSM_MAX_SERIES" in each.detail) for each in outcome.rejected] == [("series_limit", True)]


@pytest.mark.parametrize("agg", ["avg", "p95"])
def test_fifty_panels_cost_as_many_queries_as_one(system: System, agg: str) -> None:
    """A dashboard asks once, whatever is on it."""
    services.record(
        {f"h-{n}": [Sample("m", NOON - 60 * k, 1.0) for k in range(9)] for n in range(50)},
        system_id=system.pk,
        now=NOON,
    )
    tiers.roll_up(now=NOON)
    counts = []
    for panels in (1, 50):
        asked = [
            queries.Request((system.pk,), "m", NOON - 7 * 86_400 + 60 * n, NOON, 3600, parse(agg), f"h-{n}")
            for n in range(panels)
        ]
        with CaptureQueriesContext(connection) as captured:
            queries.answer(asked, now=NOON)
        counts.append(len(captured))

    assert counts[0] <= 8
    assert counts[1] <= counts[0] + 6  # for the edges of ranges that begin at odd minutes
