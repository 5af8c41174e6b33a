"""Batches of samples through a real RabbitMQ, read by the thread that reads them in the platform."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest
from django.conf import settings
from kombu import Connection

from subsystems.messaging.topology import DEAD, EXCHANGE, TELEMETRY, declare
from subsystems.recursion.queries import root_system
from subsystems.telemetry.store import hot_tier
from tests.support.factories import make_token
from tests.support.waiting import wait_for
from vsm_site import amqp_ingest
from vsm_site.celery import app

pytestmark = [
    pytest.mark.skipif(not settings.BROKER_URL.startswith("amqp"), reason="needs RabbitMQ as the broker"),
    pytest.mark.django_db(transaction=True),
]


@pytest.fixture
def connection() -> Iterator[Connection]:
    with app.connection_for_write() as connection:
        assert declare(connection) == []
        for queue in (TELEMETRY, DEAD):
            queue(connection.default_channel).purge()
        yield connection


@pytest.fixture
def reader(connection: Connection, transactional_db: None) -> Iterator[None]:
    reading = amqp_ingest.reader()
    reading.start()
    yield
    reading.stop()


def waiting(connection: Connection, queue: str) -> int:
    return int(connection.default_channel.queue_declare(queue, passive=True).message_count)


def test_a_program_that_has_the_broker_alone_is_heard(connection: Connection, reader: None) -> None:
    """Samples arrive once each, a batch that came twice included, and what nobody may send is a dead letter."""
    root_system()
    secret = make_token(["ingest"])[1]
    producer = connection.Producer(exchange=EXCHANGE, auto_declare=False)

    def send(value: float, message_id: str, authorization: str) -> None:
        samples = [{"metric": "cpu", "value": value, "at": time.time()}]
        producer.publish(
            json.dumps({"source": "amqp-1", "samples": samples}).encode(),
            routing_key=TELEMETRY.routing_key, content_type="application/json", content_encoding="binary",
            message_id=message_id, headers={"authorization": authorization}, delivery_mode=2,
        )  # fmt: skip

    for value, message_id in [(1.0, "a"), (1.0, "a"), (2.0, "b")]:
        send(value, message_id, f"Bearer {secret}")
    send(3.0, "c", "Bearer wrong")

    wait_for(lambda: hot_tier().size() == 2 and waiting(connection, DEAD.name) == 1)
    assert waiting(connection, TELEMETRY.name) == 0
