"""A rule rehearsed on the past does what it would have done live."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from alerts import rehearsing, services
from alerts.models import Alert, AlertRule
from subsystems.kernel.errors import Invalid
from subsystems.recursion.models import System
from subsystems.recursion.queries import root_system
from subsystems.telemetry.samples import Sample
from subsystems.telemetry.services import record
from subsystems.telemetry.store import hot_tier

NOON = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC)
HOUR = 1 / 24
pytestmark = pytest.mark.django_db
PEAKS = [(60, 120), (300, 320), (400, 700), (1500, 1560)]


@pytest.fixture
def system() -> System:
    hot_tier().clear()
    return root_system()


def value_at(second: int) -> float:
    return 20.0 if any(start <= second < end for start, end in PEAKS) else 1.0


def live(system: System, made: AlertRule, until: int) -> list[tuple[int, int | None]]:
    """Hear the peaks and evaluate each five seconds; return from when to when it fired."""
    for second in range(0, until, 5):
        at = NOON + timedelta(seconds=second)
        sample = Sample("m", at.timestamp(), value_at(second))
        record({"a": [sample]}, system_id=system.pk, now=at.timestamp())
        services.evaluate(now=at)
    alerts = Alert.objects.filter(rule=made, fired_at__isnull=False).order_by("fired_at")
    return [(seconds(a.fired_at), None if a.resolved_at is None else seconds(a.resolved_at)) for a in alerts]


def seconds(moment: datetime | str | None) -> int:
    assert moment is not None
    found = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    return round((found - NOON).total_seconds())


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({}, id="plain"),
        pytest.param({"for_seconds": 30}, id="for 30 s"),
        pytest.param({"keep_firing_seconds": 100}, id="kept for 100 s"),
    ],
)
def test_a_rehearsal_finds_what_happened(system: System, fields: dict[str, Any]) -> None:
    """The same machine over the same samples, up to one step."""
    made = services.create_rule(system, None, name="Watch", metric="m", threshold=10, cooldown_seconds=300, **fields)
    happened = live(system, made, 1700)
    told = rehearsing.rehearse(made, days=HOUR / 2, now=(NOON + timedelta(seconds=1700)).timestamp())

    found = [(seconds(each["fired_at"]), seconds(each["ended_at"])) for each in told["episodes"]]
    assert len(found) == len(happened) > 0
    for (fired, ended), (really, over) in zip(found, happened, strict=True):
        assert abs(fired - really) <= 10
        assert over is not None
        assert abs(ended - over) <= 10
    unsuppressed = Alert.objects.filter(rule=made, fired_at__isnull=False, suppressed="").count()
    assert told["notifications"] == unsuppressed
    assert told["notifications"] + sum(told["withheld"].values()) == told["fired"]


def test_what_has_no_history_is_not_made_up(system: System) -> None:
    """A rehearsal of nothing would look like a quiet rule."""
    made = services.create_rule(system, None, name="Watch", kind="health", comparison="lt", threshold=0.5)
    with pytest.raises(Invalid) as caught:
        rehearsing.rehearse(made, days=1, now=NOON.timestamp())

    assert caught.value.field == "kind"


def test_a_rehearsal_of_silence_says_that_there_was_nothing(system: System) -> None:
    """No series, no episodes."""
    made = services.create_rule(system, None, name="Watch", metric="m", threshold=10)

    told = rehearsing.rehearse(made, days=7, now=NOON.timestamp())

    assert (told["series"], told["fired"], told["notifications"]) == (0, 0, 0)
