"""A conversation with a fleet's workers over Celery's remote control: commands go out, answers come to one consumer.

Celery's own `inspect` waits its whole timeout for whoever might still answer. Here the caller says who is expected, and
the wait ends with the last of them.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from celery import Celery
from kombu import Consumer, Producer, Queue

CONNECT_TIMEOUT_SECONDS = 1.0
LINGER_SECONDS = 0.1  # for answers of workers that nobody knew: they are as quick as those of the known
Answers = dict[str, dict[int, Any]]  # by node name, by the command's place in the list


@dataclass(frozen=True)
class Command:
    """One remote control command; without a *destination* it is for every worker that listens."""

    method: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    destination: Sequence[str] | None = None


class Conversation:
    """One connection, one queue for answers. Not for two threads at a time; any broker error may come out of it."""

    def __init__(self, app: Celery) -> None:
        self.app = app
        self.connection: Any = None
        self.channel: Any = None
        self._consumer: Any = None
        self._oid = uuid4().hex
        self._tickets: dict[str, int] = {}
        self._answers: Answers = {}

    @property
    def connected(self) -> bool:
        """Whether there is a connection, as far as this side knows."""
        return self.connection is not None and bool(self.connection.connected)

    def connect(self) -> None:
        """Connect, unless there is a connection already."""
        if self.connected:
            return
        self.drop()
        connection = self.app.connection_for_read(connect_timeout=CONNECT_TIMEOUT_SECONDS, heartbeat=0)
        self.connection = connection
        connection.connect()
        self.channel = connection.default_channel
        replies = Queue(
            f"{self._oid}.reply.celery.pidbox",
            exchange=self.app.control.mailbox.reply_exchange,
            routing_key=self._oid,
            durable=False,
            exclusive=True,
            auto_delete=True,
            expires=10.0,
        )
        self._consumer = Consumer(self.channel, [replies], accept=["json"], no_ack=True, on_message=self._hear)
        self._consumer.consume()

    def drop(self) -> None:
        """Let go of the connection without the polite goodbye that a blocked broker never answers."""
        connection, self.connection = self.connection, None
        self.channel = self._consumer = None
        if connection is not None:
            connection.collect(socket_timeout=0.5)

    def ask(self, commands: Sequence[Command], *, expected: Collection[str], within: float) -> Answers:
        """Send *commands* and return what was answered; waits for all of *expected*, at most *within* seconds."""
        self.send(commands, lives_seconds=2 * within)
        deadline = time.monotonic() + within
        complete = False
        while (left := deadline - time.monotonic()) > 0:
            try:
                self.connection.drain_events(timeout=left)
            except TimeoutError:
                break
            if not complete and expected and self._complete(expected, commands):
                complete = True
                everybody = any(command.destination is None for command in commands)
                deadline = min(deadline, time.monotonic() + (LINGER_SECONDS if everybody else 0.0))
        return self._answers

    def send(self, commands: Sequence[Command], *, lives_seconds: float = 10.0) -> None:
        """Send *commands* without waiting for an answer. Who reads one later than *lives_seconds* need not answer."""
        self.connect()
        self._answers = defaultdict(dict)
        self._tickets = {uuid4().hex: place for place in range(len(commands))}
        mailbox = self.app.control.mailbox
        producer = Producer(self.channel, auto_declare=False)
        for ticket, place in self._tickets.items():
            command = commands[place]
            producer.publish(
                {
                    "method": command.method,
                    "arguments": dict(command.arguments),
                    "destination": None if command.destination is None else list(command.destination),
                    "pattern": None,
                    "matcher": None,
                    "ticket": ticket,
                    "reply_to": {"exchange": mailbox.reply_exchange.name, "routing_key": self._oid},
                },
                exchange=mailbox.exchange.name,
                declare=[mailbox.exchange],
                headers={"clock": self.app.clock.forward(), "expires": time.time() + lives_seconds},
                serializer="json",
            )

    def _hear(self, message: Any) -> None:
        place = self._tickets.get(message.headers.get("ticket", ""))
        if place is None:
            return  # an answer to an earlier question
        for name, answer in message.decode().items():
            self._answers[name][place] = answer

    def _complete(self, expected: Collection[str], commands: Sequence[Command]) -> bool:
        return all(
            len(self._answers.get(name, ()))
            >= sum(command.destination is None or name in command.destination for command in commands)
            for name in expected
        )


def is_error(answer: object) -> bool:
    """Return whether a worker answered that it could not."""
    return isinstance(answer, dict) and set(answer) == {"error"}
