"""One standing connection to a fleet's broker: asking all workers at once, and how deep the queues are.

A round sends four broadcasts and collects their answers with one consumer that stays open, so that it costs a few
messages and no thread per question. It returns as soon as every known worker has answered, and a little later for those
that nobody knew. A link that broke is mended in the background, so that a broker that is away costs no cycle its time.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlsplit

from celery import Celery, current_app
from kombu.exceptions import KombuError

from subsystems.s1_operations.adapters.base import UNIT_TIMEOUT_SECONDS, FleetRef
from subsystems.s1_operations.adapters.conversation import CONNECT_TIMEOUT_SECONDS, Command, Conversation, is_error
from subsystems.s1_operations.broker_urls import scrub

QUESTIONS = ("stats", "active", "reserved", "active_queues")
MANAGEMENT_TIMEOUT_SECONDS = 0.4
MANAGEMENT_RETRY_SECONDS = 60.0  # most brokers have no management API: ask rarely
# Their names, and of what the management API counts they are made.
RATES = {"published_rate": ("publish",), "delivered_rate": ("deliver_get",)}
MAX_UNACKED = 1_000  # messages on Redis that are looked at for whose they are
MAX_QUEUES = 200  # per fleet and round: an application that makes a queue per user must not stop the rest
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
    levels: dict[str, dict[int, float]] = field(default_factory=dict)  # by queue: depth by priority, where it is told
    counts_consumers: bool = False  # does the broker itself count who reads a queue


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
        self._talk = Conversation(self.app)
        self._side_channel: Any = None
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
                self._talk.connect()
            except self._errors as error:
                self._break(error)
                return False
        return True

    def _round(self, fleet: FleetRef) -> FleetRound:
        if not self._talk.connected:
            self._drop()  # a channel of the connection before would be of no use
        workers = {name: answers for name, answers in self._ask(fleet).items() if belongs(name, answers, fleet)}
        result = FleetRound(workers=workers)
        names = dict.fromkeys(
            [*fleet.queues, *(queue for answers in workers.values() for queue in queue_names(answers))]
        )
        self._measure(list(names)[:MAX_QUEUES], workers, result)
        return result

    def _drop(self) -> None:
        self._side_channel = None
        self._talk.drop()

    def _ask(self, fleet: FleetRef) -> dict[str, dict[str, Any]]:
        """Return what each worker answered, by question; a worker that could not answer one is without it."""
        questions = [Command(question) for question in QUESTIONS]
        answers = self._talk.ask(questions, expected=fleet.workers, within=UNIT_TIMEOUT_SECONDS)
        return {
            name: {QUESTIONS[place]: answer for place, answer in told.items() if not is_error(answer)}
            for name, told in answers.items()
        }

    def _measure(self, names: list[str], workers: dict[str, dict[str, Any]], result: FleetRound) -> None:
        told = self._management(names)
        held = self._held_by_redis()
        result.counts_consumers = self._talk.connection.transport.driver_type != "redis"
        for name in names:
            try:
                metrics = self._depth(name, result.levels)
            except (MissingQueue, *self._talk.connection.channel_errors) as error:
                self._side_channel = None
                result.queue_errors[name] = scrub(str(error), self._url)
                continue
            # Where the broker does not count consumers, each worker that says it reads the queue is one.
            metrics.setdefault("consumers", float(sum(name in queue_names(answers) for answers in workers.values())))
            if held is not None:
                metrics["unacked"] = held.get(name, 0.0)
            result.queues[name] = {**metrics, **told.metrics.get(name, {})}
        result.levels.update({name: told.levels[name] for name in told.levels.keys() & result.queues.keys()})

    def _depth(self, name: str, levels: dict[str, dict[int, float]]) -> dict[str, float]:
        transport = self._talk.connection.transport
        queue_stats = getattr(transport, "queue_stats", None)
        if queue_stats is not None:
            stats = queue_stats(name)
            if stats is None:
                raise MissingQueue(f"there is no queue {name!r}")
            return {metric: float(value) for metric, value in stats.items() if value is not None}
        if transport.driver_type == "redis":
            levels[name] = redis_levels(self._talk.channel, name)
            return {"ready": sum(levels[name].values())}
        # A channel of its own: a queue that is missing closes the channel, and must not take the replies with it.
        self._side_channel = self._side_channel or self._talk.connection.channel()
        declared = self._side_channel.queue_declare(name, passive=True)
        return {"ready": float(declared.message_count), "consumers": float(declared.consumer_count)}

    def _held_by_redis(self) -> dict[str, float] | None:
        """Return by queue what workers hold on Redis; None where the broker is another, or it is too much."""
        if self._talk.connection.transport.driver_type != "redis":
            return None
        return redis_unacked(self._talk.channel)

    def _management(self, names: Iterable[str]) -> Told:
        """Return what only RabbitMQ's management API tells, where there is one: unacknowledged, rates, priorities."""
        if not self._url.startswith("amqp") or time.monotonic() < self._no_management_until:
            return Told()
        try:
            return told_by_management(ask_management(self._url), set(names), now=time.time())
        except (OSError, ValueError, KeyError, TypeError):
            self._no_management_until = time.monotonic() + MANAGEMENT_RETRY_SECONDS
            return Told()


