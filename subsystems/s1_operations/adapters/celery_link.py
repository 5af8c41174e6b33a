"""One standing connection to a fleet's broker: asking all workers at once, and how deep the queues are.

A round sends four broadcasts and collects their answers with one consumer that stays open, so that it costs a few
messages and no thread per question. It returns as soon as every known worker has answered, and a little later for those
that nobody knew. A link that broke is mended in the background, so that a broker that is away costs no cycle its time.
"""

from __future__ import annotations

import os
import threading
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlsplit
from uuid import uuid4

import httpx
from celery import Celery, current_app
from kombu import Consumer, Producer, Queue
from kombu.exceptions import KombuError

from subsystems.s1_operations.adapters.base import UNIT_TIMEOUT_SECONDS, FleetRef
from subsystems.s1_operations.broker_urls import scrub

QUESTIONS = ("stats", "active", "reserved", "active_queues")
LINGER_SECONDS = 0.1  # for answers of workers that nobody knew: they are as quick as those of the known
MANAGEMENT_TIMEOUT_SECONDS = 0.4
MANAGEMENT_RETRY_SECONDS = 60.0  # most brokers have no management API: ask rarely
MAX_QUEUES = 200  # per fleet and round: an application that makes a queue per user must not stop the rest
CONNECT_TIMEOUT_SECONDS = 1.0
FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 1.0, 10.0  # between two attempts to mend a link
UNASKED_SECONDS = 120.0  # nobody asks for this fleet any more: there is nothing to mend


class MissingQueue(Exception):
    """A broker in this process has no queue of that name; a real one says so with an error of its own."""


@dataclass
class FleetRound:
    """What one round learned; *workers* maps a node name to its answers by question, *error* says why none is there."""

    error: str = ""
    workers: dict[str, dict[str, Any]] = field(default_factory=dict)
    queues: dict[str, dict[str, float]] = field(default_factory=dict)
    queue_errors: dict[str, str] = field(default_factory=dict)


def watching_app(fleet: FleetRef) -> Celery:
    """Return the Celery application through which a fleet is watched: our own, or one that only knows the address."""
    if fleet.own:
        return current_app._get_current_object()
    app = Celery(f"watch-{fleet.id}", broker=fleet.url, set_as_current=False, fixups=[])
    app.conf.update(
        broker_connection_timeout=CONNECT_TIMEOUT_SECONDS,
        broker_connection_retry=False,
        broker_transport_options=transport_options(fleet.url),
    )
    return app


def transport_options(url: str) -> dict[str, object]:
    """Return options under which a watcher can neither hang nor disturb what it watches."""
    if url.startswith("amqp"):
        return {"read_timeout": 3, "write_timeout": 3, "connect_timeout": CONNECT_TIMEOUT_SECONDS}
    return {
        "socket_timeout": 3,
        "socket_connect_timeout": CONNECT_TIMEOUT_SECONDS,
        "priority_steps": list(range(10)),  # whatever steps the application uses, its queues are among these
        # Any Redis client restores messages that are unacknowledged for longer than *it* allows: a watcher never may.
        "visibility_timeout": 10 * 365 * 86_400,
    }


def link_errors(app: Celery) -> tuple[type[BaseException], ...]:
    """Return whatever a broken broker or connection may raise."""
    connection = app.connection_for_read()
    return (*connection.connection_errors, *connection.channel_errors, KombuError, OSError, EOFError)


