"""Open dashboards whose messages are lost and whose sockets are cut: do all notice, and end with the truth?

A real platform and a real Chromium with `live.js` as it is served: some connections that lose messages at random and
are cut at random, and one beside them that loses nothing. Now and then the server is stopped for longer than a browser
waits, which looks like a laptop's sleep. Meanwhile samples are pushed and signals raised and resolved. At the end the
losses stop, and each connection must come to know what the undisturbed one knows: the same open signals, alerts and
fleets, no sample older than its.

`python -m benchmarks dashboard_drops --minutes 60 --connections 4 --every 1` goes on for longer and takes less.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import re
import signal
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any

import httpx
from playwright.async_api import Page, WebSocketRoute, async_playwright

from benchmarks.embedded_server import Server, server
from benchmarks.result import Result, report
from tests.support.chromium import FLAGS, find_chromium

CONNECTIONS = 12  # besides the undisturbed one
LOST, CUT = 0.05, 0.005  # of messages: lost, and the socket cut instead
STOP_EVERY_SECONDS, STOP_SECONDS = 240.0, 28.0  # longer than live.js waits before it looks into a silence
SOURCES = 12
SETTLE_SECONDS, TRUTH_SECONDS = 10.0, 120.0
OPEN = """async (count) => {
  const { Live } = await import("/static/dashboard/js/live.js");
  window.lives = Array.from({ length: count }, (_, place) => new Live(place ? {} : { calm: 1 }));
  window.counts = window.lives.map(() => ({ snapshots: 0, states: 0 }));
  window.lives.forEach((live, place) => {
    live.on("snapshot", () => { window.counts[place].snapshots += 1; });
    live.on("state", () => { window.counts[place].states += 1; });
  });
}"""
KNOWN = """() => window.lives.map((live) => ({
  seq: live.seq, state: live.state, holes: live.holes,
  units: Object.fromEntries([...live.data.units].map(([key, unit]) => [unit.name, [unit.state, unit.health]])),
  latest: Object.fromEntries([...live.data.units].flatMap(([key, unit]) =>
    Object.entries(unit.latest ?? {}).map(([metric, [at]]) => [`${unit.name} ${metric}`, at]))),
  signals: Object.fromEntries([...live.data.signals].map(([key, one]) => [key, one.state])),
  alerts: Object.fromEntries([...live.data.alerts].map(([key, one]) => [key, [one.state, one.severity]])),
  fleets: Object.fromEntries([...live.data.fleets].map(([key, one]) => [key, one.last_error])),
  tick: live.data.tick?.slot, assessed: live.data.viability?.assessed_at,
}))"""
SAME = ("seq", "units", "signals", "alerts", "fleets", "tick", "assessed")


class Chaos:
    """Between the browser and the server: loses and cuts, and counts what it did."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self.counts: Counter[str] = Counter()
        self.on = True
        self._closing: set[asyncio.Future[None]] = set()

    def between(self, browser: WebSocketRoute) -> None:
        """Stand in one socket; the undisturbed connection says so in its address, which the server does not read."""
        server = browser.connect_to_server()
        calm = "calm=" in browser.url
        self.counts["sockets"] += 1

        def pass_on(message: str | bytes) -> None:
            chance = self._random.random()
            self.counts["messages"] += 1
            if not self.on or calm or chance >= LOST + CUT:
                browser.send(message)
            elif chance < LOST:
                kind = json.loads(message)["type"]
                self.counts[f"lost {kind}"] += 1
            else:
                self.counts["cut"] += 1
                self._do(browser.close(code=1012, reason="cut"))
                self._do(server.close())  # one side alone would stay open, until the browser has no socket left

        server.on_message(pass_on)

    def _do(self, closing: Coroutine[Any, Any, None]) -> None:
        self._closing.add(task := asyncio.ensure_future(closing))
        task.add_done_callback(self._closing.discard)


async def stir(client: httpx.AsyncClient, every: float, until: float) -> Counter[str]:
    """Push samples and raise, answer and resolve signals, some *every* so many seconds, until the time has come."""
    uneven, counts = random.Random(5), Counter[str]()
    open_: list[str] = []
    while time.monotonic() < until:
        await asyncio.sleep(uneven.uniform(0.3 * every, 1.7 * every))
        source = f"drops-{uneven.randrange(SOURCES)}"
        sample = {"metric": f"m{uneven.randrange(3)}", "value": uneven.random(), "at": time.time()}
        try:
            await client.post("/api/v1/ingest/", json={"source": source, "samples": [sample]})
            counts["samples"] += 1
            if uneven.random() < 0.1:
                counts["signals"] += 1
                body = {"type": "pain", "severity": "high", "source": f"drops {counts['signals']}"}
                answer = await client.post("/api/v1/signals/", json=body)
                open_.append(answer.json()["id"])
            if len(open_) > 10:
                await client.post(f"/api/v1/signals/{open_.pop(0)}/resolve/", json={})
        except (httpx.TransportError, KeyError):
            counts["requests that failed"] += 1
    return counts


