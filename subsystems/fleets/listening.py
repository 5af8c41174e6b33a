"""The thread that hears one fleet: connects, comes back by itself, and knows when it was deaf.

On RabbitMQ the events wait in a queue of our own and are acknowledged once they are in the database: a crash, a restart
or a database that is away loses none of them within KEPT_SECONDS. A broker that keeps nothing for an absent listener
(Redis, the one in this process) makes each absence a blind spell.
"""

from __future__ import annotations

import logging
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

import msgspec
from celery import Celery
from celery.events.event import get_exchange
from django.conf import settings
from kombu import Consumer, Queue
from kombu.exceptions import KombuError

from subsystems.fleets.events import Event, decode
from subsystems.fleets.folding import Batch, Folder
from subsystems.fleets.frames import Deliveries
from subsystems.fleets.masking import Masking
from subsystems.fleets.tally import FleetTally, Report
from subsystems.s1_operations.adapters.base import FleetRef
from subsystems.s1_operations.adapters.celery_link import link_errors, watching_app
from subsystems.s1_operations.broker_urls import scrub

logger = logging.getLogger(__name__)
KEPT_SECONDS = 60  # how long RabbitMQ keeps events that nobody fetches, and the queue without a listener twice as long
UNKEPT_SECONDS = 5.0  # how long any other broker is trusted to
MAX_QUEUE_BYTES = 128 * 1024 * 1024
PREFETCH = 20_000  # events that may be folded or on their way and are not in the database yet
MAX_TASKS = 50_000  # tasks in one batch, where the broker cannot be held back
FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 1.0, 10.0
HEARTBEAT_SECONDS = 20
CHUNK = 1 << 18
GATHER_SECONDS = 0.05  # after something came: waking once for many events costs a fraction of waking for each
ASK_EVERY_SECONDS = 60.0  # workers that tell nothing of their tasks to tell


@dataclass(frozen=True)
class Spell:
    """A time without hearing: *lost* says whether what happened then is lost, as far as that is known."""

    reason: str
    began: float
    ended: float
    lost: bool


@dataclass
class Heard:
    """What was heard since the last time."""

    batch: Batch
    receipt: tuple[int, int] | None
    report: Report
    spells: list[Spell] = field(default_factory=list)
    dropped: int = 0
    unreadable: int = 0


