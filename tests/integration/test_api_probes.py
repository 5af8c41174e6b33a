"""`/health` and `/ready`, as an orchestrator asks them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.recorder import MigrationRecorder
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from subsystems.recursion.queries import root_system
from subsystems.s1_operations.models import CollectionCycle
from tests.support.factories import bearer, make_token
from vsm_site import probes
from vsm_site.celery import app
from vsm_site.migrating import unapplied

CHECKS = {"database", "migrations", "broker", "channel_layer", "collection"}


@pytest.fixture(autouse=True)
def _a_fresh_look() -> None:
    probes.look.forget()


def collected(seconds_ago: float) -> None:
    at = timezone.now() - timedelta(seconds=seconds_ago)
    CollectionCycle.objects.create(slot=int(at.timestamp()), started_at=at)


def test_health_asks_nobody(client: Client) -> None:
    """Restarting the process because the database is down would only make things worse. (No database mark here.)"""
    answer = client.get("/health")

    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


@pytest.mark.django_db
def test_a_platform_that_works_is_ready(client: Client) -> None:
    """Each check by name."""
    collected(1)

    answer = client.get("/ready")

    assert (answer.status_code, answer.json()) == (200, {"status": "ready", "checks": dict.fromkeys(CHECKS, "ok")})


@pytest.mark.django_db
@pytest.mark.parametrize("seconds_ago", [16, 3600])
def test_a_loop_that_stands_still_is_not_ready(client: Client, seconds_ago: float) -> None:
    """Pages that show old numbers as if they were new are the worst failure of a monitor."""
    collected(seconds_ago)

    answer = client.get("/ready")

    assert answer.status_code == 503
    assert answer.json()["checks"]["collection"] == "failed"


@pytest.mark.django_db
def test_a_platform_that_never_collected_is_not_ready(client: Client) -> None:
    """At its start it has nothing to show yet."""
    assert client.get("/ready").json()["checks"]["collection"] == "failed"


@pytest.mark.django_db
def test_a_broker_that_is_down_is_told_without_its_address(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """The address holds a password, and the reason is for people who are known."""
    collected(1)
    root_system()
    down = app.connection_for_write("redis://user:hunter2@127.0.0.1:1/0")
    monkeypatch.setattr("celery.app.base.Celery.connection_for_write", lambda *_, **__: down)

    stranger = client.get("/ready")
    probes.look.forget()
    known = client.get("/ready", headers=bearer(make_token(["read"])[1]))

    assert stranger.status_code == known.status_code == 503
    assert stranger.json()["checks"]["broker"] == "failed"
    assert "reasons" not in stranger.json()
    assert set(known.json()["reasons"]) == {"broker"}
    assert "hunter2" not in known.content.decode()


@pytest.mark.parametrize(
    "text",
    ["Cannot reach amqp://user:hunter2@broker:5672//: refused", "redis://:hunter2@host/0", "AMQPS://a:hunter2@b"],
)
def test_reasons_carry_no_address(text: str) -> None:
    """Libraries like to repeat the whole URL in their errors."""
    assert "hunter2" not in probes.scrubbed(OSError(text))


@pytest.mark.django_db
def test_asking_often_costs_nothing(client: Client, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    """Everybody may ask, so nobody may make work by asking."""
    collected(1)
    client.get("/ready")

    with django_assert_num_queries(0):
        answers: list[Any] = [client.get("/ready") for _ in range(20)]

    assert {answer.status_code for answer in answers} == {200}


@pytest.mark.django_db
def test_no_migration_waits_where_django_says_that_none_does() -> None:
    """The names on disk are compared with those in the database, without Django's own, costly, answer."""
    executor = MigrationExecutor(connection)

    assert executor.migration_plan(executor.loader.graph.leaf_nodes()) == unapplied() == []


@pytest.mark.django_db
def test_a_migration_that_is_missing_is_told(client: Client) -> None:
    """New code on an old database."""
    collected(1)
    MigrationRecorder(connection).record_unapplied("recursion", "0001_initial")

    assert client.get("/ready").json()["checks"]["migrations"] == "failed"
