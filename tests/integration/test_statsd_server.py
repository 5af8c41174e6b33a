"""StatsD over a real socket, from the clients that people have."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing

import pytest
import statsd
from datadog.dogstatsd.base import DogStatsd

from subsystems.recursion.queries import root_system
from subsystems.telemetry import queries
from subsystems.telemetry.store import hot_tier
from tests.support.waiting import wait_for
from vsm_site.statsd_server import StatsdServer, configured

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def listening() -> Iterator[StatsdServer]:
    server = StatsdServer("127.0.0.1", 0, flush_seconds=0.05)
    server.start()
    yield server
    server.stop()


def values() -> dict[str, float]:
    latest = queries.latest(root_system().pk).get("statsd", {})
    return {name: value for name, (_, value) in latest.items()}


def test_the_usual_client_is_heard(listening: StatsdServer) -> None:
    """An application that speaks StatsD needs to change nothing but the address."""
    speaker = statsd.StatsClient("127.0.0.1", listening.port)
    with closing(speaker), speaker.pipeline() as client:
        client.incr("orders", 3)
        client.gauge("depth", 7)
        client.timing("took", 320)

    wait_for(lambda: values().get("depth") == 7)
    assert (values()["orders"], values()["took_max"]) == (3, 320)


def test_datadog_s_client_is_heard_with_its_tags(listening: StatsdServer) -> None:
    """Tags become labels."""
    client = DogStatsd("127.0.0.1", listening.port, disable_telemetry=True)
    client.gauge("depth", 7, tags=["queue:mail"])
    client.flush()

    wait_for(lambda: values().get('depth{queue="mail"}') == 7)
    client.stop()


def test_hostile_packets_are_counted_and_stop_nobody(listening: StatsdServer) -> None:
    """Whoever reaches the port may send anything."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for packet in (b"\xff" * 1000, b"", b"a:nan|c", b"good:1|c"):
            sender.sendto(packet, ("127.0.0.1", listening.port))

    wait_for(lambda: "good" in values())
    wait_for(lambda: hot_tier().counters().get("dropped_statsd_bad") == 2)


def test_what_came_last_is_recorded_when_it_stops() -> None:
    """A restart must not lose five seconds."""
    server = StatsdServer("127.0.0.1", 0, flush_seconds=3600)
    server.start()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"last:1|c", ("127.0.0.1", server.port))

    server.stop()

    assert values() == {"last": 1}


def test_a_port_that_is_taken_costs_only_statsd(
    listening: StatsdServer, settings: object, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Another agent on this machine may have it; the platform runs all the same, and says so."""
    environment = settings.ENV  # type: ignore[attr-defined]
    monkeypatch.setattr(environment, "statsd_port", listening.port)
    monkeypatch.setattr(environment, "statsd_host", "127.0.0.1")

    assert configured() == []
    assert "VSM_STATSD_PORT" in caplog.text
