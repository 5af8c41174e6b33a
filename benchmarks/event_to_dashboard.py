"""From a sample sent to its message in a browser's socket: 99 of 100 within 100 ms.

A real server, a real request with a token, a real WebSocket with a session. The clock starts before the request is
sent, so the way there and the database count too; samples come at uneven times, as those of agents do.
"""

from __future__ import annotations

import asyncio
import json
import random
import time

import httpx
import websockets

from benchmarks.embedded_server import Server, server
from benchmarks.result import Result, percentile, report

SAMPLES, WARM_UP, LIMIT_MS = 400, 20, 100.0
PAUSE_SECONDS = (0.01, 0.12)
GIVE_UP_SECONDS = 5.0


async def heard(socket: websockets.ClientConnection, value: float) -> float:
    """Wait until the socket brings *value*; return when that was."""
    while True:
        message = json.loads(await socket.recv())
        now = time.perf_counter()
        for change in message.get("changes", []):
            if change["kind"] == "samples" and change["body"].get("bench", [0, -1])[1] == value:
                return now


async def measure(running: Server) -> list[tuple[float, float]]:
    """Return (ms from sending, ms from the answer) to the message, for each sample."""
    uneven = random.Random(17)
    headers = {"Authorization": f"Bearer {running.token('ingest')}"}
    cookies = {"Cookie": running.session()}
    address = running.url.replace("http", "ws", 1) + "/ws/dashboard/?system=main"
    found = []
    async with (
        httpx.AsyncClient(base_url=running.url, headers=headers) as client,
        websockets.connect(address, additional_headers=cookies, origin=running.url) as socket,
    ):
        await socket.recv()
        for n in range(WARM_UP + SAMPLES):
            await asyncio.sleep(uneven.uniform(*PAUSE_SECONDS))
            sample = {"metric": "bench", "value": n, "at": time.time()}
            waiting = asyncio.create_task(heard(socket, n))
            sent = time.perf_counter()
            answer = await client.post("/api/v1/ingest/", json={"source": "bench", "samples": [sample]})
            accepted = time.perf_counter()
            if answer.status_code != 202 or answer.json()["accepted"] != 1:
                raise RuntimeError(f"The sample was not accepted: {answer.status_code} {answer.text:.300}")
            arrived = await asyncio.wait_for(waiting, GIVE_UP_SECONDS)
            found.append(((arrived - sent) * 1000, max(0.0, arrived - accepted) * 1000))
    return found[WARM_UP:]


def run() -> list[Result]:
    with server() as running:
        time.sleep(8)  # let the first cycles pass, which make the platform's own units
        found = asyncio.run(measure(running))
    sent = [row[0] for row in found]
    details = {
        "samples": SAMPLES,
        "after_answer_p99_ms": percentile([row[1] for row in found], 0.99),
        "max_ms": max(sent),
    }
    return [
        Result("event_to_dashboard_p99", "p99 under 100 ms", percentile(sent, 0.99), LIMIT_MS, "ms", details=details),
        Result("event_to_dashboard_p50", "p50 under 100 ms", percentile(sent, 0.5), LIMIT_MS, "ms"),
    ]


if __name__ == "__main__":
    report(run)
