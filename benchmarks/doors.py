"""Samples through each door of a real embedded platform, storage included; VictoriaMetrics takes the same samples.

10,000 series, ten moments a request. The sender prepares its bodies beforehand and sends them over two connections, so
that what is measured is the server: samples a second, and seconds of its processor for a million samples.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import msgspec
import numpy as np
import psutil

from benchmarks.embedded_server import Server, free_port, server
from benchmarks.result import Result, report

SERIES, MOMENTS = 10_000, 10
BATCH = SERIES * MOMENTS
SAMPLES = 10_000_000
ROW_SAMPLES = 2_000_000  # for the doors that take them one by one
CONNECTIONS = 2
LINES_A_SECOND, LINE_SECONDS, FLUSH_SECONDS = 200_000, 5.0, 7.0
SCRAPES = 20
GOAL = {"columns": 1_000_000.0, "otlp": 300_000.0}
ROOM = {"VSM_HOT_MAX_SAMPLES": "80000000", "VSM_INGEST_RATE": "100000", "VSM_INGEST_BURST": "100000"}
METRICS = [f"requests_of_{n}" for n in range(SERIES)]


@dataclass(frozen=True)
class Load:
    """What is sent where, again and again."""

    path: str
    content_type: str
    bodies: Sequence[bytes]
    batch: int = BATCH
    expected: int = 202


@dataclass(frozen=True)
class Cost:
    """What it took."""

    samples_per_second: float
    cpu_seconds_per_million: float


def main() -> list[Result]:
    found: dict[str, Cost] = {}
    os.environ.update(ROOM)
    for name, load, samples in ours():
        with tempfile.TemporaryDirectory() as home, fresh(home) as running:
            found[name] = cost(running.url, running.pid, running.token("ingest"), load, samples)
        print(name, found[name], flush=True)
    lines = statsd_lines()
    return [*results(found, victoria_metrics()), *lines, *scrapes()]


@contextmanager
def fresh(home: str, statsd_port: int = 0) -> Iterator[Server]:
    """Run a platform in a home of its own until the block ends."""
    os.environ["VSM_HOME"] = home
    with server(statsd_port=statsd_port) as running:
        yield running


def ours() -> Iterator[tuple[str, Load, int]]:
    """Yield each door's name, what is sent there, and how many samples in all."""
    yield "columns, MessagePack", Load("/api/v1/ingest/", "application/msgpack", packed_bodies()), SAMPLES
    yield "columns, JSON", Load("/api/v1/ingest/", "application/json", json_bodies()), SAMPLES
    yield (
        "OTLP, protobuf",
        Load("/v1/metrics", "application/x-protobuf", otlp_bodies(), batch=SERIES, expected=200),
        SAMPLES,
    )
    yield "rows, JSON", Load("/api/v1/ingest/", "application/json", row_bodies(), batch=10_000), ROW_SAMPLES


def moments(n: int) -> np.ndarray[Any, Any]:
    """Return the times of body *n*, none of them in the future."""
    return np.floor(time.time()) - 600 + MOMENTS * n + np.arange(MOMENTS, dtype=np.float64)


def values(n: int) -> np.ndarray[Any, Any]:
    return np.round(np.random.default_rng(n).random((SERIES, MOMENTS)) * 1000, 3)


def packed_bodies() -> list[bytes]:
    return [
        msgspec.msgpack.encode(
            {"source": "bench", "metrics": METRICS, "at": moments(n).tobytes(), "values": values(n).tobytes()}
        )
        for n in range(20)
    ]


def json_bodies() -> list[bytes]:
    return [
        json.dumps(
            {"source": "bench", "metrics": METRICS, "at": moments(n).tolist(), "values": values(n).tolist()}
        ).encode()
        for n in range(20)
    ]


def row_bodies() -> list[bytes]:
    bodies = []
    for n in range(20):
        at = moments(n)[0]
        rows = [
            {"metric": metric, "value": value, "at": at, "labels": {"zone": "a", "pod": "p1"}}
            for metric, value in zip(METRICS, values(n)[:, 0].tolist(), strict=True)
        ]
        bodies.append(json.dumps({"source": "bench", "samples": rows}).encode())
    return bodies


def otlp_bodies() -> list[bytes]:
    """Return what an OpenTelemetry SDK sends of a fleet: counters with three attributes each."""
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

    bodies = []
    for n in range(20):
        request = ExportMetricsServiceRequest()
        each = request.resource_metrics.add()
        each.resource.attributes.add(key="service.name").value.string_value = "bench"
        total = each.scope_metrics.add().metrics.add(name="requests").sum
        total.aggregation_temporality, total.is_monotonic = 2, True
        at, drawn = int(moments(n)[0] * 1e9), values(n)[:, 0].tolist()
        for series, value in enumerate(drawn):
            point = total.data_points.add(start_time_unix_nano=at - 10**9, time_unix_nano=at, as_double=value)
            for key, text in (("route", f"/r/{series}"), ("method", "GET"), ("status", "200")):
                point.attributes.add(key=key).value.string_value = text
        bodies.append(request.SerializeToString())
    return bodies


