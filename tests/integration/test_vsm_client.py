"""The client that applications use, and the clients that they have, against the real doors."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource

from subsystems.recursion.queries import root_system
from subsystems.s1_operations import services
from subsystems.telemetry import queries
from tests.support.factories import make_token
from tests.support.serving import serving
from tests.support.waiting import wait_for
from vsm_client import Client
from vsm_site.doors import DOORS
from vsm_site.ingest_asgi import IngestDoors

pytestmark = pytest.mark.django_db(transaction=True)


async def nothing(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 404, "headers": []})
    await send({"type": "http.response.body", "body": b""})


class Flaky:
    """Doors that refuse some requests first."""

    def __init__(self) -> None:
        self.statuses: list[int] = []
        self._doors = IngestDoors(nothing, DOORS)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if self.statuses and scope["type"] == "http":
            await send({"type": "http.response.start", "status": self.statuses.pop(0), "headers": []})
            await send({"type": "http.response.body", "body": json.dumps({"detail": "not now"}).encode()})
            return
        await self._doors(scope, receive, send)


@pytest.fixture
def flaky() -> Flaky:
    return Flaky()


@pytest.fixture
def url(flaky: Flaky) -> Iterator[str]:
    with serving(flaky) as address:
        yield address


@pytest.fixture
def token() -> str:
    root_system()
    services._agents.clear()
    return make_token(["ingest"])[1]


MakeClient = Callable[..., Client]


@pytest.fixture
def make_client(url: str, token: str) -> Iterator[MakeClient]:
    made: list[Client] = []

    def make(**given: Any) -> Client:
        made.append(Client(**{"url": url, "token": token, "source": "shop", "flush_seconds": 3600, **given}))
        return made[-1]

    yield make
    for client in made:
        client.close()


def values(source: str = "shop") -> dict[str, float]:
    latest = queries.latest(root_system().pk).get(source, {})
    return {name: value for name, (_, value) in latest.items()}


def test_gauges_and_totals_arrive(make_client: MakeClient) -> None:
    """Three lines in an application."""
    client = make_client()

    client.gauge("depth", 7, {"queue": "mail"})
    client.count("orders")
    client.count("orders", 2)

    assert client.flush()
    assert values() == {'depth{queue="mail"}': 7, "orders": 3}
    assert (client.dropped, client.rejected) == (0, 0)


def test_what_waits_leaves_in_the_background(make_client: MakeClient) -> None:
    """Nobody has to think of flushing."""
    make_client(flush_seconds=0.02).gauge("depth", 7)

    wait_for(lambda: values() == {"depth": 7})


def test_operations_tell_how_many_how_long_and_what_failed(make_client: MakeClient) -> None:
    """As a decorator, around a coroutine, and in a `with`."""
    client = make_client()

    @client.operation("charge", card="visa")
    def charge(amount: int) -> int:
        return 100 // amount

    @client.operation("ship")
    async def ship() -> str:
        return "gone"

    assert charge(2) == 50
    with pytest.raises(ZeroDivisionError):
        charge(0)
    assert asyncio.run(ship()) == "gone"
    with client.operation("count"):
        pass
    client.flush()

    found = values()
    assert found['operations_total{card="visa",operation="charge"}'] == 2
    assert found['operation_errors_total{card="visa",error="ZeroDivisionError",operation="charge"}'] == 1
    assert found['operations_total{operation="ship"}'] == found['operations_total{operation="count"}'] == 1
    assert found['operation_seconds_total{card="visa",operation="charge"}'] > 0


def test_a_large_batch_is_packed_and_split(make_client: MakeClient) -> None:
    """Backlogs after an outage are large."""
    client = make_client()
    for n in range(6_000):
        client.gauge("depth", n)

    assert client.flush()
    assert values() == {"depth": 5_999}


@pytest.mark.parametrize("status", [429, 503])
def test_what_is_refused_for_now_is_sent_later(make_client: MakeClient, flaky: Flaky, status: int) -> None:
    """A platform that restarts costs no sample."""
    client, flaky.statuses = make_client(), [status]
    client.gauge("depth", 7)

    first, second = client.flush(), client.flush()

    assert (first, second, values(), client.dropped) == (False, True, {"depth": 7}, 0)


def test_what_is_refused_for_good_is_dropped_and_counted(make_client: MakeClient) -> None:
    """A wrong token must not fill the memory of the application."""
    client = make_client(token="wrong")
    client.gauge("depth", 7)

    assert client.flush()
    assert (client.dropped, len(client._buffer)) == (1, 0)


def test_a_platform_that_is_away_costs_bounded_memory_and_no_error(token: str) -> None:
    """The application must not notice."""
    client = Client("http://127.0.0.1:1", token=token, source="shop", max_samples=10, flush_seconds=3600)
    for n in range(25):
        client.gauge("depth", n)

    assert not client.flush()
    assert (len(client._buffer), client.dropped) == (10, 15)
    client.close()


def test_samples_that_are_not_taken_are_counted(make_client: MakeClient) -> None:
    """Its author should see it."""
    client = make_client()
    client.gauge("no good name", 1)
    client.flush()

    assert client.rejected == 1


@pytest.mark.parametrize("compression", [Compression.NoCompression, Compression.Gzip])
def test_the_opentelemetry_sdk_is_heard(url: str, token: str, compression: Compression) -> None:
    """Its exporter is told the address and the token, and nothing else."""
    exporter = OTLPMetricExporter(
        f"{url}/v1/metrics", headers={"Authorization": f"Bearer {token}"}, compression=compression
    )
    provider = MeterProvider(
        [PeriodicExportingMetricReader(exporter, export_interval_millis=3_600_000)],
        Resource.create({"service.name": "shop"}),
    )
    meter = provider.get_meter("test")
    meter.create_counter("orders").add(3, {"kind": "book"})
    meter.create_histogram("took").record(0.3)

    assert provider.force_flush()
    found = {name: value for name, value in values().items() if "telemetry_sdk" not in name}
    provider.shutdown()

    orders = [value for name, value in found.items() if name.startswith("orders{")]
    assert orders == [3]
    assert any(name.startswith("took_bucket{le=") or "le=" in name for name in found)
