"""From a sample that crosses a threshold to the webhook that is told: within one evaluation, and quickly after it.

A real platform, a critical rule made over its API, samples pushed at uneven moments, and a webhook on this machine that
notes when each alert came. An alert's `startsAt` is the evaluation that found it, so the evaluation itself is counted.
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx

from benchmarks.embedded_server import Server, server
from benchmarks.result import Result, percentile, report

ALERTS, WARM_UP = 100, 5
PAUSE_SECONDS = (0.4, 1.6)
INTERVAL_SECONDS, LIMIT_MS = 5.0, 500.0
GIVE_UP_SECONDS = 30.0
ROUTING = {
    "route": {"receiver": "ops", "group_by": ["..."], "group_wait": "0s"},
    "receivers": [{"name": "ops", "targets": ["ops"]}],
}


@contextmanager
def webhook(heard: dict[str, tuple[float, float]]) -> Iterator[str]:
    """Listen on a port of this machine; note by unit when an alert was evaluated and when it came here."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            came = time.time()
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(204)
            self.end_headers()
            for alert in body["alerts"]:
                evaluated = datetime.fromisoformat(alert["startsAt"]).timestamp()
                heard.setdefault(alert["labels"]["unit"], (evaluated, came))

        def log_message(self, *_: object) -> None: ...

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=listening.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.server_port}/"
    finally:
        listening.shutdown()
        listening.server_close()
        thread.join()


def prepare(client: httpx.Client, url: str) -> None:
    """Make the target, the routing and the rule."""
    rule = {"name": "Pain", "metric": "pain", "threshold": 0.9, "severity": "critical"}
    for method, path, body in (
        ("POST", "notification-targets/", {"name": "ops", "kind": "webhook", "settings": {"url": url}}),
        ("PUT", "notification-routing/", {"document": ROUTING}),
        ("POST", "alert-rules/", rule),
    ):
        answer = client.request(method, f"/api/v1/{path}", json=body)
        if answer.is_error:
            raise RuntimeError(f"{path}: {answer.status_code} {answer.text:.300}")


def measure(running: Server) -> dict[str, tuple[float, float, float]]:
    """Return by unit when its sample was sent, when it was evaluated, and when the webhook was told."""
    heard: dict[str, tuple[float, float]] = {}
    sent: dict[str, float] = {}
    uneven = random.Random(17)
    headers = {"Authorization": f"Bearer {running.token('admin', 'operate', 'read', 'ingest')}"}
    with webhook(heard) as url, httpx.Client(base_url=running.url, headers=headers, timeout=30) as client:
        prepare(client, url)
        for n in range(WARM_UP + ALERTS):
            time.sleep(uneven.uniform(*PAUSE_SECONDS))
            sent[f"agent-{n}"] = now = time.time()
            sample = {"metric": "pain", "value": 1.0, "at": now}
            client.post("/api/v1/ingest/", json={"source": f"agent-{n}", "samples": [sample]}).raise_for_status()
        deadline = time.monotonic() + GIVE_UP_SECONDS
        while len(heard) < len(sent) and time.monotonic() < deadline:
            time.sleep(0.1)
    if len(heard) < len(sent):
        raise RuntimeError(f"Only {len(heard)} of {len(sent)} alerts came.")
    return {unit: (at, *heard[unit]) for unit, at in list(sent.items())[WARM_UP:]}


def run() -> list[Result]:
    with server() as running:
        time.sleep(8)  # let the first cycles pass, which make the platform's own units
        found = list(measure(running).values())
    once_evaluated = [(came - evaluated) * 1000 for _, evaluated, came in found]
    waited = [came - at for at, _, came in found]
    details = {
        "alerts": len(found), "p50_ms": percentile(once_evaluated, 0.5), "longest_ms": max(once_evaluated),
        "from_the_sample_p50_s": percentile(waited, 0.5), "from_the_sample_longest_s": max(waited),
    }  # fmt: skip
    return [
        Result("notice_once_evaluated_p99", "critical at the webhook, once evaluated: p99 under 500 ms",
               percentile(once_evaluated, 0.99), LIMIT_MS, "ms", details=details),
        Result("notice_within_one_evaluation", "at the webhook within one evaluation of the sample", max(waited),
               INTERVAL_SECONDS + LIMIT_MS / 1000, "s"),
    ]  # fmt: skip


if __name__ == "__main__":
    report(run)
