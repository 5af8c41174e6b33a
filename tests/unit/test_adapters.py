"""What adapters conclude from what they measured, and how plug-ins are let in."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from importlib.metadata import EntryPoint
from ipaddress import ip_address
from typing import Any, ClassVar

import pytest
from pydantic import ValidationError

from subsystems.s1_operations import adapters
from subsystems.s1_operations.adapters import agent, base, celery_fleet, host, http
from subsystems.s1_operations.adapters.celery_link import belongs, told_by_management


class TideAdapter:
    """A plug-in as somebody else would write it."""

    kind: ClassVar[str] = "tide"
    title: ClassVar[str] = "Tide gauge"
    Config: ClassVar[type[base.Config]] = base.Config

    async def collect(self, units: Sequence[base.UnitRef], context: base.Context) -> list[base.Reading]:
        return [base.Reading(unit.id, {"level_metres": 1.5}) for unit in units]


class Half:
    kind = "half"


class HostAgain(TideAdapter):
    kind = "host"


@pytest.fixture
def entry_points(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Let a test say which plug-ins are installed."""

    def install(*names: str) -> None:
        points = [EntryPoint(name, f"{__name__}:{name}", adapters.ENTRY_POINTS) for name in names]
        monkeypatch.setattr(adapters, "entry_points", lambda group: points)
        adapters.registry.cache_clear()

    yield install
    adapters.registry.cache_clear()


def test_an_installed_adapter_is_offered_beside_the_built_in_ones(entry_points: Any) -> None:
    """A new kind of unit needs no change of the platform."""
    entry_points("TideAdapter")

    assert adapters.registry().keys() == {
        "host",
        "celery_worker",
        "celery_queue",
        "http",
        "prometheus",
        "agent",
        "tide",
    }


@pytest.mark.parametrize("name", ["Missing", "Half", "HostAgain"])
def test_a_broken_plug_in_is_named_and_left_out(entry_points: Any, name: str, caplog: pytest.LogCaptureFixture) -> None:
    """One bad package must not take the collection of everything else with it."""
    with caplog.at_level(logging.ERROR):
        entry_points(name, "TideAdapter")
        offered = adapters.registry()

    assert "tide" in offered
    assert len(offered) == len(adapters.BUILT_IN) + 1
    assert name in caplog.text


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.216.34", True),
        ("2606:2800:220:1::1", True),
        ("127.0.0.1", False),
        ("10.0.0.8", False),
        ("169.254.169.254", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("::1", False),
        ("fd00::1", False),
        ("::ffff:127.0.0.1", False),
        ("64:ff9b::7f00:1", False),
        ("64:ff9b::5db8:d822", True),
    ],
)
def test_only_addresses_of_the_open_internet_are_public(address: str, public: bool) -> None:
    """A unit's address must not become a way into our own network (libraries 4.3)."""
    assert http.is_public(ip_address(address)) is public


@pytest.mark.parametrize(
    ("allow", "allowed"),
    [
        pytest.param([], False, id="nothing"),
        pytest.param(["intranet.example"], True, id="the name"),
        pytest.param(["INTRANET.example"], True, id="the name in other letters"),
        pytest.param(["10.0.0.0/8"], True, id="the network"),
        pytest.param(["10.0.0.8"], True, id="the address"),
        pytest.param(["10.0.0.9", "other.example"], False, id="others"),
    ],
)
def test_an_inside_address_needs_permission(allow: list[str], allowed: bool) -> None:
    """By name or by network."""
    assert http.is_allowed("intranet.example", ip_address("10.0.0.8"), allow) is allowed


@pytest.mark.parametrize(
    "config",
    [
        pytest.param({}, id="no address"),
        pytest.param({"url": "ftp://example.com"}, id="another protocol"),
        pytest.param({"url": "https://ops:pw@example.com/"}, id="credentials, which would be shown"),
        pytest.param({"url": "https://example.com/", "expected": 200}, id="an unknown name"),
        pytest.param({"url": "https://example.com/", "expect_status": 42}, id="no status"),
    ],
)
def test_a_http_unit_that_cannot_work_is_refused_at_the_door(config: dict[str, Any]) -> None:
    """Not at each cycle, where nobody looks."""
    with pytest.raises(ValidationError):
        http.HttpConfig.model_validate(config)


@pytest.mark.parametrize(
    ("status", "expected", "up"),
    [(200, None, True), (302, None, True), (404, None, False), (503, None, False), (401, 401, True), (200, 401, False)],
)
def test_a_service_is_up_when_it_answers_as_expected(status: int, expected: int | None, up: bool) -> None:
    """A redirect is an answer; an expected 401 proves that a login works."""
    assert http.is_up(status, expected) is up


def test_rates_come_from_two_readings() -> None:
    """Half of the ticks busy, a kilobyte a second out."""
    before = host.Counters(at=100.0, busy=10.0, total=100.0, sent=0, received=500)
    after = host.Counters(at=105.0, busy=15.0, total=110.0, sent=5_000, received=500)

    assert host.rates(before, after) == {
        "cpu_ratio": 0.5,
        "net_sent_bytes_per_second": 1_000.0,
        "net_received_bytes_per_second": 0.0,
    }


def test_counters_that_were_reset_tell_nothing() -> None:
    """A network driver that restarts must not show as negative traffic."""
    before = host.Counters(at=100.0, busy=10.0, total=100.0, sent=9_000, received=500)
    after = host.Counters(at=105.0, busy=10.0, total=100.0, sent=0, received=0)

    assert host.rates(before, after) == {}


