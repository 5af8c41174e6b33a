"""A worker whose broker is away: soon back, and not a line for each try."""

from __future__ import annotations

import logging

import pytest
from kombu import Connection

from vsm_site.celery import app
from vsm_site.consumer import LONGEST_WAIT_SECONDS, Consumer


class Tries:
    """A connection that stands at the fourth try; it notes how long it would have waited before each."""

    def __init__(self) -> None:
        self.waits: list[float] = []

    def as_uri(self) -> str:
        return "amqp://away//"

    def ensure_connection(self, tell: object, most: int | None, **options: float) -> Tries:
        assert callable(tell)
        for n in range(3):
            wait = min(options["interval_start"] + n * options["interval_step"], options["interval_max"])
            self.waits.append(wait)
            tell(ConnectionRefusedError("nobody"), wait)
        return self


def test_a_worker_comes_back_soon_and_says_once_that_the_broker_was_away(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Celery itself waits two seconds longer each time, and logs each try of an outage that may last the night."""
    away = Tries()
    consumer = Consumer.__new__(Consumer)
    consumer.app, consumer.first_connection_attempt = app, False
    monkeypatch.setattr(logging.getLogger("celery"), "propagate", True)

    with caplog.at_level(logging.ERROR):
        assert consumer.ensure_connected(away) is away

    assert away.waits == [0.5, 1.0, 1.5]
    assert max(away.waits) <= LONGEST_WAIT_SECONDS
    assert len([record for record in caplog.records if "nobody" in record.getMessage()]) == 1


def test_the_arguments_are_those_that_kombu_takes() -> None:
    """A new name in another version would go unnoticed until the broker is away."""
    names = Connection._ensure_connection.__code__.co_varnames

    assert {"interval_start", "interval_step", "interval_max"} <= set(names)
