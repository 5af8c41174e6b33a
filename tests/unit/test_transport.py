"""The broker of the embedded profile, driven through kombu and Celery as the platform drives it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
from kombu import Connection, Consumer, Exchange, Producer, Queue

from vsm_site import transport

EXCHANGE = Exchange("test", type="topic")


@pytest.fixture
def connection() -> Iterator[Connection]:
    transport.register()
    with Connection("vsm://") as connection:
        yield connection


@pytest.fixture
def queue(connection: Connection, request: pytest.FixtureRequest) -> Iterator[Queue]:
    name = request.node.name
    queue = Queue(name, EXCHANGE, routing_key=name)(connection)
    queue.declare()
    yield queue
    queue.delete()


def send(connection: Connection, queue: Queue, body: object, **properties: object) -> None:
    Producer(connection, EXCHANGE).publish(body, routing_key=queue.routing_key, **properties)


def take(queue: Queue) -> object:
    message = queue.get(no_ack=True)
    return None if message is None else message.payload


def test_the_most_urgent_message_is_delivered_first(connection: Connection, queue: Queue) -> None:
    """Severity is the priority inside the algedonic lane; first in, first out would make critical wait."""
    for number, priority in enumerate([1, 5, 10, 3, 10, 0]):
        send(connection, queue, [priority, number], priority=priority)

    order = [take(queue) for _ in range(6)]

    assert order == [[10, 2], [10, 4], [5, 1], [3, 3], [1, 0], [0, 5]]


def test_a_consumer_of_many_queues_takes_the_most_urgent_of_all(connection: Connection, queue: Queue) -> None:
    """One embedded worker serves all lanes: pain must not queue behind routine."""
    lane = Queue("lane", EXCHANGE, routing_key="lane")(connection)
    lane.declare()
    for number in range(3):
        send(connection, queue, f"routine {number}")
    send(connection, lane, "pain", priority=10)
    heard: list[object] = []

    with Consumer(connection, [queue, lane], callbacks=[lambda body, message: heard.append(body)], no_ack=True):
        for _ in range(4):
            connection.drain_events(timeout=1)

    lane.delete()
    assert heard == ["pain", "routine 0", "routine 1", "routine 2"]


def test_a_waiting_consumer_is_woken_at_once(connection: Connection, queue: Queue) -> None:
    """The stock transport polls once a second; the dashboard promises less than a tenth."""
    heard_at: list[float] = []
    waiting = threading.Event()

    def consume() -> None:
        with (
            Connection("vsm://") as own,
            Consumer(
                own, [Queue(queue.name)(own)], callbacks=[lambda *_: heard_at.append(time.monotonic())], no_ack=True
            ),
        ):
            waiting.set()
            own.drain_events(timeout=5)

    thread = threading.Thread(target=consume)
    thread.start()
    waiting.wait(5)
    sent_at = time.monotonic()
    send(connection, queue, "hello")
    thread.join(5)

    assert heard_at[0] - sent_at < 0.1


def test_prefetch_one_leaves_the_rest_where_a_more_urgent_one_can_overtake(
    connection: Connection, queue: Queue
) -> None:
    """Priority only orders what is still in the broker."""
    heard: list[object] = []
    messages = []
    send(connection, queue, "first")
    send(connection, queue, "second")
    channel = connection.channel()

    with Consumer(channel, [queue], prefetch_count=1, callbacks=[lambda b, m: (heard.append(b), messages.append(m))]):
        connection.drain_events(timeout=1)
        with pytest.raises(TimeoutError):
            connection.drain_events(timeout=0.01)
        send(connection, queue, "urgent", priority=9)
        messages[0].ack()
        connection.drain_events(timeout=1)

    assert heard == ["first", "urgent"]


def test_an_unacknowledged_message_returns_to_its_place_when_its_channel_closes(
    connection: Connection, queue: Queue
) -> None:
    """A worker that stops in mid-task must not lose the task, nor send it to the back of the queue."""
    send(connection, queue, "first")
    send(connection, queue, "second")
    with connection.channel() as channel:
        queue(channel).get()

    again = queue.get()

    assert again.payload == "first"
    assert again.delivery_info["redelivered"] is True


def test_a_queue_tells_what_waits_what_is_out_and_how_old_it_is(connection: Connection, queue: Queue) -> None:
    """The platform watches its own queues with these numbers."""
    send(connection, queue, "first")
    send(connection, queue, "second")
    message = queue.get()

    during = transport.queue_stats(queue.name)
    message.ack()
    after = transport.queue_stats(queue.name)

    assert during is not None
    assert after is not None
    assert (during["ready"], during["unacked"], during["consumers"]) == (1, 1, 0)
    assert 0 <= (during["oldest_age_seconds"] or 0) < 5
    assert after["unacked"] == 0


def test_a_queue_that_does_not_exist_has_no_numbers() -> None:
    """Zero would be a measurement; there was none."""
    assert transport.queue_stats("nobody") is None


def test_a_message_without_a_queue_is_dropped(connection: Connection) -> None:
    """Otherwise events for a receiver that left would fill the memory of a queue nobody reads."""
    Producer(connection).publish("hello", routing_key="nobody")

    assert transport.queue_stats("nobody") is None


def test_a_topic_reaches_each_matching_queue_with_a_copy_of_its_own(connection: Connection) -> None:
    """Celery's events are topics; two listeners acknowledge separately."""
    queues = [
        Queue(name, EXCHANGE, routing_key=key)(connection)
        for name, key in [("a", "task.#"), ("b", "*.sent"), ("c", "x")]
    ]
    for queue in queues:
        queue.declare()
    Producer(connection, EXCHANGE).publish({"n": 1}, routing_key="task.sent")

    messages = [queue.get() for queue in queues]

    for queue in queues:
        queue.delete()
    assert [message and message.payload for message in messages] == [{"n": 1}, {"n": 1}, None]
    assert messages[0].delivery_tag != messages[1].delivery_tag


