"""`vsm://`, the broker of the embedded profile: kombu's virtual transport over queues in this process.

kombu's own `memory://` has no priorities, polls once a second, keeps a dead receiver's messages for ever and loses
unacknowledged ones when a channel closes. Here each queue is a heap (10 is most urgent, first in first out within a
priority), a consumer takes the most urgent message of all its queues, waits for a wake-up rather than a poll, and
what was not acknowledged goes back to its place. Queue arguments are honoured as far as Celery uses them:
auto-delete, `x-message-ttl`, dead letters.
"""

from __future__ import annotations

import heapq
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import count
from queue import Empty
from time import monotonic
from typing import Any, TypedDict

from kombu.transport import TRANSPORT_ALIASES, virtual
from kombu.transport.base import Transport as BaseTransport
from kombu.transport.base import to_rabbitmq_queue_arguments

Message = dict[str, Any]
MAX_PRIORITY = 10
LONGEST_WAIT = 1.0  # a consumer looks up this often even unwoken, so that a channel closed elsewhere is noticed


class QueueStats(TypedDict):
    """What the embedded broker knows of a queue; the age is None when nothing waits."""

    ready: int
    unacked: int
    consumers: int
    oldest_age_seconds: float | None


@dataclass(order=True, slots=True)
class Waiting:
    """A message in its place: most urgent first, then in the order of arrival."""

    urgency: int
    number: int
    message: Message = field(compare=False)
    queued_at: float = field(compare=False)


@dataclass(slots=True)
class MemoryQueue:
    """One queue: what waits, what is out with a consumer, and what it was declared with."""

    transient: bool = False
    ttl_seconds: float | None = None
    dead_letter: tuple[str, str] | None = None
    heap: list[Waiting] = field(default_factory=list)
    unacked: set[str] = field(default_factory=set)
    consumers: int = 0

    def drop_expired(self, now: float) -> None:
        while self.ttl_seconds is not None and self.heap and self.heap[0].queued_at < now - self.ttl_seconds:
            heapq.heappop(self.heap)


class Broker:
    """All queues of this process. Every public method is safe from any thread."""

    def __init__(self) -> None:
        self.routing = virtual.BrokerState()
        self.lock = threading.Condition(threading.RLock())
        self.generation = 0  # grows whenever a consumer that found nothing should look again
        self.interruptions = 0  # grows when consumers should stop waiting and look at their own state
        self._queues: dict[str, MemoryQueue] = {}
        self._numbers = count(1)

    def declare(self, name: str, *, transient: bool, arguments: dict[str, Any]) -> None:
        with self.lock:
            if name in self._queues:
                return
            ttl = arguments.get("x-message-ttl")
            exchange = arguments.get("x-dead-letter-exchange")
            self._queues[name] = MemoryQueue(
                transient=transient,
                ttl_seconds=None if ttl is None else ttl / 1000,
                dead_letter=None if exchange is None else (exchange, arguments.get("x-dead-letter-routing-key", "")),
            )

    def delete(self, name: str) -> None:
        """Forget a queue and each binding to it; a table that kept one would fill a queue nobody reads."""
        with self.lock:
            for exchange, _, _ in list(self.routing.queue_bindings(name)):
                table = self.routing.exchanges[exchange]["table"]
                table[:] = [binding for binding in table if binding[2] != name]
            self.routing.queue_bindings_delete(name)
            self._queues.pop(name, None)

    def has(self, name: str) -> bool:
        return name in self._queues

    def put(self, name: str, message: Message, urgency: int) -> None:
        """Queue a copy of *message*: its tag and place belong to this queue alone. Without the queue it is dropped."""
        with self.lock:
            queue = self._queues.get(name)
            if queue is None:
                return
            number, now = next(self._numbers), monotonic()
            queue.drop_expired(now)
            heapq.heappush(queue.heap, Waiting(-urgency, number, _addressed(message, name, number, now), now))
            self._wake()

    def put_back(self, message: Message) -> None:
        """Return an unacknowledged message to the place it was taken from."""
        place: Waiting = message["properties"]["place"]
        with self.lock:
            queue = self._queues.get(message["properties"]["queue"])
            if queue is None:
                return
            queue.unacked.discard(message["properties"]["delivery_tag"])
            message["properties"]["delivery_info"]["redelivered"] = True
            heapq.heappush(queue.heap, Waiting(place.urgency, place.number, message, place.queued_at))
            self._wake()

    def take(self, names: Iterable[str]) -> tuple[str, Message]:
        """Remove and return the most urgent message of *names*, the oldest among equals. Raises Empty."""
        with self.lock:
            name = self._most_urgent(names)
            waiting = heapq.heappop(self._queues[name].heap)
        waiting.message["properties"]["place"] = waiting
        return name, waiting.message

    def hold(self, name: str, tag: str) -> None:
        with self.lock:
            if name in self._queues:
                self._queues[name].unacked.add(tag)

    def settle(self, name: str, tag: str) -> None:
        """Note that a message is done with; its consumer may have been waiting for the room."""
        with self.lock:
            if name in self._queues:
                self._queues[name].unacked.discard(tag)
            self._wake()

    def join(self, name: str) -> None:
        with self.lock:
            self._queues[name].consumers += 1
            self._wake()

    def leave(self, name: str) -> None:
        """Note that a consumer left; a transient queue goes with its last one."""
        with self.lock:
            queue = self._queues.get(name)
            if queue is None:
                return
            queue.consumers -= 1
            if queue.transient and queue.consumers <= 0:
                self.delete(name)

    def purge(self, name: str) -> int:
        with self.lock:
            queue = self._queues.get(name)
            if queue is None:
                return 0
            size = len(queue.heap)
            queue.heap.clear()
            return size

    def purge_all(self) -> None:
        for name in list(self._queues):
            self.purge(name)

    def stats(self, name: str) -> QueueStats | None:
        with self.lock:
            queue = self._queues.get(name)
            if queue is None:
                return None
            oldest = min((waiting.queued_at for waiting in queue.heap), default=None)
            return QueueStats(
                ready=len(queue.heap),
                unacked=len(queue.unacked),
                consumers=queue.consumers,
                oldest_age_seconds=None if oldest is None else monotonic() - oldest,
            )

    def dead_letter_of(self, name: str) -> tuple[str, str] | None:
        queue = self._queues.get(name)
        return None if queue is None else queue.dead_letter

    def wait(self, seen: int, timeout: float) -> None:
        """Return when something happened since generation *seen*, or after *timeout* seconds."""
        with self.lock:
            self.lock.wait_for(lambda: self.generation != seen, timeout)

    def interrupt(self) -> None:
        with self.lock:
            self.interruptions += 1
            self._wake()

    def _wake(self) -> None:
        self.generation += 1
        self.lock.notify_all()

    def _most_urgent(self, names: Iterable[str]) -> str:
        now = monotonic()
        heads = []
        for name in names:
            queue = self._queues.get(name)
            if queue is None:
                continue
            queue.drop_expired(now)
            if queue.heap:
                heads.append((queue.heap[0].urgency, queue.heap[0].number, name))
        if not heads:
            raise Empty
        return min(heads)[2]


