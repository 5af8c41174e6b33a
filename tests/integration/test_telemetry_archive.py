"""Days of minutes on their way into the archive, and questions that reach back into it."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from django.core.management import CommandError, call_command

from subsystems.kernel.errors import Refused
from subsystems.recursion.models import System
from subsystems.telemetry import archive_files, archiving, cold, queries, registry, retention, tiers, warm
from subsystems.telemetry.archive_files import ArchiveDamaged
from subsystems.telemetry.columns import Pieces, as_pieces, columns, grouped
from subsystems.telemetry.models import ArchivedDay
from subsystems.telemetry.steps import DAY
from subsystems.telemetry.store import hot_tier
from tests.support.factories import make_system

pytestmark = pytest.mark.django_db
MIDNIGHT = int(datetime(2026, 11, 1, tzinfo=UTC).timestamp())
WEEK = 7 * DAY


@pytest.fixture
def system() -> System:
    return make_system()


@pytest.fixture
def folder(tmp_path: Path, settings: Any) -> Path:
    settings.ARCHIVE_URL = f"file://{tmp_path}/archive"
    return tmp_path / "archive"


def minutes(series: list[int], *, days: int, start: int = MIDNIGHT, per_minute: int = 12) -> Pieces:
    """Roll-ups of samples that count up, ten minutes of each hour."""
    step = 60 / per_minute
    at = np.concatenate([start + hour * 3600 + np.arange(0, 600, step) for hour in range(24 * days)])
    owners = np.repeat(series, len(at))
    values = np.tile(np.arange(len(at), dtype=float) / 10, len(series)) + owners
    return grouped(as_pieces(columns(owners, np.tile(at, len(series)), values).ordered()), 60)


def minutes_left() -> int:
    """Return how many minutes the database still has, packed or not."""
    return warm.count(0, MIDNIGHT + 400 * DAY)[0]


def stored(system: System, *, days: int, names: int = 2) -> list[int]:
    wanted = [registry.Wanted("host-1", "m", {"core": str(n)}) for n in range(names)]
    ids = sorted(registry.series_ids(system.pk, wanted).values())
    warm.write(minutes(ids, days=days))
    tiers.roll_up_steps(now=MIDNIGHT + days * DAY)
    return ids


def test_a_day_is_in_the_archive_before_it_leaves_the_database(system: System, folder: Path) -> None:
    """Written when it has settled, moved when its week is over; between the two it is in both places."""
    stored(system, days=2)

    first = archiving.archive_due(now=MIDNIGHT + 2 * DAY + 7200)
    left_at_first = minutes_left()
    second = archiving.archive_due(now=MIDNIGHT + DAY + WEEK)

    assert (first.written, first.verified, first.moved) == (2, 2, 0)
    assert (second.written, second.moved) == (0, 1)
    assert minutes_left() == left_at_first // 2
    assert [known.state for known in ArchivedDay.objects.order_by("day")] == ["moved", "verified"]


def test_archiving_twice_does_nothing(system: System, folder: Path) -> None:
    """The task runs each hour, and somebody may trigger it as well."""
    stored(system, days=1)
    now = MIDNIGHT + DAY + WEEK
    archiving.archive_due(now=now)
    before = sorted(path.read_bytes() for path in folder.rglob("*.*"))

    report = archiving.archive_due(now=now)

    assert set(report.to_wire().values()) == {0}
    assert sorted(path.read_bytes() for path in folder.rglob("*.*")) == before


@pytest.mark.parametrize("agg", ["avg", "min", "max", "sum", "last", "count", "increase", "quantile(0.9)"])
def test_the_archive_answers_as_the_database_did(system: System, folder: Path, agg: str) -> None:
    """Moving is no reason for any number to change, and the caller need not know where it lies."""
    stored(system, days=2)
    now = MIDNIGHT + 2 * DAY + WEEK
    asked = {"start": MIDNIGHT + 1230, "end": MIDNIGHT + 2 * DAY - 1, "step": 60, "agg": agg}
    before = queries.query([system.pk], "m", now=MIDNIGHT + 3 * DAY, **asked)

    archiving.archive_due(now=now)
    after = queries.query([system.pk], "m", now=now + DAY, **asked)

    assert (before.tiers, after.tiers) == (["warm"], ["cold"])
    assert after.complete
    assert len(after.series) == len(before.series) == 2
    for here, there in zip(before.series, after.series, strict=True):
        assert here.at.tolist() == there.at.tolist()
        assert here.values.tolist() == pytest.approx(there.values.tolist(), rel=1e-12)


def test_every_tool_can_read_the_files(system: System, folder: Path) -> None:
    """Names are in them, so that a file means something without this platform."""
    stored(system, days=1)
    archiving.archive_due(now=MIDNIGHT + DAY + 7200)

    (path,) = folder.rglob("*.parquet")
    table = pq.read_table(path).to_pylist()

    assert table[0] | {"series": 0} == {
        "system": system.slug, "source": "host-1", "metric": "m", "labels": 'core="0"', "series": 0,
        "at": MIDNIGHT, "count": 12, "places": 1, "sum": None, "min": None, "max": None, "last": None,
        "hour_sketch": None,
        "min_scaled": table[0]["min_scaled"], "max_scaled": 11, "last_scaled": 11, "sum_scaled": 66,
    }  # fmt: skip


def test_numbers_without_few_digits_are_kept_to_the_last_bit(system: System, folder: Path) -> None:
    """Only sums may lose their rounding error; a third stays a third."""
    (pk,) = registry.series_ids(system.pk, [registry.Wanted("a", "m", {})]).values()
    values = [1 / 3, 1e300, -0.1, 12345.678901234567]
    warm.write(grouped(as_pieces(columns([pk] * 4, [MIDNIGHT + 60 * n for n in range(4)], values)), 60))
    now = MIDNIGHT + DAY + WEEK
    tiers.roll_up_steps(now=now)
    archiving.archive_due(now=now)

    found, whole = cold.read(np.array([pk]), MIDNIGHT, MIDNIGHT + DAY)

    assert whole
    assert found.min.tolist() == found.last.tolist() == values


@pytest.mark.parametrize(
    "harm",
    [
        pytest.param(lambda path: path.unlink(), id="gone"),
        pytest.param(lambda path: path.write_bytes(path.read_bytes()[:-20]), id="cut off"),
        pytest.param(lambda path: path.write_bytes(path.read_bytes().replace(b"PAR1", b"PAR2")), id="altered"),
    ],
)
def test_a_damaged_file_keeps_its_day_in_the_database(
    system: System, folder: Path, monkeypatch: pytest.MonkeyPatch, harm: object
) -> None:
    """A disk that lies must not cost a day; the mistake is told, and the day is written anew the next time."""
    stored(system, days=1)
    rows = minutes_left()
    put = archive_files.Archive._put

    def put_and_harm(self: archive_files.Archive, unfinished: str, path: str) -> None:
        put(self, unfinished, path)
        if path.endswith(".parquet"):
            harm(folder / path)  # type: ignore[operator]

    with monkeypatch.context() as patch:
        patch.setattr(archive_files.Archive, "_put", put_and_harm)
        with pytest.raises(ArchiveDamaged):
            archiving.archive_due(now=MIDNIGHT + DAY + WEEK)

    assert minutes_left() == rows
    assert archiving.archive_due(now=MIDNIGHT + DAY + WEEK).moved == 1


def test_an_answer_that_misses_a_file_says_so(system: System, folder: Path) -> None:
    """Somebody deleted it: what is left is shown, and nobody takes it for all."""
    stored(system, days=2)
    now = MIDNIGHT + 2 * DAY + WEEK
    archiving.archive_due(now=now)
    next(folder.rglob("*11-01*.parquet")).unlink()

    found = queries.query(
        [system.pk], "m", start=MIDNIGHT, end=MIDNIGHT + 2 * DAY - 1, step=60, agg="count", now=now + DAY
    )

    assert not found.complete
    assert found.series[0].at[0] == MIDNIGHT + DAY


def test_a_day_that_changed_is_written_again(system: System, folder: Path) -> None:
    """What was archived is not what would leave: nothing leaves."""
    ids = stored(system, days=1)
    archiving.archive_due(now=MIDNIGHT + DAY + 7200)
    warm.write(grouped(as_pieces(columns(ids[:1], [MIDNIGHT + 1800.0], [1.0])), 60))

    report = archiving.archive_due(now=MIDNIGHT + DAY + WEEK)

    assert (report.written, report.moved) == (1, 1)
    assert len(list(folder.rglob("*.parquet"))) == 1
    assert ArchivedDay.objects.get().rows == 2 * 240 + 1


def test_the_archive_forgets_after_its_time(system: System, folder: Path, settings: Any) -> None:
    """Ninety days at least (2-26)."""
    settings.ARCHIVE_DAYS = 90
    stored(system, days=1)
    archiving.archive_due(now=MIDNIGHT + DAY + WEEK)

    kept = archiving.archive_due(now=MIDNIGHT + 90 * DAY).expired
    gone = archiving.archive_due(now=MIDNIGHT + 92 * DAY).expired

    assert (kept, gone) == (0, 1)
    assert [path for path in folder.rglob("*") if path.is_file()] == []


def test_without_an_archive_minutes_go_after_their_week(system: System, settings: Any) -> None:
    """And with one, retention leaves them to it."""
    settings.ARCHIVE_URL = "file:///nowhere"
    stored(system, days=1)
    kept = retention.forget(now=MIDNIGHT + DAY + WEEK)
    settings.ARCHIVE_URL = ""

    assert (kept, minutes_left()) == (0, 480)
    assert retention.forget(now=MIDNIGHT + DAY + WEEK) == 480


def test_archiving_without_an_address_is_refused_with_its_name(settings: Any) -> None:
    """The operator reads which variable to set."""
    settings.ARCHIVE_URL = ""

    with pytest.raises(CommandError, match="VSM_ARCHIVE_URL"):
        call_command("archive")


def test_archiving_without_its_library_says_what_to_install(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is an extra; everything else works without it."""
    archive_files.open_archive.cache_clear()
    monkeypatch.setitem(__import__("sys").modules, "pyarrow.fs", None)

    with pytest.raises(Refused, match=r"requirements/archive\.txt"):
        archiving.archive_due(now=MIDNIGHT)


def test_the_manifest_names_the_file_and_its_checksum(system: System, folder: Path) -> None:
    """Whoever copies the archive can prove that the copy is whole."""
    stored(system, days=1)
    archiving.archive_due(now=MIDNIGHT + DAY + 7200)

    written = archive_files.open_archive(f"file://{folder}").manifest(date(2026, 11, 1))

    assert written is not None
    assert (written.rows, written.samples) == (480, 480 * 12)
    assert (folder / written.path).stat().st_size == written.bytes


def test_a_day_whose_samples_wait_is_not_archived(system: System, folder: Path) -> None:
    """A roll-up that was held up must not find its day gone."""
    ids = stored(system, days=1)
    hot_tier().append(columns(ids[:1], [MIDNIGHT + 1800.0], [1.0]))

    waits = archiving.archive_due(now=MIDNIGHT + DAY + 7200).written
    tiers.roll_up(now=MIDNIGHT + DAY)
    goes_on = archiving.archive_due(now=MIDNIGHT + DAY + 7200)

    assert (waits, goes_on.written) == (0, 1)
