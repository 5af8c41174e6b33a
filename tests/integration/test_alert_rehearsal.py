"""A rule rehearsed on the past does what it would have done live."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from alerts import rehearsing, services
from alerts.models import Alert, AlertRule
from subsystems.algedonic.models import Signal
from subsystems.event_log.services import append
from subsystems.event_log.streams import Stream
from subsystems.health import services as health
from subsystems.health.models import Assessment
from subsystems.recursion.models import System
from subsystems.recursion.queries import root_system
from subsystems.s1_operations.models import Unit
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
    assert told["told"] == unsuppressed
    assert told["told"] + sum(told["withheld"].values()) == told["fired"]


World = Callable[[System, int, datetime, bool], None]


def counters(system: System, second: int, at: datetime, bad: bool) -> None:
    """Ten requests in five seconds, half of them errors while it is bad."""
    _counted["all"] += 10
    _counted["bad"] += 5 * bad
    sample = [Sample(name, at.timestamp(), _counted[name]) for name in ("all", "bad")]
    record({"a": sample}, system_id=system.pk, now=at.timestamp())


_counted = {"all": 0.0, "bad": 0.0}


def silence(system: System, second: int, at: datetime, bad: bool) -> None:
    if not bad:
        record({"a": [Sample("m", at.timestamp(), 1.0)]}, system_id=system.pk, now=at.timestamp())


def beside(system: System, second: int, at: datetime, bad: bool) -> None:
    samples = [Sample("m", at.timestamp(), 5.0, {"tier": "web"}), Sample("load", at.timestamp(), 9.0 if bad else 1.0)]
    record({"a": samples}, system_id=system.pk, now=at.timestamp())


def unit_scores(system: System, second: int, at: datetime, bad: bool) -> None:
    Unit.objects.update_or_create(system=system, kind="host", name="a", defaults={"score": 0.2 if bad else 0.9})
    health.keep_unit_scores(at)


def assessments(system: System, second: int, at: datetime, bad: bool) -> None:
    score = 0.3 if bad else 0.9
    Assessment.objects.create(system=system, slot=second, assessed_at=at, score=score, status="normal")


def signals(system: System, second: int, at: datetime, bad: bool) -> None:
    if bad:
        said = {"severity": "low", "intensity": 0.2, "source": "x", "expires_at": at + timedelta(hours=1)}
        Signal.objects.create(system=system, type="pain", raised_at=at, **said)


def events(system: System, second: int, at: datetime, bad: bool) -> None:
    if bad:
        append(Stream.OPERATIONS, "it.happened", {}, system_id=system.pk, at=at)


KINDS: list[Any] = [
    pytest.param(
        counters, {"kind": "burn_rate", "metric": "bad", "threshold": 1, "params": {
            "total": "all", "objective": 0.9, "windows": [[120, 60, 2.0]]}}, id="burn rate",
    ),
    pytest.param(silence, {"kind": "absence", "metric": "m", "threshold": 20}, id="absence"),
    pytest.param(
        beside, {"kind": "expression", "metric": "m", "threshold": 0.5, "params": {
            "expression": 'metrics["load"] > 4.0 && labels["tier"] == "web"', "metrics": ["load"]}}, id="expression",
    ),
    pytest.param(
        beside, {"kind": "expression", "metric": "load", "window_seconds": 30, "threshold": 4, "params": {
            "expression": "max - min"}}, id="expression over a window",
    ),
    pytest.param(unit_scores, {"kind": "health", "comparison": "lt", "threshold": 0.5}, id="health"),
    pytest.param(assessments, {"kind": "viability", "comparison": "lt", "threshold": 0.5}, id="viability"),
    pytest.param(signals, {"kind": "signals", "window_seconds": 60, "threshold": 2}, id="signals"),
    pytest.param(
        events, {"kind": "events", "window_seconds": 60, "threshold": 2, "params": {"type": "it.happened"}},
        id="events",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("world", "fields"), KINDS)
def test_every_kind_is_rehearsed_as_it_fires(system: System, world: World, fields: dict[str, Any]) -> None:
    """What is kept of each kind is enough to tell, within a look, when it would have fired and for how long."""
    _counted.update(all=0.0, bad=0.0)
    made = services.create_rule(system, None, name="Watch", **fields)
    for second in range(0, 600, 5):
        at = NOON + timedelta(seconds=second)
        world(system, second, at, any(start <= second < end for start, end in [(100, 200), (350, 450)]))
        services.evaluate(now=at)
    alerts = Alert.objects.filter(rule=made, fired_at__isnull=False).order_by("fired_at")
    happened = [(seconds(each.fired_at), seconds(each.resolved_at)) for each in alerts]

    told = rehearsing.rehearse(made, days=600 / 86_400, now=(NOON + timedelta(seconds=600)).timestamp())

    found = [(seconds(each["fired_at"]), seconds(each["ended_at"])) for each in told["episodes"]]
    assert len(found) == len(happened) > 0
    assert np.abs(np.array(found) - np.array(happened)).max() <= made.interval_seconds + 5


def test_a_rehearsal_counts_messages_after_grouping(system: System) -> None:
    """Three hosts that fail together are one message, and their end is another."""
    made = services.create_rule(system, None, name="Watch", metric="m", threshold=10, cooldown_seconds=0)
    for second in range(0, 1800, 5):
        at = (NOON + timedelta(seconds=second)).timestamp()
        batch = {name: [Sample("m", at, value_at(second) if second < 200 else 1.0)] for name in ("a", "b", "c")}
        record(batch, system_id=system.pk, now=at)

    told = rehearsing.rehearse(made, days=HOUR / 2, now=(NOON + timedelta(seconds=1800)).timestamp())

    assert (told["fired"], told["told"], told["notifications"]) == (3, 3, 2)
    assert told["reasons"] == {"first": 1, "over": 1}


def test_a_rehearsal_of_silence_says_that_there_was_nothing(system: System) -> None:
    """No series, no episodes."""
    made = services.create_rule(system, None, name="Watch", metric="m", threshold=10)

    told = rehearsing.rehearse(made, days=7, now=NOON.timestamp())

    assert (told["series"], told["fired"], told["told"], told["notifications"]) == (0, 0, 0, 0)
