"""The embedded platform with nobody looking: under 150 MB, Flower and whatever it starts included."""

from __future__ import annotations

import time

import httpx
import psutil

from benchmarks.embedded_server import server
from benchmarks.result import Result, report

SETTLE_SECONDS, LIMIT_MB = 45, 150.0


def run() -> list[Result]:
    with server(flower=True) as running:
        time.sleep(SETTLE_SECONDS)
        main = psutil.Process(running.pid)
        ready = httpx.get(f"{running.url}/ready").status_code
        sizes = [process.memory_info().rss / 1e6 for process in (main, *main.children(recursive=True))]
    details = {"processes_mb": sizes, "ready_status": ready, "after_seconds": SETTLE_SECONDS}
    return [Result("idle_memory", "idle embedded process under 150 MB", sum(sizes), LIMIT_MB, "MB", details=details)]


if __name__ == "__main__":
    report(run)