def test_a_fanout_reaches_every_bound_queue(connection: Connection) -> None:
    """Celery's remote control (pidbox) is a fanout."""
    fanout = Exchange("everybody", type="fanout")
    queues = [Queue(name, fanout)(connection) for name in ("d", "e")]
    for queue in queues:
        queue.declare()
    Producer(connection, fanout).publish("ping", routing_key="")

    heard = [take(queue) for queue in queues]

    for queue in queues:
        queue.delete()
    assert heard == ["ping", "ping"]


def test_a_transient_queue_goes_with_its_last_consumer(connection: Connection) -> None:
    """Each event receiver that ever ran would otherwise keep collecting."""
    queue = Queue("listener", EXCHANGE, routing_key="#", auto_delete=True)(connection)
    with Consumer(connection.channel(), [queue], callbacks=[lambda *_: None]):
        present = transport.queue_stats("listener")

    assert present is not None
    assert transport.queue_stats("listener") is None


def test_a_message_past_its_queue_ttl_is_not_delivered(connection: Connection) -> None:
    """An event receiver that stalls must not pile up events."""
    queue = Queue("brief", EXCHANGE, routing_key="brief", message_ttl=0)(connection)
    queue.declare()
    send(connection, queue, "old")

    late = queue.get()

    queue.delete()
    assert late is None


def test_a_refused_message_goes_to_the_dead_letters(connection: Connection) -> None:
    """A poison message is kept to be looked at, not lost and not retried for ever."""
    dead = Queue("graves", EXCHANGE, routing_key="graves")(connection)
    dead.declare()
    arguments = {"x-dead-letter-exchange": "test", "x-dead-letter-routing-key": "graves"}
    queue = Queue("risky", EXCHANGE, routing_key="risky", queue_arguments=arguments)(connection)
    queue.declare()
    send(connection, queue, "poison")
    message = queue.get()
    message.reject()

    found = take(dead)

    stats = transport.queue_stats("risky")
    dead.delete()
    queue.delete()
    assert found == "poison"
    assert stats is not None
    assert (stats["ready"], stats["unacked"]) == (0, 0)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        pytest.param(
            "amqp://host//", {"read_timeout": 10, "write_timeout": 10}, id="a blocked RabbitMQ cannot hang a publisher"
        ),
        pytest.param("vsm://", {}, id="the embedded broker needs none"),
    ],
)
def test_each_broker_gets_its_options(url: str, expected: dict[str, object]) -> None:
    """The options of one transport mean nothing to another."""
    assert transport.options(url) == expected


def test_redis_serves_ten_priorities() -> None:
    """Four steps, the default, would merge critical with high."""
    assert transport.options("redis://host/0")["priority_steps"] == list(range(10))