def test_what_was_not_measured_is_unknown_not_healthy() -> None:
    """The first cycle has no difference to take a CPU load from."""
    parts = host.health_parts({"memory_ratio": 0.5, "disk_ratio": 0.915})

    assert parts["cpu"] is None
    assert parts["memory"] == 1.0
    assert parts["disk"] == pytest.approx(0.5)


WORKER = {
    "stats": {"pool": {"max-concurrency": 2}, "total": {"a": 3, "b": 4}, "rusage": {"maxrss": 10}},
    "active": [{}, {}],
    "reserved": [{}] * 8,
}


def test_a_workers_answers_become_metrics() -> None:
    """As inspect gives them."""
    assert celery_fleet.worker_metrics(WORKER) == {
        "worker_up": 1.0,
        "pool_size": 2.0,
        "processed_total": 7.0,
        "memory_bytes": 10_240.0,
        "active": 2.0,
        "reserved": 8.0,
    }


def test_a_worker_that_answered_only_one_question_has_only_those_metrics() -> None:
    """Late answers leave gaps, not noughts."""
    assert celery_fleet.worker_metrics({"stats": {"rusage": "N/A"}}) == {"worker_up": 1.0}


def test_a_default_backlog_is_healthy_and_task_health_is_its_own() -> None:
    """Five per slot is what prefetching makes; task health once returned memory health (2-32)."""
    busy = {"pool_size": 2.0, "active": 2.0, "reserved": 8.0}
    parts = celery_fleet.worker_parts(busy, memory_ratio=0.7, task_ratio=None)
    failing = celery_fleet.worker_parts({}, memory_ratio=None, task_ratio=0.25)

    assert parts == {"memory": pytest.approx(0.5), "queue": 1.0, "task": 1.0}
    assert failing == {"memory": None, "queue": None, "task": 0.25}


@pytest.mark.parametrize(
    ("metrics", "parts"),
    [
        pytest.param({"ready": 0.0, "consumers": 0.0}, {"queue": 1.0, "consumers": None}, id="idle and alone"),
        pytest.param({"ready": 5.0, "consumers": 0.0}, {"queue": 1.0, "consumers": 0.0}, id="work waits, alone"),
        pytest.param({"ready": 5_500.0, "consumers": 2.0}, {"queue": 0.5, "consumers": 1.0}, id="half full"),
        pytest.param({}, {"queue": None, "consumers": None}, id="nothing known"),
    ],
)
def test_a_queues_health(metrics: dict[str, float], parts: dict[str, float | None]) -> None:
    """Backlog and whether anybody works on it."""
    assert celery_fleet.queue_parts(metrics, celery_fleet.QueueConfig()) == parts


def fleet(*, own: bool = False, workers: frozenset[str] = frozenset()) -> base.FleetRef:
    ours = frozenset({"vsm.default.v1", "vsm.collect.v1"})
    return base.FleetRef(
        1,
        "f",
        "amqp://h//",
        own=own,
        workers=workers,
        queues=tuple(ours) if own else (),
        foreign_queues=frozenset() if own else ours,
    )


def reading_from(*queues: str) -> dict[str, Any]:
    return {"active_queues": [{"name": queue} for queue in queues]}


def test_applications_that_share_a_broker_are_told_apart() -> None:
    """Every application on a virtual host hears every question, ours among them."""
    assert belongs("w", reading_from("orders"), fleet())
    assert not belongs("w", reading_from("vsm.default.v1"), fleet())
    assert belongs("w", reading_from("vsm.default.v1"), fleet(own=True))
    assert not belongs("w", reading_from("orders"), fleet(own=True))


def test_a_worker_that_did_not_say_what_it_reads_stays_where_it_was() -> None:
    """Its answer came late; that makes it nobody else's."""
    assert belongs("w", {}, fleet(workers=frozenset({"w"})))
    assert not belongs("w", {}, fleet())


def test_the_management_api_adds_only_what_it_tells() -> None:
    """Most messages carry no time, so that the age of the oldest is rarely known."""
    rows = [
        {"name": "orders", "messages_unacknowledged": 3, "head_message_timestamp": 90},
        {"name": "mails", "messages_unacknowledged": 0, "head_message_timestamp": None},
        {"name": "other"},
    ]

    assert told_by_management(rows, {"orders", "mails"}, now=100.0).metrics == {
        "orders": {"unacked": 3.0, "oldest_age_seconds": 10.0},
        "mails": {"unacked": 0.0},
    }


def test_the_management_api_tells_rates_and_priorities() -> None:
    """As RabbitMQ writes them; a queue without priorities has none."""
    stats = {"publish_details": {"rate": 2.5}, "deliver_get_details": {"rate": 4.0}, "ack_details": {"rate": 3.0}}
    rows = [
        {"name": "orders", "message_stats": stats, "backing_queue_status": {"priority_lengths": {"0": 3, "9": 1}}},
        {"name": "mails", "backing_queue_status": {"mode": "default"}},
    ]

    told = told_by_management(rows, {"orders", "mails"}, now=100.0)

    assert told.metrics["orders"] == {"published_rate": 2.5, "delivered_rate": 4.0}
    assert (told.levels, told.metrics["mails"]) == ({"orders": {0: 3.0, 9: 1.0}}, {})


def test_an_agents_health_is_what_it_pushed_or_only_that_it_speaks() -> None:
    """Names that every agent uses mean the same here as for a host."""
    assert agent.health_parts({"orders": 5.0}) == {"heard": 1.0}
    assert agent.health_parts({"cpu_ratio": 0.2, "memory_ratio": 0.89}) == {"cpu": 1.0, "memory": pytest.approx(0.5)}


def test_a_fleets_address_does_not_show_in_a_traceback() -> None:
    """Dataclasses print themselves in logs and error reports."""
    assert "pw" not in repr(base.FleetRef(1, "f", "amqp://ops:pw@h//"))
