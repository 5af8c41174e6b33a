"""What the platform itself feels: viability lost and won back, units that fall silent."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from subsystems.algedonic.models import Signal
from subsystems.health import services as health
from subsystems.health.models import Assessment
from subsystems.messaging import fast_lane
from subsystems.recursion.models import System
from subsystems.recursion.queries import root_system
from subsystems.s1_operations import services as s1
from subsystems.s1_operations.models import Unit
from tests.support.factories import make_unit

pytestmark = pytest.mark.django_db
SCORES = {"normal": 0.9, "warning": 0.6, "critical": 0.3, "unknown": None}


@pytest.fixture(autouse=True)
def _no_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fast_lane.Lane, "offer", lambda *_: None)


@pytest.fixture
def system() -> System:
    return root_system()


def live_through(system: System, monkeypatch: pytest.MonkeyPatch, *statuses: str) -> None:
    """Let one assessment after another find these states."""
    now = timezone.now()
    for number, status in enumerate(statuses):
        made = Assessment(
            system=system, slot=number * 30, assessed_at=now, score=SCORES[status], status=status, subsystems={}
        )
        monkeypatch.setattr(health, "_judged", lambda *_, made=made: (made, {}))
        assert health.assess(system, number * 30, now=now) is made


def felt() -> list[tuple[str, str]]:
    return list(Signal.objects.order_by("raised_at", "pk").values_list("type", "severity"))


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        pytest.param(["normal", "critical", "critical"], [("pain", "critical")], id="once per change"),
        pytest.param(["normal", "warning"], [("pain", "high")], id="a warning is high"),
        pytest.param(["critical"], [("pain", "critical")], id="from the first assessment on"),
        pytest.param(["unknown", "normal", "unknown"], [], id="unknown is no news"),
        pytest.param(["warning", "unknown", "warning"], [("pain", "high")], id="also between two of the same"),
    ],
)
def test_lost_viability_hurts_once(
    system: System, monkeypatch: pytest.MonkeyPatch, statuses: list[str], expected: list[tuple[str, str]]
) -> None:
    """Requirement 002-6."""
    live_through(system, monkeypatch, *statuses)

    assert felt() == expected


def test_viability_won_back_is_pleasure_and_ends_the_pain(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody must be reminded of what has passed."""
    live_through(system, monkeypatch, "critical", "normal")

    assert sorted(Signal.objects.values_list("type", "severity", "state")) == [
        ("pain", "critical", "resolved"),
        ("pleasure", "critical", "received"),
    ]


def test_a_unit_that_falls_silent_hurts_once(system: System) -> None:
    """Two who see the same silence are one pain (medium: to S3)."""
    unit = make_unit("press", state=Unit.State.ACTIVE)

    for _ in range(2):
        s1.silence([unit])

    signal = Signal.objects.get()
    assert (signal.source, signal.severity, signal.data["count"]) == ("press", "medium", 1)


def test_many_units_at_once_are_one_pain(system: System) -> None:
    """A switch that fails takes a hall with it: one signal names them, in a constant number of queries."""
    s1.silence([make_unit(state=Unit.State.ACTIVE) for _ in range(40)])

    signal = Signal.objects.get()
    assert (signal.source, signal.data["count"], len(signal.data["units"])) == ("silence", 40, 40)
    assert "and 35 more" in signal.description


def test_a_goodbye_is_only_written_down(system: System) -> None:
    """A worker that was stopped on purpose is no emergency."""
    s1.silence([make_unit(state=Unit.State.ACTIVE)], why="the worker shut down")

    assert Signal.objects.get().severity == "low"


def test_a_limit_does_not_keep_units_from_being_marked(system: System) -> None:
    """The seventh silence within a minute finds no room on the channel, and is a silence all the same."""
    units = [make_unit(f"press-{number}", state=Unit.State.ACTIVE) for number in range(7)]

    silent = [len(s1.silence([unit])) for unit in units]

    assert silent == [1] * 7
    assert Signal.objects.filter(source__startswith="press").count() == 5


def test_the_pain_of_silence_ends_when_all_are_heard(system: System) -> None:
    """Not before the last."""
    units = [make_unit(state=Unit.State.ACTIVE) for _ in range(2)]
    s1.silence(units)
    later: dict[str, Any] = {"now": timezone.now() + timedelta(seconds=5)}

    ended = [s1.settle_silences(**later)]
    for unit in units:
        Unit.objects.filter(pk=unit.pk).update(state=Unit.State.ACTIVE)
        ended.append(s1.settle_silences(**later))

    assert ended == [0, 0, 1]
    assert Signal.objects.get().state == "resolved"
