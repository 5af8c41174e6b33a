"""Messages that are durable and handled once in effect, singly and in batches, beside bare kombu on the same broker.

The peer publishes without confirms and acknowledges what it consumes: no database, no claim, no event, so it may lose
and double messages, and is given far less to do. Each count of ours begins with the first call of `publish` and ends
with the commit of the last effect.

Who commits each message by itself waits for the disk each time: one publisher can be no faster than one connection
that commits a row each time, which is measured beside it. Several share the waits: PostgreSQL writes their commits
together.
"""

from __future__ import annotations

import multiprocessing
import time
from multiprocessing.connection import Connection as Pipe
from typing import Any

import psycopg
from kombu import Connection, Exchange, Queue

from benchmarks.faults.platform import running_platform, where_servers_are
from benchmarks.faults.servers import wait_until
from benchmarks.result import Result, report

SINGLE, BARE, CONFIRMED, COMMITS = 3_000, 20_000, 3_000, 1_000
PUBLISHERS = 8
BATCHES, IN_BATCH = 150, 5_000
SINGLE_PER_SECOND, BATCHED_PER_SECOND = 500.0, 100_000.0
BARE_QUEUE = Queue("bare", Exchange("bare", type="direct", durable=True), routing_key="bare", durable=True)


def effects(url: str, prefix: str) -> tuple[int, float]:
    """Return how many messages had their effect, and when the last one was committed."""
    with psycopg.connect(url) as connection:
        found = connection.execute(
            "SELECT coalesce(sum(count), 0)::int, extract(epoch FROM max(pg_xact_commit_timestamp(xmin)))::float8"
            " FROM effects_effect WHERE key LIKE %s",
            [f"{prefix}-%"],
        ).fetchone()
    assert found is not None
    return found[0], found[1] or 0.0


def rate(url: str, prefix: str, wanted: int, publish_all: Any) -> float:
    """Return how many messages a second went from their sender to their effect."""
    started = time.time()
    publish_all()
    wait_until(lambda: effects(url, prefix)[0] >= wanted, seconds=120, what=f"{wanted:,} effects")
    done, at = effects(url, prefix)
    if done != wanted:
        raise RuntimeError(f"{done:,} effects of {wanted:,} messages.")
    return wanted / (at - started)


def publish_singly(prefix: str, count: int) -> None:
    """Each message in a transaction of its own."""
    from django.db import transaction

    from benchmarks.faults.publisher import envelope
    from subsystems.messaging.services import publish

    for n in range(count):
        with transaction.atomic():
            publish(envelope(f"{prefix}-{7 * n + 1}"))  # by turns over the directions of one channel


