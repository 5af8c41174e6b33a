"""A million events written, proven and replayed, and every kind of tampering with them located.

It works in databases of its own, made for the run and dropped behind it: SQLite, and PostgreSQL where its programs are
installed; with `DATABASE_URL`, there alone. `python -m benchmarks event_log 20000` does the same with fewer events.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import django

django.setup()

from django.db import connection, transaction  # noqa: E402
from django.db.models import F  # noqa: E402

from benchmarks.faults.servers import PostgreSQL, postgresql_folder  # noqa: E402
from benchmarks.result import MARK, Result, report  # noqa: E402
from subsystems.event_log import projections, queries, services  # noqa: E402
from subsystems.event_log.models import ChainHead, Event, EventCount, PendingEvent  # noqa: E402
from tests.support.append_only import triggers_off  # noqa: E402

EVENTS = 1_000_000
APPENDED_AT_ONCE = 50_000
WRITE_PROMISE, VERIFY_PROMISE, REPLAY_PROMISE = 10_000.0, 100_000.0, 100_000.0  # events/s
REPLAYED = "OperationsHandler"  # goes through every event and counts those of its stream
STREAMS = [str(each) for each in projections.HANDLERS.values()]
START = datetime(2026, 11, 1, tzinfo=UTC)


@contextmanager
def own_database() -> Iterator[None]:
    name = connection.settings_dict["NAME"]
    connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
    try:
        yield
    finally:
        connection.creation.destroy_test_db(name, verbosity=0)


def event(n: int) -> PendingEvent:
    return PendingEvent(
        stream=STREAMS[n % 7], type=f"type-{n % 5}", system_id=n % 50, at=START + timedelta(seconds=n / 10),
        data=f'{{"operation_id":"{n:032x}","execution_time":12.5,"input_variety":2.0,"output_variety":1.5}}',
        message_id=f"{n:032x}", correlation_id=f"{n // 4:032x}", actor="web-1",
    )  # fmt: skip


def write(count: int) -> tuple[float, float]:
    """Append and seal by turns, as the platform does; return the seconds of either."""
    appending = sealing = 0.0
    for start in range(0, count, APPENDED_AT_ONCE):
        rows = [event(n) for n in range(start, min(start + APPENDED_AT_ONCE, count))]
        began = time.perf_counter()
        with transaction.atomic():
            services.append_many(rows)
        appended = time.perf_counter()
        while services.seal():
            pass
        appending += appended - began
        sealing += time.perf_counter() - appended
    return appending, sealing


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    began = time.perf_counter()
    found = work()
    return time.perf_counter() - began, found


def counts() -> list[tuple[Any, ...]]:
    rows = EventCount.objects.order_by("at", "system_id", "stream", "type")
    return list(rows.values_list("at", "system_id", "stream", "type", "count"))


def change(at: int, /, **fields: Any) -> None:
    Event.objects.filter(position=at).update(**fields)


def swap(one: int, other: int) -> None:
    for source, target in ((one, 0), (other, one), (0, other)):
        change(source, position=target)


def cut(after: int) -> None:
    Event.objects.filter(position__gt=after).delete()
    ChainHead.objects.update(position=after, hash=Event.objects.get(position=after).hash)


def tampering(count: int) -> list[tuple[str, Callable[[], Any], int]]:
    """Return what a superuser might do, and the position where it must be found."""
    middle = count // 2 + 3
    return [
        ("data altered", lambda: change(middle, data="{}"), middle),
        ("actor altered", lambda: change(middle, actor="eve"), middle),
        ("time altered", lambda: change(middle, at=F("at") + timedelta(microseconds=1)), middle),
        ("hash altered", lambda: change(middle, hash=b"0" * 32), middle),
        ("deleted", lambda: Event.objects.filter(position=middle).delete(), middle),
        ("first deleted", lambda: Event.objects.filter(position=1).delete(), 1),
        ("reordered", lambda: swap(middle, middle + 7), middle),
        ("appended", lambda: Event.objects.create(position=count + 1, sequence=count * 2, stream=STREAMS[0], type="t",
                                                  hash=b"0" * 32), count + 1),
        ("tail and head cut", lambda: cut(count - 5), count - 4),
    ]  # fmt: skip


class Undo(Exception):
    """Takes a tampering back."""


def located(count: int) -> list[str]:
    """Return the kinds of tampering that were not found where they are."""
    missed = []
    for name, tamper, position in tampering(count):
        try:
            with triggers_off():
                tamper()
                first = queries.verify(max(1, position - 20_000)).first_bad
                missed += [] if first == position else [f"{name}: {first} instead of {position}"]
                raise Undo
        except Undo:
            continue
    return missed


def run(count: int = EVENTS) -> list[Result]:
    logging.disable(logging.WARNING)
    with own_database():
        services.tend(START)  # the handlers are there before the first event
        appending, sealing = write(count)
        verifying, verdict = timed(queries.verify)
        projecting, _ = timed(services.project)
        live = counts()
        replaying, _ = timed(lambda: services.replay(REPLAYED))
        identical = counts() == live and sum(row[4] for row in live) == count
        missed = located(count)
        chain_holds = verdict.ok and verdict.checked == count
        database = connection.vendor
    details = {"events": count, "database": database, "append_per_second": count / appending,
               "seal_per_second": count / sealing, "project_per_second": count / projecting}  # fmt: skip
    kinds = len(tampering(count))
    return [
        Result("events_written", "events appended and sealed per second", count / (appending + sealing), WRITE_PROMISE,
               "events/s", "more", details),
        Result("events_verified", "events verified per second", count / verifying if chain_holds else 0.0,
               VERIFY_PROMISE, "events/s", "more"),
        Result("events_replayed", "events that a replay goes through per second, the read model identical",
               count / replaying if identical else 0.0, REPLAY_PROMISE, "events/s", "more"),
        Result("tampering_located", "kinds of tampering found at their position", kinds - len(missed), kinds, "kinds",
               "more", {"missed": missed}),
    ]  # fmt: skip


def run_on_postgresql(count: int) -> list[Result]:
    """Do the same in a process of its own on a PostgreSQL of its own."""
    with tempfile.TemporaryDirectory(prefix="vsm-events-") as folder:
        Path(folder).chmod(0o711)  # the database's user must reach its own folder in it
        server = PostgreSQL(Path(folder) / "postgresql")
        try:
            server.start()
            server.make_database()
            command = [sys.executable, "-m", "benchmarks.event_log", str(count)]
            environment = {**os.environ, "DATABASE_URL": server.url}
            output = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout
        finally:
            server.kill()
    line = next(line for line in output.splitlines() if line.startswith(MARK))
    return [result_of(found) for found in json.loads(line.removeprefix(MARK))]


def result_of(found: dict[str, Any]) -> Result:
    fields = {name: found[name] for name in Result.__dataclass_fields__}
    return replace(Result(**fields), name=f"{found['name']}_postgresql", promise=f"{found['promise']}, PostgreSQL")


def run_all(count: int) -> list[Result]:
    results = run(count)
    if os.environ.get("DATABASE_URL"):
        return results
    if postgresql_folder() is None:
        print("Not run on PostgreSQL: needs initdb.", file=sys.stderr)
        return results
    return results + run_on_postgresql(count)


if __name__ == "__main__":
    report(lambda: run_all(int(sys.argv[1]) if len(sys.argv) > 1 else EVENTS))
