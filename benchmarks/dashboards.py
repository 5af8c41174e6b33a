"""Five hundred open dashboards on one web process: how soon the last one knows, what each costs, and who is held up.

A real embedded platform (web, workers and beat in one process) and 500 real sockets from this one. An event is an
algedonic signal or a sample that comes in by the API; its clock starts before the request is sent and stops when the
last browser has its message. Memory is what the server grows by, divided by the browsers. Then the same again beside
browsers that never read a byte.

`python -m benchmarks dashboards --browsers 100 --events 50` asks for another size; `--services` puts every part into a
process of its own, as in production, on the RabbitMQ, Redis and PostgreSQL that the environment names.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import random
import time
from dataclasses import dataclass, field

import httpx
import psutil

from benchmarks.browsers import Browser, open_browser, open_deaf
from benchmarks.embedded_server import Server, server
from benchmarks.result import Result, percentile, report

LIMIT_MS, LIMIT_KB = 250.0, 200.0
SETTLE_SECONDS = 10.0  # the first cycles make the platform's own units
PAUSE_SECONDS = (0.15, 0.6)
GIVE_UP_SECONDS = 30.0
AT_ONCE = 25  # that connect at the same time
DEAF = 10
TICKS_SECONDS = 12.0  # two collections: every browser has been told something


@dataclass
class Crowd:
    """The open browsers, and when the one that is the last has heard what is waited for."""

    browsers: list[Browser] = field(default_factory=list)
    mark: bytes = b"\0"
    missing: int = 0
    heard: list[float] = field(default_factory=list)
    all_heard: asyncio.Event = field(default_factory=asyncio.Event)
    messages: int = 0
    bytes: int = 0

    def hear(self, message: bytes) -> None:
        self.messages += 1
        self.bytes += len(message)
        if self.mark in message:
            self.heard.append(time.perf_counter())
            if len(self.heard) >= len(self.browsers):
                self.all_heard.set()

    def expect(self, mark: str) -> None:
        self.mark, self.heard = mark.encode(), []
        self.all_heard.clear()


async def connect(running: Server, cookies: str, count: int, crowd: Crowd) -> list[float]:
    """Open *count* browsers, some at a time; return how long each took to its first message, in ms."""
    gate, took = asyncio.Semaphore(AT_ONCE), []

    async def one() -> None:
        async with gate:
            started, first = time.perf_counter(), asyncio.Event()

            def hear(message: bytes) -> None:
                first.set()
                crowd.hear(message)

            crowd.browsers.append(await open_browser(running.url, cookies, hear))
            await asyncio.wait_for(first.wait(), 120)
            took.append((time.perf_counter() - started) * 1000)

    await asyncio.gather(*(one() for _ in range(count)))
    return took


async def raise_signal(client: httpx.AsyncClient, mark: str) -> None:
    body = {"type": "pain", "severity": "high", "source": mark, "description": mark}
    (await client.post("/api/v1/signals/", json=body)).raise_for_status()


async def push_sample(client: httpx.AsyncClient, mark: str) -> None:
    sample = {"metric": "bench", "value": float(mark), "at": time.time()}
    (await client.post("/api/v1/ingest/", json={"source": "bench", "samples": [sample]})).raise_for_status()


async def events(running: Server, crowd: Crowd, count: int, kind: str, token: str) -> list[float]:
    """Cause *count* events at uneven moments; return the ms from each to the last browser."""
    uneven, found = random.Random(23), []
    cause = raise_signal if kind == "signal" else push_sample
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=running.url, headers=headers, timeout=120) as client:
        for n in range(count):
            await asyncio.sleep(uneven.uniform(*PAUSE_SECONDS))
            mark = f"mark-{n}-{uneven.randrange(10**9)}" if kind == "signal" else f"{7_000_000 + n}.5"
            crowd.expect(mark)
            started = time.perf_counter()
            await cause(client, mark)
            try:
                await asyncio.wait_for(crowd.all_heard.wait(), GIVE_UP_SECONDS)
            except TimeoutError:
                print(f"{kind} {n}: {len(crowd.heard)} of {len(crowd.browsers)} heard of it", flush=True)
                found.append(GIVE_UP_SECONDS * 1000)
            else:
                found.append((crowd.heard[-1] - started) * 1000)
                if found[-1] > LIMIT_MS:  # what it coincides with is to be seen in the platform's own lines
                    first = (crowd.heard[0] - started) * 1000
                    print(f"{time.strftime('%H:%M:%S')} {kind} {n}: {first:.0f} to {found[-1]:.0f} ms", flush=True)
    return found


def summary(found: list[float]) -> dict[str, float]:
    return {
        "p50": percentile(found, 0.5),
        "p90": percentile(found, 0.9),
        "p99": percentile(found, 0.99),
        "max": max(found),
    }


async def measure(running: Server, count: int, event_count: int) -> list[Result]:
    process, cookies, token = psutil.Process(running.pid), running.session(), running.token("ingest", "operate", "read")
    await push_and_wait(running, cookies, token)
    gc.collect()
    gc.freeze()
    gc.disable()  # a pause of this process would look like one of the server's
    crowd = Crowd()
    before, spent = process.memory_info().rss, process.cpu_times()
    took = await connect(running, cookies, count, crowd)
    await asyncio.sleep(TICKS_SECONDS)
    grown = (process.memory_info().rss - before) / 1024 / count
    samples = await events(running, crowd, event_count, "sample", token)
    signals = await events(running, crowd, event_count, "signal", token)
    after = (process.memory_info().rss - before) / 1024 / count
    deaf = [await open_deaf(running.url, cookies) for _ in range(DEAF)]
    beside = await events(running, crowd, event_count, "signal", token)
    used = process.cpu_times()
    details = {
        "browsers": count, "events": event_count, "load_average": os.getloadavg()[0],
        "first_message_ms": summary(took), "sample_ms": summary(samples), "signal_ms": summary(signals),
        "beside_deaf_ms": summary(beside), "kb_per_browser_after_all": after,
        "server_cpu_seconds": used.user + used.system - spent.user - spent.system,
        "messages": crowd.messages, "kb_sent": crowd.bytes / 1024,
        "still_open": sum(not browser.over.is_set() for browser in crowd.browsers),
    }  # fmt: skip
    for each in deaf:
        each.close()
    for browser in crowd.browsers:
        browser.cut()
    return [
        Result("dashboards_signal_p99", "event to the last of 500 browsers, p99 under 250 ms",
               percentile(signals, 0.99), LIMIT_MS, "ms", details=details),
        Result("dashboards_sample_p99", "the same for a sample", percentile(samples, 0.99), LIMIT_MS, "ms"),
        Result("dashboards_memory", "each browser under 200 KB", grown, LIMIT_KB, "KB"),
        Result("dashboards_beside_deaf_p99", "beside browsers that never read, p99 under 250 ms",
               percentile(beside, 0.99), LIMIT_MS, "ms"),
    ]  # fmt: skip


async def push_and_wait(running: Server, cookies: str, token: str) -> None:
    """Have everything loaded that one browser needs, before memory is compared."""
    crowd = Crowd()
    await connect(running, cookies, 5, crowd)
    await events(running, crowd, 5, "sample", token)
    await events(running, crowd, 5, "signal", token)
    for browser in crowd.browsers:
        browser.cut()
    await asyncio.sleep(2)


def run() -> list[Result]:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--browsers", type=int, default=500)
    parser.add_argument("--events", type=int, default=150)
    parser.add_argument("--services", action="store_true", help="a process for each part, on given servers")
    given = parser.parse_args()
    os.environ["VSM_RATE_LIMITING"] = "off"  # more signals than anybody may raise
    with server(services=given.services) as running:
        time.sleep(SETTLE_SECONDS)
        return asyncio.run(measure(running, given.browsers, given.events))


if __name__ == "__main__":
    report(run)
