"""What only a real RabbitMQ can show: its own priorities, its own dead letters."""

from __future__ import annotations

import pytest
from django.conf import settings
from kombu import Connection, Queue
from kombu.message import Message

from subsystems.messaging.inbound import receive_dead
from subsystems.messaging.models import DeadLetter
from subsystems.messaging.topology import CONSUMED, EXCHANGE, QUEUES
from tests.support.waiting import wait_for
from vsm_site.celery import app

pytestmark = pytest.mark.skipif(not settings.BROKER_URL.startswith("amqp"), reason="needs RabbitMQ as the broker")


@pytest.fixture
def connection() -> Connection:
    with app.connection_for_write() as connection:
        yield connection


def declared(connection: Connection, name: str) -> Queue:
    queue = next(queue for queue in QUEUES if queue.routing_key == name)(connection.default_channel)
    queue.declare()
    queue.purge()
    return queue


def test_the_most_urgent_signal_leaves_the_broker_first(connection: Connection) -> None:
    """Severity is the priority inside the algedonic lane."""
    queue = declared(connection, "algedonic")
    producer = connection.Producer(exchange=EXCHANGE, auto_declare=False)
    for priority in (1, 5, 10, 3, 10, 0):
        producer.publish(priority, routing_key="algedonic", priority=priority)

    assert [queue.get(no_ack=True).payload for _ in range(6)] == [10, 10, 5, 3, 1, 0]


def test_a_refused_message_is_kept(connection: Connection) -> None:
    """A poison message is kept to be looked at, not lost and not retried for ever."""
    dead, queue = declared(connection, "dead"), declared(connection, "command")
    connection.Producer(exchange=EXCHANGE, auto_declare=False).publish("poison", routing_key="command")

    queue.get().reject()

    assert _wait_for(dead) == "poison"


@pytest.mark.django_db
@pytest.mark.parametrize(("reason", "kept"), [("expired", 0), ("rejected", 1)])
def test_a_tick_that_came_too_late_is_no_dead_letter(reason: str, kept: int, connection: Connection) -> None:
    """A worker that was away for a minute must not leave a dozen letters about ticks that nobody misses."""
    dead, queue = declared(connection, "dead"), declared(connection, "collect")
    late = {"expiration": 0.001} if reason == "expired" else {}
    connection.Producer(exchange=EXCHANGE, auto_declare=False).publish("tick", routing_key="collect", **late)
    if reason == "rejected":
        _next(queue).reject()

    receive_dead(_next(dead))

    assert [letter.reason for letter in DeadLetter.objects.all()] == ["rejected"] * kept


def test_a_worker_makes_the_queue_of_the_dead_letters(worker: object, connection: Connection) -> None:
    """Nobody consumes it, so nobody else would, and what is refused would be dropped."""
    names = [queue.name for queue in QUEUES]

    found = [connection.default_channel.queue_declare(name, passive=True).queue for name in names]

    assert found == names
    assert "vsm.dead.v1" not in [queue.name for queue in CONSUMED]


def _wait_for(queue: Queue) -> object:
    message = _next(queue)
    message.ack()
    return message.payload


def _next(queue: Queue) -> Message:
    """Return what arrives next; dead letters move inside the broker, which says nothing when it is done."""
    return wait_for(queue.get)
