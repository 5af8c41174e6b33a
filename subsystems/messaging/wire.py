"""Putting messages on the broker and knowing that it has them: confirms, in a window, with bounded waits.

An unroutable message is confirmed all the same unless it is mandatory; a broker that blocks never answers a close; a
confirm that is late may belong to a message that arrives anyway. So: mandatory, timeouts on everything, and a
connection with an open question is thrown away rather than closed politely.
"""

from __future__ import annotations

import json
import logging
import time
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from amqp.exceptions import AMQPError
from celery import Celery
from kombu import Connection
from kombu.exceptions import KombuError, OperationalError

from subsystems.messaging.topology import EXCHANGE, declare

logger = logging.getLogger(__name__)
CONNECT_SECONDS, WRITE_SECONDS, CONFIRM_SECONDS = 3.0, 4.0, 5.0
WINDOW = 200
ERRORS = (OSError, AMQPError, KombuError, OperationalError)


class WireDown(Exception):
    """The broker could not be reached or did not answer in time; what it has of the letters is unknown."""


@dataclass(frozen=True, slots=True)
class Letter:
    """One task for the broker: which messages it is about, and where it goes."""

    numbers: tuple[int, ...]
    routing_key: str
    task: str
    priority: int


@dataclass(slots=True)
class Outcome:
    """Which letters the broker confirmed, and why it did not take the others."""

    confirmed: list[Letter] = field(default_factory=list)
    refused: list[tuple[Letter, str]] = field(default_factory=list)


class Wire:
    """A connection to the broker that sends letters. Not for use by two threads at once."""

    def __init__(self, app: Celery, url: str) -> None:
        self._app, self._url = app, url
        self._connection: Connection | None = None
        self._channel: Any = None
        self._windowed = url.split("://")[0] in {"amqp", "amqps"}
        self._open: dict[int, Letter] = {}
        self._by_id: dict[str, int] = {}
        self._outcome = Outcome()
        self._away_since: float | None = None

    def send(self, letters: Sequence[Letter]) -> Outcome:
        """Send *letters* and wait until the broker has taken or refused each. Raises WireDown; then close()."""
        self._outcome = Outcome()
        try:
            self._connect()
            if self._windowed:
                for start in range(0, len(letters), WINDOW):
                    self._send_window(letters[start : start + WINDOW])
            else:
                self._send_each(letters)
        except ERRORS as error:
            self.close()
            self._note_away(str(error) or type(error).__name__)
            raise WireDown(str(error) or type(error).__name__) from error
        self._note_back()
        return self._outcome

    def _note_away(self, why: str) -> None:
        """Say once per outage that the broker is away, however often it is tried again."""
        if self._away_since is None:
            self._away_since = time.monotonic()
            logger.warning("The broker is away (%s); messages wait in the outbox.", why)

    def _note_back(self) -> None:
        if self._away_since is not None:
            logger.warning("The broker is back after %.0f s.", time.monotonic() - self._away_since)
            self._away_since = None

    def close(self) -> None:
        """Drop the connection without waiting for a broker that may never answer."""
        connection, self._connection, self._channel = self._connection, None, None
        self._open.clear()
        self._by_id.clear()
        if connection is not None:
            connection.collect(socket_timeout=0.1)

    def _connect(self) -> None:
        if self._channel is not None:
            return
        timeouts = {"read_timeout": WRITE_SECONDS, "write_timeout": WRITE_SECONDS, "connect_timeout": CONNECT_SECONDS}
        options = timeouts if self._windowed else {}
        self._connection = Connection(self._url, connect_timeout=CONNECT_SECONDS, transport_options=options)
        for misfit in declare(self._connection):
            logger.error("%s", misfit)
        channel = self._connection.channel()
        if self._windowed:
            channel.confirm_select()
            channel.events["basic_ack"].add(self._on_ack)
            channel.events["basic_nack"].add(self._on_nack)
            channel.events["basic_return"].add(self._on_return)
        self._channel, self._tag = channel, 0

    def _send_window(self, letters: Iterable[Letter]) -> None:
        for letter in letters:
            self._tag += 1
            self._open[self._tag] = letter
            self._publish(letter, self._tag)
        deadline = time.monotonic() + CONFIRM_SECONDS
        assert self._connection is not None
        while self._open:
            if time.monotonic() > deadline:
                raise TimeoutError(f"the broker confirmed nothing for {CONFIRM_SECONDS:g} s")
            self._connection.drain_events(timeout=CONFIRM_SECONDS)

    def _send_each(self, letters: Iterable[Letter]) -> None:
        for letter in letters:
            self._publish(letter, 0)
            self._outcome.confirmed.append(letter)

    def _publish(self, letter: Letter, tag: int) -> None:
        task_id = str(uuid.uuid4())
        made = self._app.amqp.as_task_v2(task_id, letter.task, args=(list(letter.numbers),), ignore_result=True)
        if self._windowed:
            self._by_id[task_id] = tag
        message = self._channel.prepare_message(
            json.dumps(made.body),
            priority=letter.priority,
            content_type="application/json",
            content_encoding="utf-8",
            headers={name: value for name, value in made.headers.items() if value is not None},
            properties={**made.properties, "delivery_mode": 2},
        )
        more = {"mandatory": True} if self._windowed else {}
        self._channel.basic_publish(message, exchange=EXCHANGE.name, routing_key=letter.routing_key, **more)

    def _on_ack(self, tag: int, multiple: bool) -> None:
        for letter in self._answered(tag, multiple):
            self._outcome.confirmed.append(letter)

    def _on_nack(self, tag: int, multiple: bool) -> None:
        for letter in self._answered(tag, multiple):
            self._outcome.refused.append((letter, "the queue is full"))

    def _on_return(self, error: Exception, exchange: str, routing_key: str, message: Any) -> None:
        """A mandatory message came back: its confirm follows, and must not count."""
        tag = self._by_id.get(message.properties.get("correlation_id", ""))
        letter = self._open.pop(tag, None) if tag is not None else None
        if letter is not None:
            self._outcome.refused.append((letter, f"no queue for {routing_key}: {error}"))

    def _answered(self, tag: int, multiple: bool) -> list[Letter]:
        tags = [each for each in self._open if each <= tag] if multiple else [tag]
        found = [self._open.pop(each) for each in tags if each in self._open]
        if not self._open:
            self._by_id.clear()
        return found
