"""A fleet of 1,000 tasks a second, heard beside Flower on the same stream: CPU, memory, loss, delay, and a kill.

First both listen for a minute; then both are killed and started again; then the whole platform listens alone, and the
time from an event to the API is taken. Flower keeps nothing but in its memory. Our side writes all of it to PostgreSQL,
whose own use of the CPU is told apart, and a second receiver to SQLite, where the cost of the database is in it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import django
import httpx
import psutil

django.setup()

from django.core.management import call_command  # noqa: E402

from benchmarks.embedded_server import Server, free_port, server  # noqa: E402
from benchmarks.faults.servers import PostgreSQL, RabbitMQ, postgresql_folder, rabbitmq_program  # noqa: E402
from benchmarks.result import Result, percentile, report  # noqa: E402
from subsystems.fleets.models import EndedTasks, Listening, Task, TaskRollUp  # noqa: E402
from subsystems.recursion.queries import root_system  # noqa: E402
from subsystems.s1_operations import services  # noqa: E402
from tests.support.chromium import find_chromium  # noqa: E402

RATE, SECONDS, EVENTS_A_TASK = 1_000, 60.0, 3
WARM_SECONDS = 5.0
FOLLOWED_SECONDS, LONGEST = 20.0, 10.0
LISTEN = "import django; django.setup(); from subsystems.fleets import receiver; receiver.start_all()._thread.join()"


class Listener:
    """A process that listens, and what it has used since it was last asked."""

    def __init__(self, command: Sequence[str], environment: dict[str, str]) -> None:
        self._command, self._environment = command, environment
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(self._command, env=self._environment, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)  # fmt: skip
        self._meter = psutil.Process(self.process.pid)

    def cpu_seconds(self) -> float:
        used = self._meter.cpu_times()
        return float(used.user + used.system)

    def megabytes(self) -> float:
        return float(self._meter.memory_info().rss / 1e6)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)


def stream(broker: str, seconds: float) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "benchmarks.fleet_stream", broker, str(RATE), str(seconds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def last_line(running: subprocess.Popen[str]) -> dict[str, Any]:
    output = running.communicate(timeout=120)[0]
    found: dict[str, Any] = json.loads(output.splitlines()[-1])
    return found


def until(met: Any, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if met():
            return True
        time.sleep(0.1)
    return False


def flower_tasks(url: str) -> int:
    """Return how many tasks Flower has; it answers with all of them."""
    try:
        return len(httpx.get(f"{url}/api/tasks", params={"limit": 200_000}, timeout=60).json())
    except httpx.HTTPError:
        return 0


@dataclass
class Pair:
    """Our receiver and Flower on the same broker, and a receiver of ours that writes to SQLite."""

    ours: Listener
    flower: Listener
    on_sqlite: Listener
    url: str  # of Flower

    @classmethod
    def started(cls, broker: str, folder: Path) -> Pair:
        port = free_port()
        flower = Listener(
            [sys.executable, "-m", "celery", f"--broker={broker}", "flower", "--address=127.0.0.1", f"--port={port}",
             "--persistent=True", f"--db={folder / 'flower'}", "--logging=error"],
            {**os.environ, "FLOWER_UNAUTHENTICATED_API": "true"},
        )  # fmt: skip
        ours = Listener([sys.executable, "-c", LISTEN], dict(os.environ))
        sqlite = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
        sqlite["VSM_HOME"] = str(folder / "sqlite")
        for command in (["migrate", "--verbosity=0"], ["watch_fleet", broker]):
            subprocess.run([sys.executable, "manage.py", *command], env=sqlite, check=True, stdout=subprocess.DEVNULL)
        on_sqlite = Listener([sys.executable, "-c", LISTEN], sqlite)
        return cls(ours, flower, on_sqlite, f"http://127.0.0.1:{port}")

    @property
    def both(self) -> tuple[Listener, Listener]:
        return self.ours, self.flower

    def wait_until_they_listen(self) -> None:
        assert until(lambda: Listening.objects.filter(since__isnull=False).exists(), 60)
        assert until(lambda: _answers(self.url), 60)

    def kill(self) -> None:
        for each in (*self.both, self.on_sqlite):
            each.kill()

    def kept(self) -> list[int]:
        return [succeeded(), flower_tasks(self.url)]


def side_by_side(broker: str, folder: Path) -> dict[str, Any]:
    """Let both listen to the same minute; return what each used and kept, before and after a kill."""
    pair = Pair.started(broker, folder)
    try:
        pair.wait_until_they_listen()
        warm = last_line(stream(broker, WARM_SECONDS))["sent"]
        assert until(lambda: succeeded() == warm, 30)
        minute = one_minute(pair, broker, warm)
        return {**minute, **killed_and_started(pair, broker, minute["tasks_sent"])}
    finally:
        pair.kill()


def one_minute(pair: Pair, broker: str, warm: int) -> dict[str, Any]:
    """Return what each used while a minute's events came; *warm* tasks came before."""
    listeners = (*pair.both, pair.on_sqlite)
    before, before_database = [each.cpu_seconds() for each in listeners], database_seconds()
    memory = [[each.megabytes()] for each in pair.both]
    running = stream(broker, SECONDS)
    while running.poll() is None and len(memory[0]) < SECONDS:
        time.sleep(1)
        for line, each in zip(memory, pair.both, strict=True):
            line.append(each.megabytes())
    sent = last_line(running)["sent"]
    until(lambda: succeeded() >= warm + sent, 30)
    used = [each.cpu_seconds() - then for each, then in zip(listeners, before, strict=True)]
    ours, flower, on_sqlite, database = (
        seconds / (sent * EVENTS_A_TASK) * 1e6 for seconds in (*used, database_seconds() - before_database)
    )
    return {
        "events": sent * EVENTS_A_TASK,
        "cpu_us_an_event": [ours, flower],
        "cpu_us_an_event_on_sqlite": on_sqlite,
        "cpu_us_an_event_of_postgresql": database,
        "memory_mb_first_last_most": [[line[0], line[-1], max(line)] for line in memory],
        "tasks_sent": warm + sent,
        "tasks_kept": pair.kept(),
    }


