"""How each part of the platform does by itself."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from subsystems.event_log.models import HandlerPosition
from subsystems.kernel.errors import TransientError
from subsystems.recursion.queries import root_system
from subsystems.telemetry.store import hot_tier
from tests.support.factories import bearer, make_token
from vsm_site import components, probes

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def ready(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether the core is ready is tested with its probes."""
    monkeypatch.setattr(probes, "readiness", lambda: {"database": "", "broker": ""})


def test_the_whole_is_as_well_as_its_worst_part(client: Client) -> None:
    """Requirement 004-43: overall, components, timestamp."""
    root_system()
    HandlerPosition.objects.create(name="counts", failures=2)

    body = client.get("/api/v1/components/", headers=bearer(make_token(["read"])[1])).json()

    assert (body["overall"], set(body)) == ("degraded", {"overall", "components", "timestamp"})
    assert body["components"]["event_processing"]["reason"] == "Handlers of events fail: counts."
    assert body["components"]["core"]["status"] == "healthy"


def test_strangers_learn_nothing(client: Client) -> None:
    """Not even that something is ill."""
    assert client.get("/api/v1/components/").status_code == 401


def test_a_store_that_is_away_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The others still tell how they do."""

    def away(*_: Any) -> int:
        raise TransientError("away")

    monkeypatch.setattr(type(hot_tier()), "size", away)

    found = components.health_check(now=timezone.now())

    assert (found["overall"], found["components"]["telemetry"]["status"]) == ("unhealthy", "unhealthy")
    assert found["components"]["rate_limiter"]["status"] == "healthy"