def publish_side_by_side(prefix: str, count: int) -> Any:
    """Return what lets waiting processes publish *count* messages, each in a transaction of its own."""
    context = multiprocessing.get_context("spawn")
    pipes = []
    for n in range(PUBLISHERS):
        ours, theirs = context.Pipe()
        args = (f"{prefix}-{n}", count // PUBLISHERS, theirs)
        context.Process(target=publish_at_sign, args=args, daemon=True).start()
        pipes.append(ours)

    def publish_all() -> None:
        for pipe in pipes:
            pipe.send("go")
        for pipe in pipes:
            pipe.recv()

    for pipe in pipes:
        pipe.recv()  # all are there, connected
    return publish_all


def publish_at_sign(prefix: str, count: int, pipe: Pipe) -> None:
    import django

    django.setup()
    publish_singly(f"{prefix}-early", 5)
    pipe.send("ready")
    pipe.recv()
    publish_singly(f"{prefix}-now", count)
    pipe.send("done")

    from subsystems.messaging import fast_lane

    fast_lane.settle()


def commit_rate(url: str) -> float:
    """Return how many rows a second one connection commits one by one: what the disk allows a single publisher."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE committed (n int)")
        started = time.perf_counter()
        for n in range(COMMITS):
            connection.execute("INSERT INTO committed VALUES (%s)", [n])
        return COMMITS / (time.perf_counter() - started)


def publish_batches(prefix: str, batches: int) -> None:
    from django.db import transaction

    from benchmarks.faults.effects.handlers import BATCH_TYPE
    from subsystems.messaging.channels import Channel, Party
    from subsystems.messaging.envelope import Envelope
    from subsystems.messaging.services import publish_batch

    payloads = [{"metric": "requests_per_second", "value": n / 7, "unit": n % 50} for n in range(IN_BATCH)]
    for n in range(batches):
        head = Envelope(
            id=f"{prefix}-{n}", channel=Channel.COORDINATION, sender=Party.S1, recipient=Party.S2, type=BATCH_TYPE
        )
        with transaction.atomic():
            publish_batch(head, payloads)


def bare_rate(url: str) -> float:
    """Return how many messages a second bare kombu publishes and consumes, in a process each."""
    body = {"metric": "requests_per_second", "value": 1 / 7, "unit": 17}
    with Connection(url) as connection:
        BARE_QUEUE(connection.default_channel).declare()
        sender = multiprocessing.get_context("spawn").Process(target=send_bare, args=(url, body, BARE))
        got = 0

        def take(_: object, message: Any) -> None:
            nonlocal got
            message.ack()
            got += 1

        with connection.Consumer([BARE_QUEUE], callbacks=[take], prefetch_count=100):
            sender.start()
            while got == 0:
                connection.drain_events(timeout=60)
            started = time.perf_counter()
            while got < BARE:
                connection.drain_events(timeout=60)
        taken = time.perf_counter() - started
        sender.join(10)
    return (BARE - 1) / taken


def send_bare(url: str, body: dict[str, Any], count: int) -> None:
    with Connection(url) as connection:
        producer = connection.Producer(exchange=BARE_QUEUE.exchange, routing_key="bare")
        for _ in range(count):
            producer.publish(body, delivery_mode=2)


def confirmed_rate(url: str) -> float:
    """Return how many messages a second bare kombu publishes that each wait for the broker's confirm."""
    body = {"metric": "requests_per_second", "value": 1 / 7, "unit": 17}
    with Connection(url, transport_options={"confirm_publish": True}) as connection:
        producer = connection.Producer(exchange=BARE_QUEUE.exchange, routing_key="bare")
        started = time.perf_counter()
        for _ in range(CONFIRMED):
            producer.publish(body, delivery_mode=2)
        taken = time.perf_counter() - started
        BARE_QUEUE(connection.default_channel).purge()
    return CONFIRMED / taken


def run() -> list[Result]:
    with running_platform() as (own, _):
        url = own.database.url
        broker = f"amqp://guest:guest@127.0.0.1:{own.broker.port}//"
        rate(url, "warm", 100, lambda: publish_singly("warm", 100))
        rate(url, "warmed", 10 * IN_BATCH, lambda: publish_batches("warmed", 10))
        bare, confirmed, commits = bare_rate(broker), confirmed_rate(broker), commit_rate(url)
        alone = rate(url, "single", SINGLE // 3, lambda: publish_singly("single", SINGLE // 3))
        publish_all = publish_side_by_side("aside", SINGLE)
        wait_until(lambda: effects(url, "aside")[0] == 5 * PUBLISHERS, seconds=60, what="publishers are warm")
        single = rate(url, "aside-%-now", SINGLE // PUBLISHERS * PUBLISHERS, publish_all)
        batched = rate(url, "batch", BATCHES * IN_BATCH, lambda: publish_batches("batch", BATCHES))
    details = {
        "bare_kombu_per_second": bare,
        "kombu_confirmed_one_by_one_per_second": confirmed,
        "commits_of_one_connection_per_second": commits,
        "one_publisher_per_second": alone,  # on a slow disk its commits limit it, on a quick one its own work
        "publishers": PUBLISHERS,
        "in_a_batch": IN_BATCH,
    }
    return [
        Result("messages_singly", f"durable, once in effect: 500 a second singly, {PUBLISHERS} publishers", single,
               SINGLE_PER_SECOND, "messages/s", "more", details),
        Result("messages_in_batches", "durable, once in effect: 100,000 a second in batches", batched,
               BATCHED_PER_SECOND, "messages/s", "more"),
        Result("messages_beside_kombu", "batches carry more than bare kombu does", batched, bare, "messages/s", "more"),
    ]  # fmt: skip


if __name__ == "__main__":
    report(where_servers_are(run))