def cost(url: str, pid: int, token: str, load: Load, samples: int) -> Cost:
    """Send *samples* and return what that took the process *pid*; the series are made before the clock starts."""
    headers = {"Authorization": f"Bearer {token}", "Content-Type": load.content_type}
    send(url, load, headers, 2)
    process = psutil.Process(pid)
    requests = samples // load.batch
    before, started = process.cpu_times(), time.perf_counter()
    send(url, load, headers, requests)
    elapsed, after = time.perf_counter() - started, process.cpu_times()
    cpu = after.user + after.system - before.user - before.system
    sent = requests * load.batch
    return Cost(sent / elapsed, cpu / sent * 1e6)


def send(url: str, load: Load, headers: dict[str, str], requests: int) -> None:
    """Send *requests* bodies over a few connections; raises when one is not taken whole."""
    numbers, failed = iter(range(requests)), []

    def work() -> None:
        connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
        for n in iter(lambda: next(numbers, None), None):
            connection.request("POST", load.path, load.bodies[n % len(load.bodies)], headers)
            answer = connection.getresponse()
            body = answer.read()
            if answer.status != load.expected or (body and b'"rejected":[]' not in body):
                failed.append((answer.status, body[:300]))
                return
        connection.close()

    at_once([work] * CONNECTIONS)
    if failed:
        raise RuntimeError(f"{load.path}: {failed[0]}")


