"""How each part of the platform does by itself."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from subsystems.algedonic.services import raise_signal
from subsystems.event_log import services as event_log
from subsystems.event_log.models import Event, HandlerPosition
from subsystems.event_log.services import append
from subsystems.event_log.streams import Stream
from subsystems.kernel.errors import TransientError
from subsystems.kernel.severity import Severity
from subsystems.messaging import limits
from subsystems.messaging.channels import Channel, Party
from subsystems.recursion.queries import root_system
from subsystems.telemetry.samples import Sample
from subsystems.telemetry.services import record
from subsystems.telemetry.store import hot_tier
from tests.support.factories import bearer, make_token, make_user
from vsm_site import beat, components, probes

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


# --- Phases and the central configuration (requirements 004-41, 004-42) -----------------------------------------------
def test_the_configuration_is_in_one_place(client: Client, settings: Any) -> None:
    """Documented names, values, defaults, and the variable that changes each; on a page, too."""
    settings.RATE_LIMITING = False
    root_system()
    client.force_login(make_user(superuser=True))

    told = client.get("/api/v1/configuration/").json()
    page = client.get("/dashboard/configuration/").content.decode()

    assert told["configuration"]["integration"] == {
        "message_format_version": "1.0", "telemetry_batch_size": 100, "rate_limit_bypass_critical": True,
        "pattern_detection_sensitivity": 0.8,
    }  # fmt: skip
    [limiter] = [row for row in told["settings"] if row["part"] == "rate_limiter"]
    assert (limiter["value"], limiter["default"], limiter["variable"]) == (False, True, "VSM_RATE_LIMITING")
    assert "VSM_EVENT_PROCESSING" in page


@pytest.mark.parametrize(
    ("switch", "part", "unsent"),
    [
        pytest.param("TELEMETRY", "telemetry", "telemetry.roll_up", id="phase 2"),
        pytest.param("RATE_LIMITING", "rate_limiter", None, id="phase 3"),
        pytest.param("EVENT_PROCESSING", "event_processing", "s4_intelligence.patterns", id="phase 4"),
    ],
)
def test_each_phase_is_switched_off_alone(settings: Any, switch: str, part: str, unsent: str | None) -> None:
    """What is off is no illness, its jobs are not sent, and the core still takes and hands out a signal."""
    setattr(settings, switch, False)
    system = root_system()

    found = components.health_check(now=timezone.now())
    signal = raise_signal(type="pain", source="till", severity="critical", system_id=system.pk)
    event_log.tend(timezone.now())
    outcome = record({"till": [Sample("cpu", timezone.now().timestamp(), 0.5)]}, system_id=system.pk)

    assert (found["overall"], found["components"][part]["status"]) == ("healthy", "off")
    assert signal is not None
    assert Event.objects.filter(type="AlgedonicSignalEmitted").exists()
    assert outcome.accepted == (0 if switch == "TELEMETRY" else 1)
    assert [each.code for each in outcome.rejected] == (["telemetry_off"] if switch == "TELEMETRY" else [])
    assert unsent is None or beat.has_work(unsent, now=timezone.now()) is False
    assert beat.has_work("s1_operations.collect", now=timezone.now())


def test_no_handler_hears_while_event_processing_is_off(settings: Any) -> None:
    """They stay where they are, and go on from there."""
    event_log.project()
    append(Stream.OPERATIONS, "order.placed", {})
    settings.EVENT_PROCESSING = False
    event_log.tend(timezone.now())
    before = HandlerPosition.objects.get(name="s4.patterns").position
    settings.EVENT_PROCESSING = True
    event_log.tend(timezone.now())

    assert HandlerPosition.objects.get(name="s4.patterns").position > before


def test_critical_pain_is_limited_only_where_somebody_says_so(settings: Any) -> None:
    """The documented default lets it pass; without that it is held to the limit of high pain."""
    always = limits.Policy().buckets(Channel.ALGEDONIC, Party.S1, Severity.CRITICAL, None)
    settings.RATE_LIMIT_BYPASS_CRITICAL = False
    held = limits.Policy().buckets(Channel.ALGEDONIC, Party.S1, Severity.CRITICAL, None)

    assert always == ()
    assert (held[0].layer, held[0].limit.limit) == ("severity", 10)