@dataclass
class Told:
    """What the management API tells, by queue."""

    metrics: dict[str, dict[str, float]] = field(default_factory=dict)
    levels: dict[str, dict[int, float]] = field(default_factory=dict)


def redis_levels(channel: Any, name: str) -> dict[int, float]:
    """Return the depth of a queue on Redis by priority, each a list of its own; the first, and others if not empty."""
    with channel.conn_or_acquire() as client, client.pipeline() as pipe:
        for step in channel.priority_steps:
            pipe.llen(channel._q_for_pri(name, step))
        sizes = pipe.execute()
    found = zip(channel.priority_steps, sizes, strict=True)
    return {int(step): float(size) for step, size in found if size or step == channel.priority_steps[0]}


def redis_unacked(channel: Any) -> dict[str, float] | None:
    """Return by routing key how many messages workers hold on Redis; None when they are too many to look at."""
    with channel.conn_or_acquire() as client:
        if client.hlen(channel.unacked_key) > MAX_UNACKED:
            return None
        found: dict[str, float] = {}
        for raw in client.hvals(channel.unacked_key):
            _, _, key = json.loads(raw)
            found[key] = found.get(key, 0.0) + 1.0
        return found


def ask_management(url: str) -> list[dict[str, Any]]:
    """Return the queues of the broker's virtual host from its management API. Raises OSError, ValueError."""
    import httpx  # several megabytes that a process with no such broker does without

    parts = urlsplit(url)
    scheme, port = ("https", 15671) if parts.scheme == "amqps" else ("http", 15672)
    path = parts.path[1:] or "/"
    vhost = quote("/" if path == "/" else path, safe="%")
    auth = (parts.username or "guest", parts.password or "guest")
    with httpx.Client(timeout=MANAGEMENT_TIMEOUT_SECONDS, trust_env=False, auth=auth) as client:
        try:
            answer = client.get(f"{scheme}://{parts.hostname}:{port}/api/queues/{vhost if vhost != '/' else '%2F'}")
            answer.raise_for_status()
        except httpx.HTTPError as error:
            raise OSError(str(error)) from error
        return list(answer.json())


def told_by_management(rows: Iterable[dict[str, Any]], names: set[str], *, now: float) -> Told:
    """Return what the management API's rows tell of queues; what a row does not tell is absent."""
    told = Told()
    for row in rows:
        name = row["name"]
        if name not in names:
            continue
        metrics = told.metrics[name] = {}
        if row.get("messages_unacknowledged") is not None:
            metrics["unacked"] = float(row["messages_unacknowledged"])
        if row.get("head_message_timestamp"):
            metrics["oldest_age_seconds"] = max(0.0, now - float(row["head_message_timestamp"]))
        for metric, kinds in RATES.items():
            rates = [_rate(row, kind) for kind in kinds]
            if any(rate is not None for rate in rates):
                metrics[metric] = sum(rate or 0.0 for rate in rates)
        depths = (row.get("backing_queue_status") or {}).get("priority_lengths")
        if depths:
            told.levels[name] = {int(level): float(depth) for level, depth in depths.items()}
    return told


def _rate(row: dict[str, Any], kind: str) -> float | None:
    rate = ((row.get("message_stats") or {}).get(f"{kind}_details") or {}).get("rate")
    return None if rate is None else float(rate)


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
