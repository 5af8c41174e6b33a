"""Fixtures that every part shares, and which tests this machine can run.

Files under `services/` need `VSM_PROFILE=services` and real servers, those under `faults/` start servers of their own,
those under `browser/` need Chromium. What cannot run is skipped with a reason that `make test` repeats at its end.
"""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
import redis
from celery import signals
from celery.contrib.testing.worker import start_worker
from django.conf import settings
from django.core.cache import cache
from django.db import connection, connections
from pytest_django import DjangoDbBlocker

from subsystems.fleets import counting
from subsystems.messaging import fast_lane, limits, queries, rejections
from subsystems.messaging.topology import CONSUMED
from subsystems.telemetry import registry
from subsystems.telemetry.store import hot_tier
from subsystems.variety import gathering
from tests.support.chromium import find_chromium
from tests.support.emptying import quickly_emptied as quickly_emptied  # every transactional test needs it
from tests.support.template import copy_of_template, drop_template, kept_database
from vsm_site import transport
from vsm_site.celery import app

hypothesis.settings.register_profile("patient", deadline=None)  # a busy machine is no fault of what is tested
hypothesis.settings.load_profile("patient")
HERE = Path(__file__).parent
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "")  # each has its own part of the servers
CHROMIUM = find_chromium()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark tests by their folder, skip those whose server or browser is not here, leave out the other profile's own."""
    for item in items:
        folder = item.path.relative_to(HERE).parts[0]
        if folder in {"services", "browser"}:
            item.add_marker(folder)
        if item.get_closest_marker("services") and settings.EMBEDDED:
            item.add_marker(pytest.mark.skip(reason="needs VSM_PROFILE=services with RabbitMQ, Redis and PostgreSQL"))
        if item.get_closest_marker("browser") and CHROMIUM is None:
            item.add_marker(pytest.mark.skip(reason="needs Chromium"))
    if not settings.EMBEDDED:
        elsewhere = [item for item in items if item.get_closest_marker("embedded")]
        config.hook.pytest_deselected(items=elsewhere)
        items[:] = [item for item in items if item not in elsewhere]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Leave the reasons of what was skipped where `make test` asked for them."""
    target = os.environ.get("VSM_TEST_REPORT")
    if target:
        reasons = Counter(report.longrepr[2] for report in terminalreporter.stats.get("skipped", []))
        Path(target).write_text(json.dumps(reasons))


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of the browser, for Playwright's `executable_path`."""
    assert CHROMIUM is not None
    return CHROMIUM


@pytest.fixture(scope="session")
def django_db_keepdb() -> bool:
    """A file that was copied is there already; it goes with this run's home."""
    return connection.vendor == "sqlite"


@pytest.fixture(scope="session")
def django_db_modify_db_settings(
    django_db_modify_db_settings_parallel_suffix: None, django_db_blocker: DjangoDbBlocker
) -> None:
    if WORKER or connection.vendor == "sqlite":
        with django_db_blocker.unblock():
            copy_of_template()


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """PostgreSQL drops no database that a worker's thread, ended without a goodbye, is still connected to."""
    yield
    if connection.vendor == "postgresql":
        with django_db_blocker.unblock(), connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            drop_template()


@pytest.fixture(scope="session")
def migrated(django_db_setup: None) -> Path:
    """A database for a platform of its own, whose first start would take longer than what is tested of it."""
    return kept_database()


@pytest.fixture(autouse=True)
def _nothing_left_over() -> Iterator[None]:
    """Caches and the in-process broker outlive a test; the next one must not meet what this one left."""
    yield
    queries.forget_picture()
    cache.clear()
    transport.reset()
    registry.forget_ids()
    counting.forget_kinds()
    hot_tier().clear()
    limits.limiter().clear()
    limits.policy.forget()
    rejections.forget()
    gathering.forget()


@pytest.fixture(autouse=True)
def _lanes_end_first(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A lane's thread writes to the database: it must be quiet before a test gives the database back.

    What a test rolls back at its end has no lane: nobody else ever sees its messages, and marking one would wait for
    the lock that the test itself holds.
    """
    marked = request.node.get_closest_marker("django_db")
    if "transactional_db" in request.fixturenames or (marked is not None and marked.kwargs.get("transaction")):
        request.getfixturevalue("transactional_db")
    elif "db" in request.fixturenames or marked is not None:
        request.getfixturevalue("db")
        monkeypatch.setattr(fast_lane.Lane, "offer", lambda *_: None)
    yield
    fast_lane.settle(60)


@pytest.fixture(scope="session", autouse=True)
def _servers_to_ourselves() -> Iterator[None]:
    """One run at a time on the servers of a machine, and nothing in them from an earlier one."""
    fast_lane.open_here()  # the tests' workers are threads of this process
    if settings.EMBEDDED:
        yield
        return
    with (Path(tempfile.gettempdir()) / f"vsm-services-tests-{os.geteuid()}{WORKER}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        redis.Redis.from_url(settings.REDIS_URL).flushdb()
        app.control.purge()
        yield


@pytest.fixture
def worker(transactional_db: None) -> Iterator[object]:
    """A real worker on every queue of the platform, in threads of this process."""
    stopped = threading.Event()
    waker = threading.Thread(target=_keep_waking, args=(stopped,))
    options = {"pool": "threads", "concurrency": 4, "queues": [queue.name for queue in CONSUMED], "loglevel": "WARNING"}
    signals.task_postrun.connect(_give_back)
    try:
        with start_worker(app, perform_ping_check=False, shutdown_timeout=20, **options) as running:
            yield running
            waker.start()
    finally:
        signals.task_postrun.disconnect(_give_back)
        stopped.set()
        if not settings.EMBEDDED:
            app.control.purge()


def _give_back(**_: object) -> None:
    """Close what a thread of the worker keeps for its next task: it ends before this process does."""
    connections.close_all()


def _keep_waking(stopped: threading.Event) -> None:
    """A worker looks whether it should stop only between two waits of two seconds each."""
    while not stopped.wait(0.02):
        transport.interrupt()
