"""Steering a fleet: what its workers say of themselves, commands to them, and messages put into and out of queues.

One short connection for one act. Nothing here decides anything, and nothing here knows the database.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from celery import Celery
from kombu import Producer

from subsystems.kernel.errors import Refused, TransientError
from subsystems.s1_operations.adapters.base import UNIT_TIMEOUT_SECONDS, FleetRef
from subsystems.s1_operations.adapters.celery_link import belongs, link_errors, watching_app
from subsystems.s1_operations.adapters.conversation import Command, Conversation, is_error
from subsystems.s1_operations.broker_urls import scrub

CONFIRM_SECONDS = 3.0
FACTS = ("stats", "active", "reserved", "active_queues")


class FleetUnreachable(TransientError):
    """The fleet's broker does not answer now."""

    code = "fleet_unreachable"


class NoQueue(Refused):
    """The broker has no queue of that name."""

    code = "no_queue"


@contextmanager
def control_of(fleet: FleetRef) -> Iterator[FleetControl]:
    """Yield the controls of *fleet*, and hang up afterwards. Raises FleetUnreachable, also for what breaks half-way."""
    app = watching_app(fleet)
    errors = link_errors(app)
    control = FleetControl(fleet, app)
    try:
        yield control
    except errors as error:
        raise FleetUnreachable(scrub(str(error) or type(error).__name__, fleet.url)) from error
    finally:
        control.hang_up()


