"""The broker's exchange and queues, declared in this one place; a change of arguments needs a new version in the name.

RabbitMQ refuses to declare a queue again with other arguments, so a `v1` stays what it is for good. Every queue is
classic and durable, which 3.10 to 4.x accept alike: the database, not the broker, is what nothing gets lost from.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from kombu import Connection, Exchange, Queue
from kombu.exceptions import OperationalError

from subsystems.messaging.channels import Channel

EXCHANGE = Exchange("vsm", type="topic", durable=True)
_DEAD = {"x-dead-letter-exchange": "vsm", "x-dead-letter-routing-key": "dead"}
MAX_PRIORITY = 10


def _queue(name: str, arguments: Mapping[str, object] | None = None) -> Queue:
    return Queue(f"vsm.{name}.v1", EXCHANGE, routing_key=name, durable=True, queue_arguments=arguments)


QUEUES = [
    _queue("default", _DEAD),
    _queue("collect", _DEAD),
    _queue("algedonic", {"x-max-priority": MAX_PRIORITY, **_DEAD}),
    _queue("command", _DEAD),
    _queue("coordination", _DEAD),
    _queue("audit", _DEAD),
    _queue("resource_bargain", _DEAD),
    _queue("homeostat", _DEAD),
    _queue("telemetry", _DEAD),
    _queue("inbound", _DEAD),
    _queue("dead"),
]
# Programs outside write to `telemetry` and `inbound`, the broker to `dead`; they are read without Celery, for what
# stands in them need be no task.
TELEMETRY, INBOUND, DEAD = QUEUES[-3:]
CONSUMED = QUEUES[:-3]


def routing_key_of(channel: Channel) -> str:
    """Return the routing key of a channel's queue, which is also the middle of the queue's name."""
    return "default" if channel is Channel.PLATFORM else str(channel)


def queue_of(channel: Channel) -> str:
    """Return the name of a channel's queue."""
    return f"vsm.{routing_key_of(channel)}.v1"


def declare(connection: Connection) -> list[str]:
    """Declare everything that is missing; return in words what on the broker does not fit."""
    return list(_misfits(connection))


def _misfits(connection: Connection) -> Iterator[str]:
    for queue in QUEUES:
        with connection.channel() as channel:  # the broker closes a channel that it refused something on
            try:
                queue.bind(channel).declare()
            except (*connection.channel_errors, OperationalError) as error:
                yield in_words(queue, str(error))


def in_words(queue: Queue, error: str) -> str:
    """Say what a broker's refusal of *queue* means and what to do about it."""
    if "PRECONDITION_FAILED" in error or "inequivalent" in error:
        wanted = ", ".join(f"{key}={value}" for key, value in (queue.queue_arguments or {}).items()) or "none"
        return (
            f"{queue.name} exists on the broker with other arguments than the platform's ({wanted}). When it is empty,"
            f" delete it (rabbitmqctl delete_queue {queue.name}) and start again. The broker says: {error}"
        )
    if "ACCESS_REFUSED" in error:
        return f"The broker's user may not declare {queue.name}: it needs configure, write and read on ^vsm. ({error})"
    return f"{queue.name} could not be declared: {error}"
