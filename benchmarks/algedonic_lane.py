"""Critical pain from its commit to S5's: p50 under 10 ms, p99 under 50 ms, whatever waits in the other queues.

The real processes on servers of their own. First the lane alone, then with 100,000 messages waiting in the other queues
and their workers busy with them. The clock starts when the commit of the signal has returned; it ends at the moment
that PostgreSQL notes for the commit of what S5's handler wrote. Then several wait at once, and leave by severity.
"""

from __future__ import annotations

import random
import signal as signals
import sys
import time
import uuid
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import psycopg

from benchmarks.faults.platform import running_platform, where_servers_are
from benchmarks.faults.processes import Supervisor
from benchmarks.faults.servers import wait_until
from benchmarks.result import Result, percentile, report

WAITING, AT_ONCE = 100_000, 500
SIGNALS, WARM_UP = 250, 20
PAUSE_SECONDS = (0.03, 0.2)  # pain comes at uneven times; how many a second the lane could take is not the question
P50_MS, P99_MS = 10.0, 50.0
TOGETHER = 40
HEARD = """
    SELECT m.correlation_id, m.priority, extract(epoch FROM pg_xact_commit_timestamp(d.xmin))::float8
    FROM messaging_delivery d JOIN messaging_message m ON m.number = d.message_id
    WHERE d.handler = 's5.signals' AND d.state = 'handled' AND m.correlation_id = ANY(%s)
"""


def raise_one(severity: str) -> tuple[str, float]:
    """Raise pain that nobody felt before in a transaction of its own; return its id and when that was committed."""
    from django.db import transaction

    from subsystems.algedonic.services import raise_signal

    name = uuid.uuid4().hex
    with transaction.atomic():
        raised = raise_signal(type="pain", source=f"press-{name}", severity=severity, description=f"It hurts: {name}")
    assert raised is not None
    return str(raised.pk), time.time()


def heard(url: str, keys: Sequence[str]) -> dict[str, tuple[int, float]]:
    """Return the priority of each signal that S5 has recorded, and when."""
    with psycopg.connect(url) as connection:
        return {key: (priority, at) for key, priority, at in connection.execute(HEARD, [list(keys)])}


def measure(url: str, count: int) -> list[float]:
    """Return how many milliseconds each of *count* critical signals took."""
    uneven = random.Random(17)
    sent: dict[str, float] = {}
    for _ in range(count):
        time.sleep(uneven.uniform(*PAUSE_SECONDS))
        key, at = raise_one("critical")
        sent[key] = at
    wait_until(lambda: len(heard(url, list(sent))) == len(sent), seconds=60, what="S5 heard every signal")
    found = heard(url, list(sent))
    return [max(0.0, found[key][1] - at) * 1000 for key, at in sent.items()]


def fill() -> None:
    """Let 100,000 messages wait in the queues of the other channels."""
    from django.db import transaction

    from benchmarks.faults.publisher import envelope, flow_of
    from subsystems.messaging.channels import Channel
    from subsystems.messaging.services import publish_many

    elsewhere = (f"w-{n}" for n in range(10 * WAITING) if flow_of(n).channel is not Channel.ALGEDONIC)
    for _ in range(WAITING // AT_ONCE):
        with transaction.atomic():
            publish_many([envelope(next(elsewhere)) for _ in range(AT_ONCE)])


def waiting(url: str) -> int:
    with psycopg.connect(url) as connection:
        found = connection.execute(
            "SELECT count(*) FROM messaging_message WHERE channel <> 'algedonic' AND state IN ('waiting', 'sent')"
        ).fetchone()
        return int(found[0]) if found else 0


def pause(supervisor: Supervisor, name: str, number: int) -> None:
    """Stop or continue a worker with its pool."""
    supervisor.signal(name, number)
    supervisor.signal_children(name, number)


def in_order(url: str, supervisor: Supervisor) -> float:
    """Let the lane's worker be away while signals of each severity are raised; return the share that left in order.

    The first is left out: the broker hands it to the worker before any other is there.
    """
    pause(supervisor, "algedonic", signals.SIGSTOP)
    severities = ["critical", "high"] * (TOGETHER // 2)  # what S5 hears of
    random.Random(17).shuffle(severities)
    keys = [raise_one(severity)[0] for severity in severities]

    from subsystems.messaging import fast_lane

    fast_lane.settle()
    pause(supervisor, "algedonic", signals.SIGCONT)
    wait_until(lambda: len(heard(url, keys)) == len(keys), seconds=60, what="S5 heard every signal")
    order = [priority for priority, _ in sorted(heard(url, keys).values(), key=lambda each: each[1])][1:]
    pairs = list(pairwise(order))
    return sum(first >= second for first, second in pairs) / len(pairs)


def run() -> list[Result]:
    with running_platform() as (own, supervisor):
        url = own.database.url
        say("the lane alone")
        measure(url, WARM_UP)  # everything connects, imports and declares
        idle = measure(url, SIGNALS)
        say(f"p50 {percentile(idle, 0.5):.1f} ms; now 100,000 messages for the other queues")
        pause(supervisor, "worker", signals.SIGSTOP)
        fill()
        wait_until(lambda: all_sent(url), seconds=60, what="the other queues are full")
        before = waiting(url)
        pause(supervisor, "worker", signals.SIGCONT)
        say(f"{before:,} messages wait, and their workers are let go")
        busy = measure(url, SIGNALS)
        details: dict[str, Any] = {
            "waiting_before": before,
            "waiting_after": waiting(url),
            "idle_p50_ms": percentile(idle, 0.5),
            "idle_p99_ms": percentile(idle, 0.99),
            "max_ms": max(busy),
            "signals": len(busy),
        }
        say(f"p50 {percentile(busy, 0.5):.1f} ms, {details['waiting_after']:,} still wait; now several at once")
        order = in_order(url, supervisor)
    told = "critical pain, 100,000 messages waiting elsewhere"
    return [
        Result("algedonic_lane_p50", f"{told}: p50 under 10 ms", percentile(busy, 0.5), P50_MS, "ms", details=details),
        Result("algedonic_lane_p99", f"{told}: p99 under 50 ms", percentile(busy, 0.99), P99_MS, "ms"),
        Result("algedonic_lane_order", "signals that wait together leave by severity", order, 1.0, "share", "more"),
    ]


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def all_sent(url: str) -> bool:
    with psycopg.connect(url) as connection:
        found = connection.execute(
            "SELECT count(*) FROM messaging_message WHERE state = 'waiting' AND channel <> 'algedonic'"
        ).fetchone()
        return found == (0,)


if __name__ == "__main__":
    report(where_servers_are(run))
