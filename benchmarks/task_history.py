"""A history of a million tasks: every filter of the page, and a clean-up beside which a writer goes on.

On SQLite, and on a PostgreSQL of its own where there is one.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any
from uuid import UUID

from benchmarks.result import Result, percentile, report

ROWS, WRITTEN_AT_ONCE, CLEANED = 1_000_000, 20_000, 100_000
ROUNDS = 7
PAGE = 50


def fill(fleet_id: int, now: float) -> None:
    """Write the rows as the receiver does: batches of what events told."""
    from subsystems.fleets import store
    from subsystems.fleets.folding import Batch, Facts
    from subsystems.fleets.states import State

    chance = random.Random(7)
    for start in range(0, ROWS, WRITTEN_AT_ONCE):
        batch = Batch()
        for number in range(start, start + WRITTEN_AT_ONCE):
            at = round(now - (ROWS - number), 6)
            bad = chance.random() < 0.02
            runtime = chance.expovariate(2.0)
            uuid = str(UUID(int=chance.getrandbits(128)))
            batch.tasks[uuid] = Facts(
                uuid, at, state=int(State.FAILURE if bad else State.SUCCESS), changed_at=at + 1 + runtime,
                finished_at=at + 1 + runtime, worker=f"w{number % 40}@host", name=f"shop.task{number % 50}",
                queue=("money", "mail", "default")[number % 3], args=f"({number}, 'order-{number}')",
                kwargs="{'amount': 17}", sent_at=at, received_at=at + 0.5, started_at=at + 1, last_started_at=at + 1,
                runtime_told=runtime, result="" if bad else "'ok'", exception=f"Late('{number}')" if bad else "",
                fingerprint=1_000 + number % 30 if bad else None,
            )  # fmt: skip
        store.write(fleet_id, batch)


def filters(now: float) -> dict[str, dict[str, Any]]:
    """Return what is asked, by a name: each filter of the page, and the combinations that help an index least."""
    from subsystems.fleets.searching import SLOWEST
    from subsystems.fleets.states import State

    failure = (State.FAILURE,)
    return {
        "newest": {},
        "state": {"states": failure},
        "open": {"states": (State.STARTED,)},
        "name": {"name": "shop.task7"},
        "no such name": {"name": "nobody"},
        "worker": {"worker": "w3@host"},
        "queue": {"queue": "mail"},
        "range": {"since": now - 600_000, "until": now - 500_000},
        "name and state": {"name": "shop.task7", "states": failure},
        "worker, queue, state": {"worker": "w3@host", "queue": "mail", "states": failure},
        "name in a range": {"name": "shop.task7", "since": now - 900_000, "until": now - 890_000},
        "ran very long": {"min_runtime": 5.0},
        "ran long": {"min_runtime": 1.0},
        "ran at all": {"min_runtime": 0.0},
        "ran shortly": {"max_runtime": 0.00001},
        "ran long, of a name": {"min_runtime": 0.5, "name": "shop.task7"},
        "waited": {"min_wait": 0.5},
        "slowest": {"order": SLOWEST},
        "slowest of a name": {"order": SLOWEST, "name": "shop.task7"},
        "kind of failure": {"fingerprint": 1_007},
        "text found": {"text": "order-99"},
        "text nowhere": {"text": "no such words"},
        "id": {"uuid": "no-such-id"},
    }


def measure() -> dict[str, Any]:
    import django

    django.setup()
    from django.core.management import call_command
    from django.db import connection

    from subsystems.fleets import queries, services
    from subsystems.fleets.models import HistoryRules, Task
    from subsystems.fleets.searching import Wanted
    from subsystems.recursion.queries import root_system
    from subsystems.s1_operations.models import Fleet

    call_command("migrate", verbosity=0, interactive=False)
    now = time.time()
    fleet = Fleet.objects.create(system=root_system(), name="bench")
    other = Fleet.objects.create(system=root_system(), name="other")
    started = time.perf_counter()
    fill(fleet.pk, now)
    filled = time.perf_counter() - started
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE fleets_task")  # as autovacuum does within a minute
    took: dict[str, list[float]] = {}
    for name, given in filters(now).items():
        took[name] = []
        for _ in range(ROUNDS):
            begun = time.perf_counter()
            found = queries.search([fleet.pk, other.pk], Wanted(**given), limit=PAGE)
            if found.next and not found.searched_until:
                queries.search([fleet.pk, other.pk], Wanted(**given), after=found.next, limit=PAGE)
            took[name].append(1000 * (time.perf_counter() - begun) / (2 if found.next else 1))
    HistoryRules.objects.create(fleet=fleet, max_tasks=ROWS - CLEANED)
    waits = clean_beside_a_writer(other.pk)
    return {
        "rows_a_second": ROWS / filled,
        "filters_ms": {name: [round(percentile(each, 0.5), 1), round(max(each), 1)] for name, each in took.items()},
        "cleaned": ROWS - Task.objects.filter(fleet=fleet).count(),
        "clean_seconds": waits[1],
        "longest_write_ms": waits[0],
        "writes": waits[2],
        "keep_days": services.KEEP_DAYS,
    }


def clean_beside_a_writer(fleet_id: int) -> tuple[float, float, int]:
    """Forget old tasks while another thread writes; return its longest write in ms, the seconds, and its writes."""
    from django.db import connections
    from django.utils import timezone

    from subsystems.fleets import services, store
    from subsystems.fleets.folding import Batch, Facts

    done, writes = threading.Event(), []

    def write() -> None:
        number = 0
        while not done.is_set():
            batch = Batch()
            for _ in range(100):
                number += 1
                batch.tasks[f"w{number}"] = Facts(f"w{number}", time.time(), changed_at=time.time())
            begun = time.perf_counter()
            store.write(fleet_id, batch)
            writes.append(1000 * (time.perf_counter() - begun))
            done.wait(0.05)
        connections.close_all()

    writer = threading.Thread(target=write)
    writer.start()
    begun = time.perf_counter()
    while services.forget_old(now=timezone.now()):
        pass
    taken = time.perf_counter() - begun
    done.set()
    writer.join()
    return max(writes), taken, len(writes)


def measure_apart(environment: dict[str, str]) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.task_history", "measure"]
    output = subprocess.run(command, env={**os.environ, **environment}, check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(output.stdout.splitlines()[-1])
    return found


def results(database: str, found: dict[str, Any]) -> list[Result]:
    slowest = max(worst for _, worst in found["filters_ms"].values())
    return [
        Result(f"task_history_filters_{database}", "each filter over a million tasks under 500 ms", slowest, 500.0,
               "ms", details=found),
        Result(f"task_history_clean_up_{database}", "no write waits for a clean-up", found["longest_write_ms"],
               500.0, "ms"),
    ]  # fmt: skip


def run() -> list[Result]:
    from benchmarks.faults.servers import PostgreSQL, postgresql_folder

    found = results("sqlite", measure_apart({}))
    if postgresql_folder() is None:
        print("Not run on PostgreSQL, which is not here.", file=sys.stderr)
        return found
    with tempfile.TemporaryDirectory(prefix="task-history-") as folder:
        database = PostgreSQL(Path(folder) / "postgresql")
        try:
            database.start()
            database.make_database()
            found += results("postgresql", measure_apart({"DATABASE_URL": database.url}))
        finally:
            database.kill()
    return found


if __name__ == "__main__":
    if sys.argv[1:] == ["measure"]:
        print(json.dumps(measure()))
    else:
        report(run)