def at_once(works: Sequence[Callable[[], None]]) -> None:
    """Do *works* side by side, each in a thread."""
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@contextmanager
def peer(binary: str, *arguments: str, port: int) -> Iterator[int]:
    """Run a peer until the block ends; yield its process id."""
    process = subprocess.Popen([binary, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            try:
                httpx.get(f"http://127.0.0.1:{port}/")
                break
            except httpx.TransportError:
                time.sleep(0.1)
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:  # it may have much to write
            process.kill()
            process.wait(30)


def victoria_metrics() -> dict[str, Cost]:
    """Return what the same batches cost VictoriaMetrics in its JSON columns; nothing where it is not installed."""
    binary = shutil.which("victoria-metrics")
    if binary is None:
        return {}
    port = free_port()
    load = Load("/api/v1/import", "application/json", victoria_bodies(), expected=204)
    with tempfile.TemporaryDirectory() as data:
        arguments = [f"-storageDataPath={data}", f"-httpListenAddr=127.0.0.1:{port}", "-retentionPeriod=1"]
        with peer(binary, *arguments, port=port) as pid:
            return {"columns, JSON lines": cost(f"http://127.0.0.1:{port}", pid, "none", load, SAMPLES)}


def victoria_bodies() -> list[bytes]:
    bodies = []
    for n in range(20):
        at = (moments(n) * 1000).astype(int).tolist()
        lines = [
            json.dumps({"metric": {"__name__": metric, "source": "bench"}, "values": row, "timestamps": at})
            for metric, row in zip(METRICS, values(n).tolist(), strict=True)
        ]
        bodies.append("\n".join(lines).encode())
    return bodies


def statsd_lines() -> list[Result]:
    """Send lines for some seconds, ten a packet, at a steady pace; tell what was kept and what it took."""
    with tempfile.TemporaryDirectory() as home:
        port = free_port()
        with fresh(home, port) as running:
            process, before = psutil.Process(running.pid), psutil.Process(running.pid).cpu_times()
            sent = send_lines(port)
            time.sleep(FLUSH_SECONDS)
            after = process.cpu_times()
            headers = {"Authorization": f"Bearer {running.token('read')}"}
            answer = httpx.get(f"{running.url}/api/v1/query/?metric=bench_line&step=1&agg=sum", headers=headers).json()
    kept = sum(value for series in answer["series"] for _, value in series["points"] if value)
    cpu = after.user + after.system - before.user - before.system
    details = {"lines a second": round(sent / LINE_SECONDS), "CPU µs a line": round(cpu / sent * 1e6, 3)}
    promise = "every StatsD line is kept at the pace of one sender"
    return [Result("StatsD lines kept", promise, kept / sent, 0.999, "share", better="more", details=details)]


def send_lines(port: int) -> int:
    """Send packets at a steady pace; return how many lines that were."""
    sent, packets_a_tick, ticks = 0, LINES_A_SECOND // 10 // 100, int(100 * LINE_SECONDS)
    packet = b"\n".join(b"bench_line:1|c|#route:r%d" % n for n in range(10))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        started = time.perf_counter()
        for tick in range(ticks):
            for _ in range(packets_a_tick):
                sender.sendto(packet, ("127.0.0.1", port))
                sent += 10
            time.sleep(max(0.0, started + (tick + 1) / 100 - time.perf_counter()))
    return sent


def scrapes() -> list[Result]:
    """Read a page of ten thousand series again and again, storage included, beside Prometheus doing so."""
    import django

    os.environ["VSM_HOME"] = tempfile.mkdtemp()
    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    with exporter() as url:
        ours, theirs = our_scrapes(url), prometheus_scrapes(url)
    details = {"ours, CPU µs a sample": round(ours, 3)}
    if theirs is None:
        return [Result("scrape", "a sample of a page takes a microsecond", ours, 1.0, "CPU µs", details=details)]
    promise = "no more of the processor than Prometheus takes for the same page"
    return [Result("scrape beside Prometheus", promise, ours, theirs, "CPU µs a sample", details=details)]


@contextmanager
def exporter() -> Iterator[str]:
    """Show a page of ten thousand series, in a process of its own, until the block ends."""
    port = free_port()
    lines = (f'requests_total{{route="/r/{n}",method="GET"}} {n * 1.5}' for n in range(SERIES))
    page = "# TYPE requests_total counter\n" + "\n".join(lines) + "\n"
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "metrics").write_text(page)
        command = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1", "--directory", folder]
        with peer(*command, port=port):
            yield f"http://127.0.0.1:{port}/metrics"


def our_scrapes(url: str) -> float:
    """Return the microseconds of processor that a sample takes."""
    from subsystems.recursion.queries import root_system
    from subsystems.s1_operations.adapters.base import Context, UnitRef
    from subsystems.s1_operations.adapters.prometheus import PrometheusAdapter
    from subsystems.telemetry.services import record_table

    system, unit = root_system().pk, UnitRef(1, "bench", {"url": url})
    adapter = PrometheusAdapter()

    def once() -> None:
        context = Context(now=time.time(), http_allow=["127.0.0.1"])
        (reading,) = asyncio.run(adapter.collect([unit], context))
        if reading.table is None or record_table(reading.table, system_id=system).accepted != SERIES:
            raise RuntimeError(reading.error)

    once()
    once()
    started = time.process_time()
    for _ in range(SCRAPES):
        once()
    return (time.process_time() - started) / SCRAPES / SERIES * 1e6


def prometheus_scrapes(url: str) -> float | None:
    """Return the same of Prometheus; None where it is not installed."""
    binary = shutil.which("prometheus")
    if binary is None:
        return None
    port, target = free_port(), urlsplit(url).netloc
    with tempfile.TemporaryDirectory() as data:
        config = Path(data, "prometheus.yml")
        job = {"job_name": "b", "scrape_interval": "1s", "static_configs": [{"targets": [target]}]}
        config.write_text(json.dumps({"scrape_configs": [job]}))  # JSON is YAML
        arguments = [f"--config.file={config}", f"--storage.tsdb.path={data}/tsdb"]
        arguments.append(f"--web.listen-address=127.0.0.1:{port}")
        with peer(binary, *arguments, port=port) as pid:
            time.sleep(5)  # the first scrapes make the series
            process = psutil.Process(pid)
            before = process.cpu_times()
            time.sleep(SCRAPES)
            after = process.cpu_times()
    return (after.user + after.system - before.user - before.system) / SCRAPES / SERIES * 1e6


def results(found: dict[str, Cost], peers: dict[str, Cost]) -> list[Result]:
    details = {f"{name}: samples/s": round(each.samples_per_second) for name, each in [*found.items(), *peers.items()]}
    details |= {
        f"{name}: CPU-s per million": round(each.cpu_seconds_per_million, 3)
        for name, each in [*found.items(), *peers.items()]
    }
    columns = found["columns, MessagePack"]
    told = [
        Result(
            "columns, samples a second",
            "a million samples a second through the columnar door, storage included",
            columns.samples_per_second,
            GOAL["columns"],
            "samples/s",
            better="more",
            details=details,
        )
    ]
    told.append(
        Result(
            "OTLP, samples a second",
            "three hundred thousand samples a second through OTLP, storage included",
            found["OTLP, protobuf"].samples_per_second,
            GOAL["otlp"],
            "samples/s",
            better="more",
        )
    )
    for name, theirs in peers.items():
        told.append(
            Result(
                f"columns beside VictoriaMetrics ({name})",
                "no more of the processor than VictoriaMetrics takes for the same samples",
                columns.cpu_seconds_per_million,
                theirs.cpu_seconds_per_million,
                "CPU-s per million samples",
            )
        )
    return told


if __name__ == "__main__":
    report(main)
