"""The archive in S3 and in GCS, on servers that speak their protocols: written, read back, and never torn.

All that touches a store runs in a forked process: the libraries of both keep threads, which no fork survives.
"""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import numpy as np
import pytest
from django.conf import settings as django_settings

from subsystems.recursion.models import System
from subsystems.telemetry import archive_files, archiving, packing, queries, registry, tiers, warm
from subsystems.telemetry.columns import columns
from subsystems.telemetry.distributions import of_samples
from subsystems.telemetry.steps import DAY
from tests.support.dying import Filesystem, Step, dies_at
from tests.support.factories import make_system
from tests.support.waiting import wait_for

pytestmark = pytest.mark.django_db(transaction=True)
MIDNIGHT = int(datetime(2026, 11, 1, tzinfo=UTC).timestamp())
NOW = MIDNIGHT + 9 * DAY
NEVER = 1 << 30
SERVERS = {
    "s3": ["-m", "moto.server", "-H", "127.0.0.1", "-p"],
    "gs": ["-m", "gcp_storage_emulator", "start", "--host=127.0.0.1", "--in-memory", "--default-bucket=kept", "--port"],
}
URLS = {
    "s3": "s3://key:secret@kept/telemetry?scheme=http&region=us-east-1&endpoint_override=127.0.0.1:{port}",
    "gs": "gs://anonymous@kept/telemetry?scheme=http&retry_limit_seconds=1&endpoint_override=127.0.0.1:{port}",
}


@pytest.fixture(scope="module", params=["s3", "gs"])
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the address of an empty bucket on a server of this module's own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = (tmp_path_factory.mktemp("store") / "server.log").open("w")
    server = subprocess.Popen([sys.executable, *SERVERS[request.param], str(port)], stdout=log, stderr=log)
    try:
        wait_for(lambda: _answers(port), seconds=30)
        if request.param == "s3":
            httpx.put(f"http://127.0.0.1:{port}/kept").raise_for_status()
        yield URLS[request.param].format(port=port)
    finally:
        server.kill()
        server.wait()
        log.close()


def _answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/", timeout=1).status_code < 500
    except httpx.HTTPError:
        return False


@pytest.fixture
def system(store: str, settings: Any) -> System:
    """Return a system with a day of minutes, whose archive is the store."""
    settings.ARCHIVE_URL = store
    system = make_system()
    wanted = [registry.Wanted("host-1", "m", {"core": str(core)}) for core in range(2)]
    ids = sorted(registry.series_ids(system.pk, wanted).values())
    at = np.concatenate([MIDNIGHT + hour * 3600 + np.arange(0, 300, 30.0) for hour in range(24)])
    values = np.tile(np.arange(len(at)) % 7.0, 2)
    warm.write(of_samples(columns(np.repeat(ids, len(at)), np.tile(at, 2), values), 60))
    tiers.roll_up_steps(now=MIDNIGHT + DAY)
    packing.pack_settled(now=NOW)
    return system


def sums(system: System) -> list[float]:
    found = queries.query([system.pk], "m", start=MIDNIGHT, end=MIDNIGHT + DAY - 1, step=60, agg="count", now=NOW)
    assert found.complete
    return [line.values.sum() for line in found.series]


def alone(work: Callable[[], object]) -> None:
    """Do *work* in a process of its own, which fails if it does."""
    assert not dies_at(NEVER, lambda _: work(), statements=False)


def test_an_object_store_keeps_a_day_until_its_time(system: System) -> None:
    """Written, read back, moved out of the database, asked for, damaged and told, and at last forgotten."""

    def works() -> None:
        report = archiving.archive_due(now=NOW)
        assert (report.written, report.verified, report.moved) == (1, 1, 1)
        assert warm.count(0, NOW) == (0, 0)
        assert sums(system) == [240.0, 240.0]
        archive = archive_files.open_archive(django_settings.ARCHIVE_URL)
        written = archive.manifest(datetime.fromtimestamp(MIDNIGHT, UTC).date())
        assert written is not None
        archive.verify(written)
        with archive._fs.open_output_stream(f"{archive._root}/{written.path}") as stream:
            stream.write(b"PAR1 and nothing else")
        with pytest.raises(archive_files.ArchiveDamaged):
            archive.verify(written)
        assert archiving.archive_due(now=NOW + 400 * DAY).expired == 1
        assert archive.manifest(datetime.fromtimestamp(MIDNIGHT, UTC).date()) is None

    alone(works)


def test_an_upload_killed_anywhere_leaves_nothing_torn(system: System) -> None:
    """Kill it at every eleventh block, file or question until it survives: what can be read is always whole."""

    def archives(step: Step) -> None:
        archive = archive_files.open_archive(django_settings.ARCHIVE_URL)
        archive._fs = Filesystem(archive._fs, step, blocks=True)
        archiving.archive_due(now=NOW)

    def looks() -> None:
        assert sums(system) == [240.0, 240.0]
        archive = archive_files.open_archive(django_settings.ARCHIVE_URL)
        for path in (found.path for found in archive._listed("minutes/2026") if found.path.endswith(".parquet")):
            with archive._fs.open_input_stream(path) as stream:
                assert archive_files.sha256(stream.read()).hexdigest()[:16] in path

    step = 3
    while step < 400 and dies_at(step, archives, statements=False):
        step += 11
        alone(looks)

    assert 14 < step < 400
    alone(looks)
    assert warm.count(0, NOW) == (0, 0)


@pytest.mark.parametrize("store", ["gs"], indirect=True)  # S3's library tries for six seconds
def test_a_store_that_is_away_is_told_and_loses_nothing(system: System, settings: Any) -> None:
    """The day stays where it was until the store is back."""
    settings.ARCHIVE_URL = settings.ARCHIVE_URL.partition("endpoint_override")[0] + "endpoint_override=127.0.0.1:1"

    def fails() -> None:
        with pytest.raises(archive_files.TransientError):
            archiving.archive_due(now=NOW)

    alone(fails)
    assert warm.count(0, NOW)[1] == 480