def _addressed(message: Message, queue: str, number: int, now: float) -> Message:
    """Return a copy that shares nothing mutable with the copies in other queues."""
    properties = dict(message["properties"])
    info = dict(properties.get("delivery_info") or {})
    properties.update(queue=queue, delivery_tag=f"{queue}-{number}", delivery_info=info, queued_at=now)
    return {**message, "headers": dict(message.get("headers") or {}), "properties": properties}


BROKER = Broker()


class QoS(virtual.QoS):  # type: ignore[misc]
    """Prefetch as kombu does it, and the broker told of what is out."""

    def append(self, message: Any, delivery_tag: str) -> None:
        super().append(message, delivery_tag)
        BROKER.hold(message.properties["queue"], delivery_tag)

    def ack(self, delivery_tag: str) -> None:
        message = self._delivered.get(delivery_tag)
        super().ack(delivery_tag)
        if message is not None:
            BROKER.settle(message.properties["queue"], delivery_tag)

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        message = self._delivered.get(delivery_tag)
        if message is None:
            return
        self._quick_ack(delivery_tag)
        if requeue:
            self.channel._restore(message)
        else:
            self.channel.bury(message)
        BROKER.settle(message.properties["queue"], delivery_tag)


class Channel(virtual.Channel):  # type: ignore[misc]
    """kombu's virtual channel over the broker of this process."""

    QoS = QoS
    do_restore = True
    supports_fanout = True
    max_priority = MAX_PRIORITY
    body_encoding = None  # nothing leaves the process, so nothing needs to survive a wire

    def queue_declare(self, queue: str | None = None, passive: bool = False, **kwargs: Any) -> Any:
        declared = super().queue_declare(queue=queue, passive=passive, **kwargs)
        stats = BROKER.stats(declared.queue)
        return declared if stats is None else declared._replace(consumer_count=stats["consumers"])

    def prepare_queue_arguments(self, arguments: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        return dict(to_rabbitmq_queue_arguments(arguments, **kwargs))

    def queue_bind(self, *args: Any, **kwargs: Any) -> None:
        with BROKER.lock:
            super().queue_bind(*args, **kwargs)

    def queue_delete(self, queue: str, if_unused: bool = False, if_empty: bool = False, **_: Any) -> None:
        stats = BROKER.stats(queue)
        if stats and not ((if_empty and stats["ready"]) or (if_unused and stats["consumers"])):
            BROKER.delete(queue)

    def after_reply_message_received(self, queue: str) -> None:
        """Keep the reply queue: another thread may be waiting on it, and it goes with its last consumer."""

    def basic_consume(self, queue: str, *args: Any, **kwargs: Any) -> None:
        super().basic_consume(queue, *args, **kwargs)
        BROKER.join(queue)

    def basic_cancel(self, consumer_tag: str) -> None:
        queue = self._tag_to_queue.get(consumer_tag)
        super().basic_cancel(consumer_tag)
        if queue is not None:
            BROKER.leave(queue)

    def bury(self, message: Any) -> None:
        """Send a rejected message where its queue's dead letters go."""
        target = BROKER.dead_letter_of(message.properties["queue"])
        if target is None:
            return
        properties = {**message.properties, "priority": 0}
        properties.pop("place", None)
        body = {**message.serializable(), "properties": properties}
        for queue in self._lookup(*target):
            BROKER.put(queue, body, 0)

    def _restore(self, message: Any) -> None:
        BROKER.put_back(message.serializable())

    def _has_queue(self, queue: str, **_: Any) -> bool:
        return BROKER.has(queue)

    def _new_queue(self, queue: str, **kwargs: Any) -> None:
        transient = bool(kwargs.get("auto_delete") or kwargs.get("exclusive"))
        BROKER.declare(queue, transient=transient, arguments=kwargs.get("arguments") or {})

    def _queue_bind(self, *_: Any) -> None:
        """Nothing to add: the routing table is the broker's own."""

    def _put(self, queue: str, message: Message, **_: Any) -> None:
        BROKER.put(queue, message, self._get_message_priority(message))

    def _put_fanout(self, exchange: str, message: Message, routing_key: str | None = None, **_: Any) -> None:
        for queue in self._lookup(exchange, routing_key):
            self._put(queue, message)

    def _get(self, queue: str, timeout: float | None = None) -> Message:
        return BROKER.take([queue])[1]

    def _poll(self, cycle: object, callback: Any, timeout: float | None = None) -> None:
        queue, message = BROKER.take(self._active_queues)
        callback(message, queue)

    def _size(self, queue: str) -> int:
        stats = BROKER.stats(queue)
        return 0 if stats is None else stats["ready"]

    def _purge(self, queue: str) -> int:
        return BROKER.purge(queue)


class Transport(virtual.Transport):  # type: ignore[misc]
    """The transport behind `vsm://`."""

    Channel = Channel
    implements = BaseTransport.implements
    driver_type = "vsm"
    driver_name = "vsm"

    def __init__(self, client: Any, **kwargs: Any) -> None:
        super().__init__(client, **kwargs)
        self.state = BROKER.routing

    @property
    def default_connection_params(self) -> dict[str, object]:
        """There is no host to reach; naming none keeps kombu from warning about it."""
        return {}

    def driver_version(self) -> str:
        return "1"

    def queue_stats(self, name: str) -> QueueStats | None:
        """Return what is known of a queue, for callers that hold a connection rather than this module."""
        return BROKER.stats(name)

    def drain_events(self, connection: object, timeout: float | None = None) -> None:
        """Deliver one message, waiting for it. Raises TimeoutError after *timeout* seconds."""
        deadline = None if timeout is None else monotonic() + timeout
        interruptions = BROKER.interruptions
        while True:
            seen = BROKER.generation
            try:
                self.cycle.get(self._deliver, timeout=timeout)
            except Empty:
                left = LONGEST_WAIT if deadline is None else deadline - monotonic()
                if left <= 0 or BROKER.interruptions != interruptions:
                    raise TimeoutError("timed out") from None
                BROKER.wait(seen, min(left, LONGEST_WAIT))
            else:
                return


def register() -> None:
    """Let kombu find `vsm://`. Doing it twice is harmless."""
    TRANSPORT_ALIASES["vsm"] = "vsm_site.transport:Transport"


def queue_stats(name: str) -> QueueStats | None:
    """Return what the embedded broker knows of a queue; None when there is no such queue."""
    return BROKER.stats(name)


def reset() -> None:
    """Drop everything that waits, in every queue."""
    BROKER.purge_all()


def interrupt() -> None:
    """Let every waiting consumer time out at once, so that one told to stop notices."""
    BROKER.interrupt()


def options(url: str) -> dict[str, object]:
    """Return the transport options that suit the broker of *url*."""
    scheme = url.split("://")[0]
    if scheme in {"amqp", "amqps"}:
        # A broker that blocks on an alarm never answers a close: without these a publisher hangs for ever.
        return {"read_timeout": 10, "write_timeout": 10}
    if scheme in {"redis", "rediss"}:
        # Redis serves the lowest step first and has four of them unless told.
        return {"priority_steps": list(range(10)), "queue_order_strategy": "priority", "socket_keepalive": True}
    return {}
