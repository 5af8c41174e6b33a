"""What the platform saw of the demo fleet: recorded once, kept as a small file, and foretold again by every run.

`python -m benchmarks.recorded_load [minutes]` starts a RabbitMQ of its own, the demo fleet on it and an embedded
platform that watches it; after the time (20 minutes, unless told) it reads what the platform knows of the queues and
workers at steps of five seconds and writes `recorded_load.json.gz`. The load is the demo's own (`make demo-fleet
LOAD=3`): a wave of two minutes with a burst now and then, failures, retries and slow reports.
"""

from __future__ import annotations

import gzip
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from benchmarks.embedded_server import Server, server
from benchmarks.faults.servers import RabbitMQ
from benchmarks.public_series import Floats, Public

HERE = Path(__file__).parent
FILE = HERE / "recorded_load.json.gz"
MINUTES, STEP_SECONDS, WAVE_SECONDS, DIGITS = 20.0, 5, 120, 5
LOAD = "3"  # as in `make demo-fleet LOAD=3`: the height of a wave is more than the workers can do
METRICS = ("ready", "active", "reserved", "task_rate", "failure_rate", "memory_bytes")
# What the exposition counts of each queue, as what it becomes over a step: a rate, or a mean.
COUNTED = {
    "arrival_rate": ("celery_task_sent_total", ""),
    "runtime_seconds": ("celery_task_runtime_sum", "celery_task_runtime_count"),
    "wait_seconds": ("celery_task_queue_wait_time_sum", "celery_task_queue_wait_time_count"),
}
KNOWN, AHEAD = 8 * WAVE_SECONDS // STEP_SECONDS, WAVE_SECONDS // STEP_SECONDS  # eight waves are known, one is asked for
LINE = re.compile(r'(?P<name>\w+)\{.*queue_name="(?P<queue>[^"]+)".*\} (?P<value>\S+)')
KNOWN_SHARE = 0.8  # of a series, at least: the others are gaps of the scrape
MIN_VARIED = 0.1  # a series that hardly ever changes asks nothing of a forecast


@contextmanager
def demo_fleet(broker: str) -> Iterator[None]:
    """Run the demo fleet on *broker* until the block ends."""
    ours = ("VSM_", "DATABASE_URL", "DJANGO_")  # of the platform: a Celery worker would take the last for its own
    environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    environment["DEMO_BROKER_URL"] = broker
    command = [sys.executable, str(HERE.parent / "deploy" / "demo_fleet" / "run.py"), "--load", LOAD]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}  # its failures are part of the demo
    process = subprocess.Popen(command, env=environment, **quiet)
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)


def record(minutes: float) -> dict[str, Any]:
    """Let the fleet work for *minutes* under the eyes of the platform; return its series, steps of five seconds."""
    with tempfile.TemporaryDirectory(prefix="load-") as folder:
        rabbit = RabbitMQ(Path(folder) / "rabbitmq")
        try:
            rabbit.start()
            os.environ["VSM_HOME"] = f"{folder}/home"
            broker = f"amqp://guest:guest@127.0.0.1:{rabbit.port}//"
            with server() as running, demo_fleet(broker), _client(running) as client:
                client.post("/api/v1/fleets/", json={"name": "shop", "url": broker}).raise_for_status()
                time.sleep(30)  # until its queues are found and have a past
                start = time.time()
                counts = _counts(client, minutes)
                return _read(client, start, start + minutes * 60, counts)
        finally:
            rabbit.kill()


def _client(running: Server) -> httpx.Client:
    head = {"Authorization": f"Bearer {running.token('read', 'operate')}"}
    return httpx.Client(base_url=running.url, headers=head, timeout=300)


def _counts(client: httpx.Client, minutes: float) -> list[dict[tuple[str, str], float]]:
    """Scrape as Prometheus does, each step; return the counters, summed by (name, queue)."""
    found, begun = [], time.monotonic()
    for step in range(int(minutes * 60 / STEP_SECONDS) + 1):
        time.sleep(max(0.0, begun + step * STEP_SECONDS - time.monotonic()))
        try:
            found.append(_sums(client.get("/metrics", timeout=STEP_SECONDS).text))
        except httpx.TransportError:  # a scrape that failed is a gap, as it is with Prometheus
            found.append({})
    return found


def _sums(text: str) -> dict[tuple[str, str], float]:
    sums: dict[tuple[str, str], float] = {}
    for line in text.splitlines():
        told = LINE.match(line)
        if told and 'fleet="shop"' in line:
            key = told["name"], told["queue"]
            sums[key] = sums.get(key, 0.0) + float(told["value"])
    return sums


def _per_step(counts: list[dict[tuple[str, str], float]], of: str, over: str) -> dict[str, list[float | None]]:
    """Return by queue what was added at each step, by the second or by each of *over*; None where there was none."""
    rows: dict[str, list[float | None]] = {}
    for queue in sorted({queue for sums in counts for name, queue in sums if name == of}):
        row = rows[queue] = []
        for before, after in pairwise(counts):
            if not before or not after:
                row.append(None)
                continue
            added = after.get((of, queue), 0.0) - before.get((of, queue), 0.0)
            by = after.get((over, queue), 0.0) - before.get((over, queue), 0.0) if over else float(STEP_SECONDS)
            row.append(_rounded(added / by) if by > 0 and added >= 0 else None)
    return rows


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")


def _read(client: httpx.Client, start: float, end: float, counts: list[dict[tuple[str, str], float]]) -> dict[str, Any]:
    start, end = (int(at // STEP_SECONDS * STEP_SECONDS) for at in (start, end))
    columns = (end - start) // STEP_SECONDS
    found = {}
    for metric in METRICS:
        asked = {"metric": metric, "from": start, "to": end, "step": STEP_SECONDS, "match": "source=shop/*"}
        answer = client.get("/api/v1/query/", params=asked)
        answer.raise_for_status()
        for each in answer.json()["series"]:
            row: list[float | None] = [None] * columns
            for at, value in each["points"]:
                if value is not None and start <= at < end:
                    row[int(at - start) // STEP_SECONDS] = _rounded(value)
            found[f"{each['source']} {metric}"] = row
    for metric, (of, over) in COUNTED.items():
        found |= {f"{queue} {metric}": row for queue, row in _per_step(counts, of, over).items()}
    return {"step_seconds": STEP_SECONDS, "wave_seconds": WAVE_SECONDS, "start": start, "series": found}


def recorded() -> list[Public]:
    """Return the recorded series that vary, as the benchmark of forecasts reads them; none where there is no file."""
    if not FILE.exists():
        return []
    found = json.loads(gzip.decompress(FILE.read_bytes()))
    rows = {name: np.array(row, np.float64) for name, row in found["series"].items()}  # null is NaN
    period = found["wave_seconds"] // found["step_seconds"]
    return [
        Public(name, values, KNOWN, AHEAD, (period,))
        for name, values in sorted(rows.items())
        if len(values) >= KNOWN + AHEAD and _varies(values)
    ]


def _varies(values: Floats) -> bool:
    known = values[np.isfinite(values)]
    return len(known) > KNOWN_SHARE * len(values) and bool(np.mean(np.diff(known) != 0) > MIN_VARIED)


def main() -> None:
    found = record(float(sys.argv[1]) if len(sys.argv) > 1 else MINUTES)
    FILE.write_bytes(gzip.compress(json.dumps(found, separators=(",", ":")).encode(), mtime=0))
    print(f"{len(found['series'])} series, {FILE.stat().st_size} bytes in {FILE.name}")


if __name__ == "__main__":
    main()
