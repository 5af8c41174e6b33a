"""Checks of the rate limiter per second: in process, and in Redis beside a bare INCR on the same server.

A check is the whole door: policy, three layers, all or none. The peer is one command that limits nothing. The server
is a Redis of this benchmark's own; without `redis-server` only the first figure is measured.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count

import django
import redis

from benchmarks.result import Result, report
from subsystems.kernel.severity import Severity
from subsystems.messaging.channels import Channel, Party
from subsystems.messaging.gcra import Limit
from subsystems.messaging.memory_limiter import MemoryLimiter
from subsystems.messaging.redis_limiter import RedisLimiter

django.setup()

from subsystems.messaging import limits  # noqa: E402

CALLS, ROUNDS = 5_000, 7
OPEN = {(None, layer, ""): Limit(1_000_000, 1, 1_000_000) for layer in ("severity", "subsystem", "system")}


@contextmanager
def server() -> Iterator[str]:
    """A Redis of our own on a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = ["redis-server", "--port", str(port), "--save", "", "--bind", "127.0.0.1"]
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        url = f"redis://127.0.0.1:{port}/0"
        wait_for(url)
        yield url
    finally:
        running.terminate()
        running.wait(10)


def wait_for(url: str) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            redis.Redis.from_url(url).ping()
        except redis.ConnectionError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


def rate(call: Callable[[], object], calls: int = CALLS) -> float:
    started = time.perf_counter()
    for _ in range(calls):
        call()
    return calls / (time.perf_counter() - started)


def check() -> None:
    limits.check(Channel.ALGEDONIC, Party.S1, Severity.HIGH, 1)


def critical() -> None:
    limits.check(Channel.ALGEDONIC, Party.S1, Severity.CRITICAL, 1)


def lock_and_count() -> Callable[[], object]:
    """The least that any counting limiter in a process does: a lock and a number."""
    lock, numbers = threading.Lock(), count()

    def call() -> None:
        with lock:
            next(numbers)

    return call


def in_process() -> Result:
    limits.use_limiter(limits.GuardedLimiter(MemoryLimiter()))
    ours = max(rate(check, 20_000) for _ in range(ROUNDS))
    details = {
        "critical_per_second": max(rate(critical, 20_000) for _ in range(ROUNDS)),
        "lock_and_count_per_second": rate(lock_and_count(), 100_000),
    }
    promise = "a check in process costs less than 50 microseconds"
    return Result("rate_limit_in_process", promise, ours, 20_000, "checks/s", "more", details)


def in_redis(url: str) -> Result:
    limits.use_limiter(limits.GuardedLimiter(RedisLimiter(url=url, timeout_seconds=5)))
    client = redis.Redis.from_url(url)
    pairs = [(rate(check), rate(lambda: client.incr("bare"))) for _ in range(ROUNDS)]
    ours, bare = max(pair[0] for pair in pairs), max(pair[1] for pair in pairs)
    promise = "three layers at once cost less than three bare INCR one after the other"
    details = {"bare_incr_per_second": bare, "share_of_one_bare_incr": ours / bare}
    return Result("rate_limit_redis", promise, ours, bare / 3, "checks/s", "more", details)


def run() -> list[Result]:
    limits.policy.rows = lambda: OPEN  # type: ignore[method-assign]  # no database here, and nothing is to be refused
    results = [in_process()]
    if shutil.which("redis-server"):
        with server() as url:
            results.append(in_redis(url))
    return results


if __name__ == "__main__":
    report(run)
