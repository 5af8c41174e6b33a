"""Prometheus' remote write: the same requests to a real platform, to Prometheus and to VictoriaMetrics.

Ten thousand series, two thousand samples a request as Prometheus itself sends them, each round a second later. What is
measured is the receiver: samples a second, and seconds of its processor for a million samples, storage included.
"""

from __future__ import annotations

import http.client
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from benchmarks.doors import ROOM, Cost, at_once, fresh, peer
from benchmarks.embedded_server import free_port
from benchmarks.result import Result, report
from subsystems.telemetry.exporters import remote_write
from subsystems.telemetry.families import gauge

SERIES, ROUNDS, CONNECTIONS = 10_000, 120, 2
A_REQUEST = remote_write.SAMPLES_A_REQUEST
A_ROUND = SERIES // A_REQUEST


def bodies() -> list[bytes]:
    """Return the requests of all rounds, the last of them now."""
    made, begin = [], time.time() - ROUNDS
    for number in range(ROUNDS):
        family = gauge("http_requests", "", "job", "instance", "route", "method")
        family.rows.extend((("shop", "10.0.0.1:8000", f"/r/{n}", "GET"), n * 1.5 + number) for n in range(SERIES))
        made += [payload.body for payload in remote_write.payloads([family], now=begin + number)]
    return made


def cost(url: str, pid: int, token: str, requests: list[bytes]) -> Cost:
    """Send all; the first round makes the series, and is not counted."""
    headers = {**remote_write.HEADERS, "Authorization": f"Bearer {token}"}
    send(url, requests[:A_ROUND], headers)
    process = psutil.Process(pid)
    before, started = process.cpu_times(), time.perf_counter()
    send(url, requests[A_ROUND:], headers)
    elapsed, after = time.perf_counter() - started, process.cpu_times()
    sent = (len(requests) - A_ROUND) * A_REQUEST
    cpu = after.user + after.system - before.user - before.system
    return Cost(sent / elapsed, cpu / sent * 1e6)


def send(url: str, requests: list[bytes], headers: dict[str, str]) -> None:
    """Send over a few connections, each its own series, in order; raises when one is not taken whole."""
    failed: list[object] = []

    def work(mine: list[bytes]) -> None:
        connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
        for body in mine:
            connection.request("POST", "/api/v1/write", body, headers)
            answer = connection.getresponse()
            told = answer.read()
            if answer.status != 204:
                failed.append((answer.status, told[:300]))
                return
        connection.close()

    shares = [[body for n, body in enumerate(requests) if n % A_ROUND % CONNECTIONS == k] for k in range(CONNECTIONS)]
    at_once([partial(work, share) for share in shares])
    if failed:
        raise RuntimeError(f"remote write: {failed[0]}")


@contextmanager
def receivers() -> Iterator[dict[str, tuple[str, int]]]:
    """Run the peers that are installed; yield their addresses and process ids."""
    with tempfile.TemporaryDirectory() as data:
        found: dict[str, tuple[str, int]] = {}
        port, other = free_port(), free_port()
        prometheus, victoria = shutil.which("prometheus"), shutil.which("victoria-metrics")
        config = Path(data, "prometheus.yml")
        config.write_text("{}")
        options = [f"--config.file={config}", f"--storage.tsdb.path={data}/p", f"--web.listen-address=127.0.0.1:{port}"]
        with (
            peer(prometheus or "true", "--web.enable-remote-write-receiver", *options, port=port) as first,
            peer(
                victoria or "true", f"-storageDataPath={data}/v", f"-httpListenAddr=127.0.0.1:{other}",
                "-retentionPeriod=1", port=other,
            ) as second,
        ):  # fmt: skip
            if prometheus:
                found["Prometheus"] = f"http://127.0.0.1:{port}", first
            if victoria:
                found["VictoriaMetrics"] = f"http://127.0.0.1:{other}", second
            yield found


def main() -> list[Result]:
    os.environ.update(ROOM)
    with tempfile.TemporaryDirectory() as home, fresh(home) as running:
        ours = cost(running.url, running.pid, running.token("ingest"), bodies())
    with receivers() as peers:
        theirs = {name: cost(url, pid, "none", bodies()) for name, (url, pid) in peers.items()}
    return results(ours, theirs)


def results(ours: Cost, theirs: dict[str, Cost]) -> list[Result]:
    costs = {"ours": ours, **theirs}
    details: dict[str, float] = {f"{name}: samples/s": round(each.samples_per_second) for name, each in costs.items()}
    details |= {f"{name}: CPU-s per million": round(each.cpu_seconds_per_million, 3) for name, each in costs.items()}
    told = [
        Result(
            "remote write, samples a second", "a hundred thousand samples a second, as the design asks of any way in",
            ours.samples_per_second, 100_000, "samples/s", better="more", details=details,
        )
    ]  # fmt: skip
    for name, each in theirs.items():
        promise = f"no more of the processor than {name} takes for the same requests"
        told.append(
            Result(
                f"remote write beside {name}", promise, ours.cpu_seconds_per_million, each.cpu_seconds_per_million,
                "CPU-s per million samples",
            )
        )  # fmt: skip
    return told


if __name__ == "__main__":
    report(main)
