"""StatsD lines as fast as one sender can: how many of them we keep, beside the original server in JavaScript.

The same packets to the same kind of socket, one receiver at a time: counts of two hundred names, timers whose values
are seldom the same, a few gauges. What the kernel had to drop because the receiver was too slow is not kept. The other
server is fetched from its registry where that can be reached.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

from benchmarks.doors import fresh
from benchmarks.embedded_server import free_port
from benchmarks.result import Result, report
from subsystems.telemetry.exporters.statsd import payloads
from subsystems.telemetry.families import counter, gauge

LINES_A_PACKET, SECONDS, PACE = 30, 4.0, 100  # bursts a second
OFFERED = (300_000, 1_200_000, 2_400_000)  # lines a second
FLUSH_SECONDS = 7.0
EXPORTED = 200  # of each kind
NAME = b"bench_line"  # the first line of each packet, by which packets are counted


def packets(n: int = 1000) -> list[bytes]:
    """Return packets of counts, timers and gauges as 6 to 3 to 1."""
    drawn = random.Random(1)

    def line() -> bytes:
        name, kind = drawn.randrange(200), drawn.random()
        if kind < 0.6:
            return b"shop.orders.r%d:1|c" % name
        if kind < 0.9:
            return b"shop.took.r%d:%d|ms" % (name, drawn.lognormvariate(4, 1))
        return b"shop.depth.r%d:%d|g" % (name, drawn.randrange(100))

    return [b"\n".join([NAME + b":1|c", *(line() for _ in range(LINES_A_PACKET - 1))]) for _ in range(n)]


PACKETS = packets()


@dataclass(frozen=True)
class Kept:
    """Lines a second that a receiver kept of those that came, and what a kept line took of its processor."""

    offered: float
    lines_a_second: float
    cpu_microseconds: float


def send(port: int, offered: int) -> tuple[int, float]:
    """Send packets at a pace, or as fast as it goes; return how many lines in how many seconds."""
    a_burst, sent = offered // PACE // LINES_A_PACKET, 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.connect(("127.0.0.1", port))
        started = time.perf_counter()
        for burst in range(int(SECONDS * PACE)):
            for n in range(a_burst):
                sender.send(PACKETS[n % len(PACKETS)])
            sent += a_burst * LINES_A_PACKET
            time.sleep(max(0.0, started + (burst + 1) / PACE - time.perf_counter()))
        return sent, time.perf_counter() - started


def cpu(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system


def ours(offered: int) -> Kept:
    with tempfile.TemporaryDirectory() as home:
        port = free_port()
        with fresh(home, port) as running:
            time.sleep(5)  # what starting leaves to do
            before = cpu(running.pid)
            sent, seconds = send(port, offered)
            took = cpu(running.pid) - before
            time.sleep(FLUSH_SECONDS)
            headers = {"Authorization": f"Bearer {running.token('read')}"}
            answer = httpx.get(f"{running.url}/api/v1/query/?metric=bench_line&step=1&agg=sum", headers=headers).json()
    kept = LINES_A_PACKET * sum(value for series in answer["series"] for _, value in series["points"] if value)
    return Kept(sent / seconds, kept / seconds, took / kept * 1e6)


def theirs(offered: int, server: Path) -> Kept:
    with node(server) as (pid, port, management):
        before = cpu(pid)
        sent, seconds = send(port, offered)
        took = cpu(pid) - before
        time.sleep(1)
        kept = LINES_A_PACKET * counted(management)
    return Kept(sent / seconds, kept / seconds, took / kept * 1e6)


@contextmanager
def node(server: Path) -> Iterator[tuple[int, int, int]]:
    """Run the other server, which forwards nothing and forgets nothing; yield its process and ports."""
    port, management = free_port(), free_port()
    options = {
        "port": port, "mgmt_port": management, "backends": [], "flushInterval": 3_600_000, "address": "127.0.0.1",
        "mgmt_address": "127.0.0.1",
    }  # fmt: skip
    config = server / "benchmark.js"
    config.write_text(json.dumps(options))
    command = ["node", "node_modules/statsd/stats.js", str(config)]
    process = subprocess.Popen(command, cwd=server, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                counted(management)
                break
            except OSError:
                time.sleep(0.1)
        yield process.pid, port, management
    finally:
        process.terminate()
        process.wait(20)


def counted(management: int) -> float:
    """Ask the other server how many packets it has counted."""
    return asked(management, "counters").get(NAME.decode(), 0.0)


def asked(management: int, what: str) -> dict[str, float]:
    """Ask the other server what it holds; it answers as JavaScript prints an object."""
    with socket.create_connection(("127.0.0.1", management), timeout=5) as connection:
        connection.sendall(f"{what}\n".encode())
        answer = b""
        while not answer.rstrip().endswith(b"END"):
            answer += connection.recv(65_536)
    found = re.findall(r"'?([\w.-]+)'?: (-?[\d.e+-]+)", answer.decode())
    return {name: float(number) for name, number in found}


def exported(server: Path) -> Result:
    """Export gauges and counts to the other server, and count those that it does not hold as they were."""
    depth, total = gauge("depth", "", "queue"), counter("orders", "", "shop", "till")
    for n in range(EXPORTED):
        depth.add((n - EXPORTED / 2) / 8, f"queue-{n}")
        total.add(n * 1e6, f"shop {n}", "1")
    sent = {f"depth.queue-{n}": (n - EXPORTED / 2) / 8 for n in range(EXPORTED)}
    sent |= {f"orders_total.shop_{n}.1": n * 1e6 for n in range(EXPORTED)}
    with node(server) as (_, port, management), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for payload in payloads([depth, total], tags=False):
            sender.sendto(payload.body, ("127.0.0.1", port))
        time.sleep(1)
        held = asked(management, "gauges")
    wrong = sum(held.get(name) != number for name, number in sent.items())
    promise = "the original server holds what is exported to it, number by number"
    return Result("StatsD exported", promise, wrong, 1e-9, "wrong", details={"sent": len(sent), "held": len(held)})


def installed(folder: Path) -> Path | None:
    """Return where the other server is, fetched for this run; None where that cannot be."""
    if shutil.which("npm") is None or shutil.which("node") is None:
        return None
    (folder / "package.json").write_text('{"private": true}')
    command = ["npm", "install", "--no-fund", "--no-audit", "--ignore-scripts", "--omit=optional", "statsd@0.9.0"]
    with suppress(subprocess.TimeoutExpired):
        done = subprocess.run(command, cwd=folder, capture_output=True, check=False, timeout=120)
        return folder if done.returncode == 0 else None
    return None


def main() -> list[Result]:
    os.environ["VSM_HOT_MAX_SAMPLES"] = "1000000"
    with tempfile.TemporaryDirectory() as folder:
        server = installed(Path(folder))
        mine = [ours(offered) for offered in OFFERED]
        other = [theirs(offered, server) for offered in OFFERED] if server else []
        held = [exported(server)] if server else []
    return [*results(mine, other), *held]


def results(mine: list[Kept], other: list[Kept]) -> list[Result]:
    details = {
        f"{who}, {each.offered:,.0f} lines/s": f"{each.lines_a_second:,.0f} kept, {each.cpu_microseconds:.2f} µs"
        for who, found in (("ours", mine), ("statsd", other))
        for each in found
    }
    best = max(each.lines_a_second for each in mine)
    name = "StatsD lines a second"
    if not other:
        return [Result(name, "half a million lines a second", best, 500_000, "lines/s", better="more", details=details)]
    most = max(each.lines_a_second for each in other)
    cheapest, theirs_cheapest = (min(each.cpu_microseconds for each in found) for found in (mine, other))
    promise = "twice as many lines a second as the original server keeps"
    cost = "half of the processor that the original server takes for a line"
    return [
        Result(name, promise, best, 2 * most, "lines/s", better="more", details=details),
        Result("StatsD line", cost, cheapest, theirs_cheapest / 2, "CPU µs"),
    ]


if __name__ == "__main__":
    report(main)