def killed_and_started(pair: Pair, broker: str, sent: int) -> dict[str, Any]:
    """Kill both, send tasks meanwhile, start them again; return what each has then."""
    pair.kill()
    unheard = last_line(stream(broker, 5))["sent"]
    for each in pair.both:
        each.start()
    until(lambda: succeeded() >= sent + unheard, 30)
    until(lambda: _answers(pair.url), 30)
    until(lambda: not EndedTasks.objects.exists(), 30)
    counted = sum(TaskRollUp.objects.values_list("succeeded", flat=True))
    return {"tasks_sent_while_dead": unheard, "tasks_after_kill": pair.kept(), "counted_in_roll_ups": counted}


def database_seconds() -> float:
    """Return the CPU time of PostgreSQL so far, with that of sessions that have ended."""
    server = psutil.Process(int(os.environ["BENCH_POSTGRESQL"]))
    family = [server.cpu_times(), *(child.cpu_times() for child in server.children(recursive=True))]
    ended = family[0]
    return float(sum(each.user + each.system for each in family) + ended.children_user + ended.children_system)


def succeeded() -> int:
    return Task.objects.filter(state=Task.State.SUCCESS).count()


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/api/workers", timeout=5).status_code < 500
    except httpx.HTTPError:
        return False


def delays(broker: str) -> tuple[list[float], list[float]]:
    """Return how long it took from an event to the API and to an open page, for some tasks of a stream."""
    found: list[float] = []
    told: dict[str, float] = {}
    with server() as platform:
        headers = {"Authorization": f"Bearer {platform.token('read', 'operate')}"}
        with httpx.Client(base_url=platform.url, headers=headers) as client:
            fleets = client.get("/api/v1/fleets/").json()["results"]
            pk = next(fleet["id"] for fleet in fleets if fleet["name"] == "stream")
            assert until(lambda: client.get(f"/api/v1/fleets/{pk}/hearing/").json()["heard"], 60)
            page = opened_page(platform)
            running = stream(broker, FOLLOWED_SECONDS)
            assert running.stdout is not None
            waiting: list[tuple[str, float]] = []
            reader = threading.Thread(target=_collect, args=(running.stdout, waiting, told))
            reader.start()
            while reader.is_alive() or waiting:
                if not waiting:
                    time.sleep(0.01)
                    continue
                uuid, at = waiting[0]
                answer = client.get("/api/v1/task-history/", params={"uuid": uuid, "fleet": "stream"}).json()
                if answer["results"] and answer["results"][0]["state"] == "success":
                    found.append(time.time() - at)
                    del waiting[:]  # the newest tell; those that waited behind this one were not looked for in time
                elif time.time() - at > LONGEST:
                    found.append(LONGEST)
                    del waiting[0]
                else:
                    time.sleep(0.02)
            shown = last_line(page) if page else {}
    return found, [shown.get(uuid, at + LONGEST) - at for uuid, at in told.items()] if page else []