class Link:
    """The connection to one fleet's broker. One round at a time; a second caller is told that the first still waits."""

    def __init__(self, fleet: FleetRef) -> None:
        self.app = watching_app(fleet)
        self._errors = link_errors(self.app)
        self._url = fleet.url
        self._busy = threading.Lock()
        self._connection: Any = None
        self._channel: Any = None
        self._consumer: Any = None
        self._side_channel: Any = None
        self._oid = uuid4().hex
        self._tickets: dict[str, str] = {}
        self._answers: dict[str, dict[str, Any]] = {}
        self._no_management_until = 0.0
        self._broken = ""  # why, while it is being mended
        self._asked_at = 0.0
        self._closed = threading.Event()

    def round(self, fleet: FleetRef) -> FleetRound:
        """Ask all workers and measure all queues of *fleet*. Never raises for a broker that is down."""
        self._asked_at = time.monotonic()
        if self._broken:
            return FleetRound(error=unreachable(fleet, self._broken))
        if not self._busy.acquire(blocking=False):
            return FleetRound(error="the last round still waits for the broker")
        try:
            return self._round(fleet)
        except self._errors as error:
            self._break(error)
            threading.Thread(target=self._mend, name=f"mend-{fleet.name}", daemon=True).start()
            return FleetRound(error=unreachable(fleet, self._broken))
        finally:
            self._busy.release()

    def close(self) -> None:
        self._closed.set()
        with self._busy:
            self._drop()

    def _break(self, error: BaseException) -> None:
        self._drop()
        self._broken = scrub(str(error) or type(error).__name__, self._url)

    def _mend(self) -> None:
        """Connect again, with longer and longer waits, for as long as somebody asks."""
        wait = FIRST_WAIT_SECONDS
        try:
            while not self._closed.wait(wait) and not self._mended():
                wait = min(2 * wait, LONGEST_WAIT_SECONDS)
        finally:
            self._broken = ""

    def _mended(self) -> bool:
        if time.monotonic() - self._asked_at > UNASKED_SECONDS:
            return True  # the next to ask will try
        with self._busy:
            try:
                self._connect()
            except self._errors as error:
                self._break(error)
                return False
        return True

    def _round(self, fleet: FleetRef) -> FleetRound:
        self._connect()
        self._ask()
        self._collect(fleet)
        workers = {name: answers for name, answers in self._answers.items() if belongs(name, answers, fleet)}
        result = FleetRound(workers=workers)
        names = dict.fromkeys(
            [*fleet.queues, *(queue for answers in workers.values() for queue in queue_names(answers))]
        )
        self._measure(list(names)[:MAX_QUEUES], workers, result)
        return result

    def _connect(self) -> None:
        if self._connection is not None and self._connection.connected:
            return
        self._drop()
        connection = self.app.connection_for_read(connect_timeout=CONNECT_TIMEOUT_SECONDS, heartbeat=0)
        self._connection = connection
        connection.connect()
        self._channel = connection.default_channel
        replies = Queue(
            f"{self._oid}.reply.celery.pidbox",
            exchange=self.app.control.mailbox.reply_exchange,
            routing_key=self._oid,
            durable=False,
            exclusive=True,
            auto_delete=True,
            expires=10.0,
        )
        self._consumer = Consumer(self._channel, [replies], accept=["json"], no_ack=True, on_message=self._hear)
        self._consumer.consume()

    def _drop(self) -> None:
        """Let go of the connection without the polite goodbye that a blocked broker never answers."""
        connection, self._connection = self._connection, None
        self._channel = self._side_channel = self._consumer = None
        if connection is not None:
            connection.collect(socket_timeout=0.5)

    def _ask(self) -> None:
        self._answers = defaultdict(dict)
        self._tickets = {uuid4().hex: question for question in QUESTIONS}
        mailbox = self.app.control.mailbox
        producer = Producer(self._channel, auto_declare=False)
        for ticket, question in self._tickets.items():
            producer.publish(
                {
                    "method": question,
                    "arguments": {},
                    "destination": None,
                    "pattern": None,
                    "matcher": None,
                    "ticket": ticket,
                    "reply_to": {"exchange": mailbox.reply_exchange.name, "routing_key": self._oid},
                },
                exchange=mailbox.exchange.name,
                declare=[mailbox.exchange],
                headers={"clock": self.app.clock.forward(), "expires": time.time() + 2 * UNIT_TIMEOUT_SECONDS},
                serializer="json",
            )

    def _hear(self, message: Any) -> None:
        question = self._tickets.get(message.headers.get("ticket", ""))
        if question is None:
            return  # an answer to an earlier round
        for name, answer in message.decode().items():
            if not (isinstance(answer, dict) and set(answer) == {"error"}):
                self._answers[name][question] = answer

    def _collect(self, fleet: FleetRef) -> None:
        deadline = time.monotonic() + UNIT_TIMEOUT_SECONDS
        complete = False
        while (left := deadline - time.monotonic()) > 0:
            try:
                self._connection.drain_events(timeout=left)
            except TimeoutError:
                return
            if not complete and self._all_answered(fleet):
                complete = True
                deadline = min(deadline, time.monotonic() + LINGER_SECONDS)

    def _all_answered(self, fleet: FleetRef) -> bool:
        return bool(fleet.workers) and all(len(self._answers.get(name, ())) == len(QUESTIONS) for name in fleet.workers)

    def _measure(self, names: list[str], workers: dict[str, dict[str, Any]], result: FleetRound) -> None:
        told = self._management(names)
        for name in names:
            try:
                metrics = self._depth(name)
            except (MissingQueue, *self._connection.channel_errors) as error:
                self._side_channel = None
                result.queue_errors[name] = scrub(str(error), self._url)
                continue
            # Where the broker does not count consumers, each worker that says it reads the queue is one.
            metrics.setdefault("consumers", float(sum(name in queue_names(answers) for answers in workers.values())))
            result.queues[name] = {**metrics, **told.get(name, {})}

    def _depth(self, name: str) -> dict[str, float]:
        transport = self._connection.transport
        queue_stats = getattr(transport, "queue_stats", None)
        if queue_stats is not None:
            stats = queue_stats(name)
            if stats is None:
                raise MissingQueue(f"there is no queue {name!r}")
            return {metric: float(value) for metric, value in stats.items() if value is not None}
        if transport.driver_type == "redis":
            return {"ready": float(self._channel._size(name))}
        # A channel of its own: a queue that is missing closes the channel, and must not take the replies with it.
        self._side_channel = self._side_channel or self._connection.channel()
        declared = self._side_channel.queue_declare(name, passive=True)
        return {"ready": float(declared.message_count), "consumers": float(declared.consumer_count)}

    def _management(self, names: Iterable[str]) -> dict[str, dict[str, float]]:
        """Return what only RabbitMQ's management API tells, where there is one: unacknowledged, age of the oldest."""
        if not self._url.startswith("amqp") or time.monotonic() < self._no_management_until:
            return {}
        try:
            return management_metrics(ask_management(self._url), set(names), now=time.time())
        except (httpx.HTTPError, ValueError, KeyError, TypeError):
            self._no_management_until = time.monotonic() + MANAGEMENT_RETRY_SECONDS
            return {}