async def stop_now_and_then(running: Server, until: float) -> int:
    """Stop the server for a while, as it looks to a laptop that sleeps."""
    times = 0
    while time.monotonic() + STOP_EVERY_SECONDS < until:
        await asyncio.sleep(STOP_EVERY_SECONDS)
        os.kill(running.pid, signal.SIGSTOP)
        await asyncio.sleep(STOP_SECONDS)
        os.kill(running.pid, signal.SIGCONT)
        times += 1
    return times


def wrong(known: list[dict[str, Any]]) -> dict[int, list[str]]:
    """Return by connection what it knows otherwise than the undisturbed first one."""
    truth, found = known[0], {}
    for place, other in enumerate(known[1:], 1):
        differences = [name for name in SAME if other[name] != truth[name]]
        older = [name for name, at in truth["latest"].items() if _moment(other["latest"].get(name)) < _moment(at)]
        if differences or older:
            found[place] = differences + [f"older {name}" for name in older[:3]]
    return found


def _moment(at: Any) -> float:
    return float(at) if isinstance(at, int | float) else 0.0


async def settled(page: Page, check: Callable[[list[dict[str, Any]]], dict[int, list[str]]]) -> dict[int, list[str]]:
    """Return what is still wrong after the losses have ended: nothing as soon as all agree at one moment."""
    deadline = time.monotonic() + TRUTH_SECONDS
    while True:
        found = check(await page.evaluate(KNOWN))
        if not found or time.monotonic() > deadline:
            return found
        await asyncio.sleep(0.2)


async def measure(running: Server, minutes: float, connections: int, every: float) -> list[Result]:
    chaos = Chaos(11)
    name, _, value = running.session().partition("=")
    headers = {"Authorization": f"Bearer {running.token('ingest', 'operate', 'read')}"}
    async with (
        async_playwright() as playwright,
        httpx.AsyncClient(base_url=running.url, headers=headers, timeout=120) as client,
    ):
        browser = await playwright.chromium.launch(executable_path=find_chromium(), args=FLAGS)
        context = await browser.new_context()
        await context.add_cookies([{"name": name, "value": value, "url": running.url}])
        page = await context.new_page()
        page.set_default_timeout(120_000)
        troubles: list[str] = []
        page.on("pageerror", lambda error: troubles.append(str(error)))
        await page.goto(f"{running.url}/dashboard/policy/")
        await page.route_web_socket(re.compile("/ws/dashboard/"), chaos.between)
        await page.evaluate(OPEN, connections + 1)
        until = time.monotonic() + 60 * minutes
        stirred, stops = await asyncio.gather(stir(client, every, until), stop_now_and_then(running, until))
        chaos.on = False
        await asyncio.sleep(SETTLE_SECONDS)
        left = await settled(page, wrong)
        known, counts = await page.evaluate(KNOWN), await page.evaluate("() => window.counts")
        await browser.close()
    lost = sum(n for what, n in chaos.counts.items() if what.startswith("lost"))
    details = {
        "minutes": minutes, "connections": connections, "stirred": dict(stirred), "chaos": dict(chaos.counts),
        "server_stopped_times": stops, "holes_noticed": sum(one["holes"] for one in known[1:]),
        "snapshots": sum(one["snapshots"] for one in counts[1:]),
        "undisturbed": counts[0] | {"holes": known[0]["holes"]},
        "page_errors": troubles, "wrong": left, "load_average": os.getloadavg()[0],
    }  # fmt: skip
    return [
        Result("dashboard_drops_wrong", "no connection ends with anything but the truth", len(left) + len(troubles),
               0.5, "connections", details=details),
        Result("dashboard_drops_lost", "after this many lost messages and cut sockets", lost + chaos.counts["cut"],
               1, "losses", better="more"),
    ]  # fmt: skip


def run() -> list[Result]:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--connections", type=int, default=CONNECTIONS, help="besides the undisturbed one")
    parser.add_argument("--every", type=float, default=0.35, help="seconds between what happens")
    given = parser.parse_args()
    os.environ["VSM_RATE_LIMITING"] = "off"  # more signals than anybody may raise
    with server() as running:
        time.sleep(SETTLE_SECONDS)
        return asyncio.run(measure(running, given.minutes, given.connections, given.every))


if __name__ == "__main__":
    report(run)