def opened_page(platform: Server) -> subprocess.Popen[str] | None:
    """Open the page of tasks in a real browser, where there is one; it says in the end when each was on it."""
    if find_chromium() is None:
        return None
    command = [sys.executable, "-m", "benchmarks.task_page", platform.url, platform.session(),
               str(FOLLOWED_SECONDS + LONGEST)]  # fmt: skip
    running = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert running.stdout is not None
    if running.stdout.readline().strip() != "open":
        raise RuntimeError("The page of tasks was not opened.")
    return running


def _collect(lines: Any, waiting: list[tuple[str, float]], told: dict[str, float]) -> None:
    for line in lines:
        found = json.loads(line)
        if isinstance(found, list):
            waiting.append((found[0], found[1]))
            told[found[0]] = found[1]


def run() -> list[Result]:
    if rabbitmq_program() is None:
        print("Not run: needs rabbitmq-server.", file=sys.stderr)
        return []
    with tempfile.TemporaryDirectory(prefix="fleet-events-") as folder:
        rabbit = RabbitMQ(Path(folder) / "rabbitmq")
        try:
            rabbit.start()
            broker = f"amqp://guest:guest@127.0.0.1:{rabbit.port}//"
            call_command("migrate", verbosity=0, interactive=False)
            services.watch_fleet(root_system(), broker, name="stream")
            found = side_by_side(broker, Path(folder))
            took, shown = delays(broker)
        finally:
            rabbit.kill()
    (ours, flowers), (first, last, most) = found["cpu_us_an_event"], found["memory_mb_first_last_most"][0]
    lost = found["tasks_sent"] + found["tasks_sent_while_dead"] - found["tasks_after_kill"][0]
    details = {
        **found,
        "delays_seen": len(took),
        "delay_p50": percentile(took, 0.5),
        "pages_seen": len(shown),
        "memory_most_mb": most,
    }
    return [
        Result("fleet_event_cpu", "an event costs a quarter of Flower's CPU", ours, flowers / 4, "us an event",
               details=details),
        Result("fleet_event_memory", "memory is flat over a minute of events", last, first * 1.1, "MB"),
        Result("fleet_events_lost", "no event is lost, killed in between or not", float(lost), 0.5, "tasks"),
        Result("fleet_event_to_api", "p95 from an event to the API under 1 s", percentile(took, 0.95), 1.0, "s"),
        *([Result("fleet_event_to_page", "p95 from an event to an open page under 1 s", percentile(shown, 0.95), 1.0,
                  "s")] if shown else []),
    ]  # fmt: skip


def on_postgresql() -> int:
    """Run this benchmark on a PostgreSQL of its own; return how it ended."""
    if postgresql_folder() is None:
        print("Not run: needs PostgreSQL.", file=sys.stderr)
        report(list)
        return 0
    with tempfile.TemporaryDirectory(prefix="fleet-events-database-") as folder:
        Path(folder).chmod(0o755)
        database = PostgreSQL(Path(folder) / "postgresql")
        try:
            database.start()
            database.make_database()
            environment = {**os.environ, "DATABASE_URL": database.url, "BENCH_POSTGRESQL": str(database.pid)}
            return subprocess.run(
                [sys.executable, "-m", "benchmarks.fleet_events"], env=environment, check=False
            ).returncode
        finally:
            database.stop()


if __name__ == "__main__":
    if "BENCH_POSTGRESQL" in os.environ:
        report(run)
    else:
        sys.exit(on_postgresql())