def ask_management(url: str) -> list[dict[str, Any]]:
    """Return the queues of the broker's virtual host from its management API."""
    parts = urlsplit(url)
    scheme, port = ("https", 15671) if parts.scheme == "amqps" else ("http", 15672)
    path = parts.path[1:] or "/"
    vhost = quote("/" if path == "/" else path, safe="%")
    auth = (parts.username or "guest", parts.password or "guest")
    with httpx.Client(timeout=MANAGEMENT_TIMEOUT_SECONDS, trust_env=False, auth=auth) as client:
        answer = client.get(f"{scheme}://{parts.hostname}:{port}/api/queues/{vhost if vhost != '/' else '%2F'}")
        answer.raise_for_status()
        return list(answer.json())


def management_metrics(rows: Iterable[dict[str, Any]], names: set[str], *, now: float) -> dict[str, dict[str, float]]:
    """Return metrics by queue from the management API's rows; what a row does not tell is absent."""
    found: dict[str, dict[str, float]] = {}
    for row in rows:
        if row["name"] not in names:
            continue
        metrics = found[row["name"]] = {}
        if row.get("messages_unacknowledged") is not None:
            metrics["unacked"] = float(row["messages_unacknowledged"])
        if row.get("head_message_timestamp"):
            metrics["oldest_age_seconds"] = max(0.0, now - float(row["head_message_timestamp"]))
    return found


def unreachable(fleet: FleetRef, why: str) -> str:
    """Return in words that a broker does not answer, and since when."""
    since = "never reached" if fleet.heard_at is None else f"unreachable since {fleet.heard_at:%Y-%m-%d %H:%M:%S} UTC"
    return f"{since}: {why}"


def queue_names(answers: dict[str, Any]) -> list[str]:
    """Return the queues that a worker says it reads."""
    return [queue["name"] for queue in answers.get("active_queues") or () if queue.get("name")]


def belongs(name: str, answers: dict[str, Any], fleet: FleetRef) -> bool:
    """Return whether a worker that answered is of *fleet*: applications on one broker hear each other's questions."""
    reads = set(queue_names(answers))
    if not reads:
        return name in fleet.workers
    if fleet.own:
        return bool(reads & set(fleet.queues))
    return not reads <= fleet.foreign_queues


_links: dict[tuple[int, int, str], Link] = {}
_links_lock = threading.Lock()


def link_of(fleet: FleetRef) -> Link:
    """Return this process's link to *fleet*; an address that changed, or a fork, gets another one."""
    key = (os.getpid(), fleet.id, fleet.url)
    with _links_lock:
        if key not in _links:
            for old in [old for old in _links if old[1] == fleet.id]:
                del _links[old]
            _links[key] = Link(fleet)
        return _links[key]


def close_links() -> None:
    """Close every link of this process."""
    with _links_lock:
        links = [link for key, link in _links.items() if key[0] == os.getpid()]
        _links.clear()
    for link in links:
        link.close()