class FleetReceiver:
    """Hears one fleet. `take` is called by whoever writes, and `settle` once that is written."""

    def __init__(
        self,
        fleet: FleetRef,
        masking: Masking | None = None,
        *,
        last_heard: float | None = None,
    ) -> None:
        self.fleet = fleet
        self.folder = Folder(masking or Masking())
        self.tally = FleetTally()
        self.listening = threading.Event()
        self.since: float | None = None
        self.ask_events = True
        self._alive_at = last_heard  # the last moment until which nothing was missed
        self._why_deaf = "not_running"
        self._asked_at = float("-inf")
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._generation = self._tag = 0  # delivery tags count anew on each connection
        self._settled: tuple[int, int] | None = None
        self._acknowledged: tuple[int, int] | None = None
        self._missed_told = 0
        self._spells: list[Spell] = []
        self._dropped = self._unreadable = 0
        self._thread = threading.Thread(target=self._run, name=f"events-{fleet.name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()

    def join(self, timeout: float) -> None:
        self._thread.join(timeout)

    # --- For whoever writes -------------------------------------------------------------------------------------------
    def take(self, *, with_report: bool = True) -> Heard:
        """Return what was heard since the last call; with *with_report* what is new about workers too."""
        with self._lock:
            receipt = (self._generation, self._tag) if self._tag else None
            report = self.tally.report(time.time()) if with_report else Report()
            heard = Heard(self.folder.take(), receipt, report)
            heard.spells, self._spells = self._spells, []
            heard.dropped, self._dropped = self._dropped, 0
            heard.unreadable, self._unreadable = self._unreadable, 0
            return heard

    def settle(self, receipt: tuple[int, int] | None) -> None:
        """Say that everything up to *receipt* is written: the broker may forget it."""
        self._settled = receipt

    def hearing(self) -> dict[str, Any]:
        """Return how well the fleet is heard; of missed tasks, how many more since the last call."""
        with self._lock:
            before, self._missed_told = self._missed_told, self.tally.missed
            return {
                "since": self.since,
                "last_event": self.tally.last_event_at,
                "workers": self.tally.hearing(),
                "missed": self._missed_told - before,
                "hears_sending": self.tally.hears_sending,
            }

    # --- The thread ---------------------------------------------------------------------------------------------------
    def _run(self) -> None:
        app = watching_app(self.fleet)
        errors = link_errors(app)
        wait, said = FIRST_WAIT_SECONDS, ""
        while not self._stop.is_set():
            try:
                self._listen(app)
            except errors as error:
                why = scrub(str(error), self.fleet.url)
                if self.listening.is_set() or why != said:  # once per outage, not at each try
                    logger.warning("Events of %s are not heard: %s", self.fleet.name, why)
                said = why
            wait = FIRST_WAIT_SECONDS if self.listening.is_set() else min(2 * wait, LONGEST_WAIT_SECONDS)
            self.listening.clear()
            self.since = None
            self._stop.wait(wait)

    def _listen(self, app: Celery) -> None:
        connection = app.connection_for_read(heartbeat=HEARTBEAT_SECONDS)
        try:
            connection.connect()
            (self._stream if connection.transport.driver_type == "amqp" else self._consume)(app, connection)
        finally:
            # Without the polite goodbye, which a blocked broker never answers, and which is read past what we hold.
            connection.collect(socket_timeout=0.5)

    def _stream(self, app: Celery, connection: Any) -> None:
        """Hear RabbitMQ: the protocol by py-amqp, the deliveries by ourselves."""
        channel = connection.default_channel
        queue = self._kept_queue(app, connection)
        was_there = _exists(connection, queue.name)
        queue(channel).declare()
        channel.basic_qos(0, PREFETCH, False)
        self._began(app, kept_seconds=KEPT_SECONDS if was_there else 0.0)
        channel.basic_consume(queue.name, no_ack=False, callback=self._came)
        link = connection.connection
        deliveries = Deliveries(link.on_inbound_frame)
        data, link.transport._read_buffer = link.transport._read_buffer, b""
        while not self._stop.is_set():
            if data:
                link.bytes_recv += 1  # py-amqp's heartbeat must see that the broker lives
                self._take_in(deliveries.feed(data))
                self._stop.wait(GATHER_SECONDS)
            self._acknowledge(channel)
            self._look_after(app, connection, KEPT_SECONDS)
            data = _read(link.transport)

    def _consume(self, app: Celery, connection: Any) -> None:
        """Hear any other broker through kombu."""
        exchange = get_exchange(connection, name=app.conf.event_exchange)
        queue = Queue(
            f"{app.conf.event_queue_prefix}.{_name(self.fleet)}.{id(self):x}",
            exchange=exchange, routing_key="#", auto_delete=True, durable=False, expires=60.0, message_ttl=60.0,
        )  # fmt: skip
        consumer = Consumer(connection.default_channel, [queue], no_ack=True, on_message=self._came, accept=["json"])
        with consumer:
            self._began(app, kept_seconds=0.0)
            while not self._stop.is_set():
                with suppress(TimeoutError):  # a quiet second
                    connection.drain_events(timeout=1)
                self._look_after(app, connection, UNKEPT_SECONDS)

    def _kept_queue(self, app: Celery, connection: Any) -> Queue:
        """Return the queue in which events wait for us: one listener at a time, another takes over when it dies."""
        return Queue(
            f"{app.conf.event_queue_prefix}.{_name(self.fleet)}",
            exchange=get_exchange(connection, name=app.conf.event_exchange),
            routing_key="#",
            durable=True,
            message_ttl=KEPT_SECONDS,
            expires=2 * KEPT_SECONDS,
            max_length_bytes=MAX_QUEUE_BYTES,
            queue_arguments={"x-single-active-consumer": True},
        )

    # --- Parts --------------------------------------------------------------------------------------------------------
    def _began(self, app: Celery, *, kept_seconds: float) -> None:
        now = time.time()
        with self._lock:
            self._generation, self._tag, self._settled = self._generation + 1, 0, None
            if self._alive_at is not None and now - self._alive_at > 1.0:
                lost = now - self._alive_at > kept_seconds
                self._spells.append(Spell(self._why_deaf, self._alive_at, now, lost))
            self._why_deaf, self._alive_at, self.since = "disconnected", now, now
        self._ask(app, "heartbeat")
        self.listening.set()

    def _look_after(self, app: Celery, connection: Any, kept_seconds: float) -> None:
        """Do once a second what a connection needs, and notice when we stood still for longer than events live."""
        now = time.time()
        last = self._alive_at or now
        if now - last < 1.0:
            return
        self._alive_at = now
        if now - last > min(kept_seconds, UNKEPT_SECONDS):
            with self._lock:
                self._spells.append(Spell("stalled", last, now, lost=now - last > kept_seconds))
        if connection.transport.driver_type == "amqp":
            connection.heartbeat_check()
        silent = [name for name, worker in self.tally.hearing().items() if worker["tells_tasks"] is False]
        if silent and self.ask_events and time.monotonic() - self._asked_at > ASK_EVERY_SECONDS:
            self._asked_at = time.monotonic()
            self._ask(app, "enable_events", silent)

    def _ask(self, app: Celery, command: str, destination: list[str] | None = None) -> None:
        """Tell workers something over a connection of its own: this one reads nothing but deliveries."""
        with suppress(KombuError, OSError, *app.connection_for_read().connection_errors):
            app.control.broadcast(command, destination=destination)

    def _acknowledge(self, channel: Any) -> None:
        settled, self._settled = self._settled, None
        if settled is None or settled[0] != self._generation or settled == self._acknowledged:
            return  # RabbitMQ closes the channel of whoever acknowledges something twice
        channel.basic_ack(settled[1], multiple=True)
        self._acknowledged = settled

    def _came(self, message: Any) -> None:
        """Take in a message that kombu or py-amqp has read."""
        self._take_in([(getattr(message, "delivery_tag", 0) or 0, message.body)])

    def _take_in(self, messages: list[tuple[int, Any]]) -> None:
        if not messages:
            return
        now = time.time()
        with self._lock:
            for _, body in messages:
                try:
                    events = decode(body)
                except (ValueError, msgspec.DecodeError):
                    self._unreadable += 1
                    continue
                self._fold(events, now)
            tag = messages[-1][0]
            self._tag = tag if isinstance(tag, int) else 0

    def _fold(self, events: list[Event], now: float) -> None:
        for event in events:
            self.tally.fold(event, now)
        if len(self.folder.batch.tasks) < MAX_TASKS:
            self.folder.fold_all(events)
        else:
            self._dropped += len(events)


def _exists(connection: Any, queue: str) -> bool:
    """Return whether a queue is there already; a channel of its own, for it is closed when there is none."""
    channel = connection.channel()
    try:
        channel.queue_declare(queue, passive=True)
    except connection.channel_errors:
        return False
    channel.close()
    return True


def _read(transport: Any) -> bytes:
    """Return what the broker has sent within a second; nothing when it sent nothing."""
    try:
        with transport.having_timeout(1.0) as sock:
            data: bytes = sock.recv(CHUNK)
    except TimeoutError:
        return b""
    if not data:
        raise OSError("the broker closed the connection")
    return data


def _name(fleet: FleetRef) -> str:
    """Return the name of our queue: another installation that watches the same fleet has one of its own."""
    key = f"{settings.SECRET_KEY}\0{fleet.id}\0{fleet.name}".encode()
    return f"vsm.v1.{blake2b(key, digest_size=8).hexdigest()}"