class FleetControl:
    """What can be done to one fleet. A worker that does not answer is absent from what is returned, never an error."""

    def __init__(self, fleet: FleetRef, app: Celery) -> None:
        self.fleet = fleet
        self._app = app
        self._talk = Conversation(app)
        self._writer: Any = None  # a connection of its own: confirms must not mix with answers

    def hang_up(self) -> None:
        self._talk.drop()
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.collect(socket_timeout=0.5)

    # --- Workers ----------------------------------------------------------------------------------------------------
    def look(self, nodes: Sequence[str] | None = None) -> dict[str, dict[str, Any]]:
        """Return what the fleet's workers (or only *nodes*) say of themselves, by node and question."""
        return self.ask_all(FACTS, nodes)

    def ask_all(self, questions: Sequence[str], nodes: Sequence[str] | None = None) -> dict[str, dict[str, Any]]:
        """Ask every worker (or *nodes*) some questions that take no arguments. `active_queues` tells whose it is."""
        commands = [Command(question, destination=nodes) for question in questions]
        answers = self._talk.ask(commands, expected=nodes or self.fleet.workers, within=UNIT_TIMEOUT_SECONDS)
        told = {
            node: {questions[place]: answer for place, answer in given.items() if not is_error(answer)}
            for node, given in answers.items()
        }
        if nodes is not None:
            return told
        return {node: given for node, given in told.items() if belongs(node, given, self.fleet)}

    def tell(
        self, method: str, arguments: Mapping[str, Any], nodes: Sequence[str], *, within: float = UNIT_TIMEOUT_SECONDS
    ) -> dict[str, str]:
        """Give *nodes* a command; return by node what went wrong, empty for one that did it. Silent ones are absent."""
        return self.tell_each(method, dict.fromkeys(nodes, arguments), within=within)

    def tell_each(
        self, method: str, arguments: Mapping[str, Mapping[str, Any]], *, within: float = UNIT_TIMEOUT_SECONDS
    ) -> dict[str, str]:
        """Give each node the command with arguments of its own; see `tell`."""
        if not arguments:
            return {}
        commands = [Command(method, given, [node]) for node, given in arguments.items()]
        answers = self._talk.ask(_joined(commands), expected=set(arguments), within=within)
        return {
            node: str(answer["error"]) if is_error(answer) else ""
            for node, given in answers.items()
            for answer in given.values()
        }

    def send(self, method: str, arguments: Mapping[str, Any], nodes: Sequence[str]) -> None:
        """Give *nodes* a command that nobody answers."""
        if nodes:
            self._talk.send([Command(method, arguments, nodes)])

    def ask(self, method: str, arguments: Mapping[str, Any], nodes: Sequence[str]) -> dict[str, Any]:
        """Ask *nodes* one question with arguments; return the answers by node."""
        answers = self._talk.ask([Command(method, arguments, nodes)], expected=nodes, within=UNIT_TIMEOUT_SECONDS)
        return {node: given[0] for node, given in answers.items() if not is_error(given[0])}

    # --- Queues -----------------------------------------------------------------------------------------------------
    def depth(self, queue: str) -> int:
        """Return how many messages wait in *queue*. Raises NoQueue."""
        channel = self._channel()
        if self._is_redis:
            return int(channel._size(queue))
        try:
            return int(channel.queue_declare(queue, passive=True).message_count)
        except self._writer.channel_errors:
            raise NoQueue(f"The broker has no queue {queue!r}.", field="target") from None

    def purge(self, queue: str) -> int:
        """Throw away what waits in *queue*; return how many messages that were. Raises NoQueue."""
        self.depth(queue)
        return int(self._channel().queue_purge(queue) or 0)

    def move(self, source: str, target: str, limit: int) -> int:
        """Move up to *limit* messages, the oldest first; return how many. Raises NoQueue when *source* is missing.

        On Redis each move is one step. On RabbitMQ a message is confirmed in *target* before it leaves *source*: a
        crash between the two leaves it in both, never in neither.
        """
        self.depth(source)
        return self._move_redis(source, target, limit) if self._is_redis else self._move_amqp(source, target, limit)

    def ensure_queue(self, queue: str) -> None:
        """Make a durable queue, unless it is there."""
        channel = self._channel()
        if not self._is_redis:
            channel.queue_declare(queue, durable=True, auto_delete=False)

    def publish(self, body: bytes, *, queue: str, headers: Mapping[str, Any], properties: Mapping[str, Any]) -> None:
        """Put one task message into *queue*, confirmed. Raises NoQueue where the broker can tell."""
        channel = self._channel()
        given = {name: value for name, value in properties.items() if value is not None}
        if self._is_redis:
            given.pop("priority", None)  # which of its lists workers read is theirs to know; they all read the first
        try:
            Producer(channel, auto_declare=False).publish(
                body, exchange="", routing_key=queue, headers=dict(headers), mandatory=True,
                content_type="application/json", content_encoding="utf-8", confirm_timeout=CONFIRM_SECONDS, **given,
            )  # fmt: skip
        except self._writer.channel_errors as error:
            if getattr(error, "code", None) != 312:
                raise
            raise NoQueue(f"The broker has no queue {queue!r}.", field="queue") from None

    def task_message(
        self, task_id: str, name: str, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> tuple[Any, dict[str, Any], dict[str, Any]]:
        """Return body, headers and properties of a new task message, as Celery itself makes them."""
        message = self._app.amqp.as_task_v2(task_id, name, args=list(args), kwargs=dict(kwargs))
        return message.body, dict(message.headers), dict(message.properties)

    def _move_redis(self, source: str, target: str, limit: int) -> int:
        channel, moved = self._channel(), 0
        for step in channel.priority_steps:
            here, there = channel._q_for_pri(source, step), channel._q_for_pri(target, step)
            while moved < limit and channel.client.rpoplpush(here, there) is not None:
                moved += 1
        return moved

    def _move_amqp(self, source: str, target: str, limit: int) -> int:
        channel = self._channel()
        for moved in range(limit):
            message = channel.basic_get(source, no_ack=False)
            if message is None:
                return moved
            copy = channel.prepare_message(
                message.body, message.properties.get("priority"), message.properties.get("content_type"),
                message.properties.get("content_encoding"), message.headers or {},
                {name: value for name, value in message.properties.items() if name in KEPT},
            )  # fmt: skip
            channel.basic_publish(
                copy, exchange="", routing_key=target, mandatory=True, confirm_timeout=CONFIRM_SECONDS
            )
            channel.basic_ack(message.delivery_tag)
        return limit

    @property
    def _is_redis(self) -> bool:
        return bool(self._writer.transport.driver_type == "redis")

    def _channel(self) -> Any:
        if self._writer is None or not self._writer.connected:
            options = {**self._app.conf.broker_transport_options, "confirm_publish": True}
            self._writer = self._app.connection_for_write(heartbeat=0, transport_options=options)
            self._writer.connect()
        return self._writer.default_channel


KEPT = frozenset({
    "delivery_mode", "correlation_id", "reply_to", "expiration", "message_id", "timestamp", "type", "user_id", "app_id",
    "cluster_id",
})  # fmt: skip


def _joined(commands: Sequence[Command]) -> list[Command]:
    """Return *commands* with those that say the same said once, to all who should hear it."""
    found: dict[tuple[str, str], Command] = {}
    for command in commands:
        key = (command.method, repr(sorted(command.arguments.items())))
        nodes: Collection[str] = found[key].destination or () if key in found else ()
        found[key] = Command(command.method, command.arguments, [*nodes, *(command.destination or ())])
    return list(found.values())
