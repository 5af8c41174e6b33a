"""Assessments from rows to the score, once per slot, with few queries."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from subsystems.health import queries, services
from subsystems.health.models import Assessment
from subsystems.messaging import live
from subsystems.messaging.models import Message, SlotRun
from subsystems.recursion.models import System
from subsystems.recursion.queries import root_system
from subsystems.s1_operations.models import CollectionCycle, Fleet, Unit
from subsystems.s5_policy import services as s5
from subsystems.s5_policy.amending import amend
from subsystems.telemetry.store import hot_tier
from tests.support.factories import make_system, make_unit

NOON = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC)
SLOT = int(NOON.timestamp())
pytestmark = pytest.mark.django_db


@pytest.fixture
def pushed(monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any) -> list[tuple[Any, ...]]:
    """Collect what open dashboards are told."""
    letters: list[tuple[Any, ...]] = []
    monkeypatch.setattr(live, "push", lambda *letter: letters.append(letter))
    return letters


@pytest.fixture
def system() -> System:
    hot_tier().clear()
    return root_system()


def populate(system: System, units: int = 2) -> None:
    """Give every subsystem something to be measured from, all of it well."""
    make_unit("host-1", kind="host", system=system, state="active", score=0.9, last_seen_at=NOON,
              health_parts={"cpu": 1.0, "memory": 0.9, "disk": 1.0})  # fmt: skip
    Unit.objects.bulk_create(
        Unit(system=system, kind="http", name=f"web-{n}", state="active", score=0.9, last_seen_at=NOON)
        for n in range(units)
    )
    CollectionCycle.objects.create(
        slot=SLOT - 5, started_at=NOON - timedelta(seconds=5), duration_ms=20, unit_count=10, answered_count=10
    )
    for slot in range(SLOT - 60, SLOT, 5):
        at = datetime.fromtimestamp(slot, tz=UTC)
        SlotRun.objects.create(job="tick", slot=slot, period_seconds=5, started_at=at, finished_at=at)
    s5.ask(system.pk, "f" * 64, asked_at=NOON - timedelta(minutes=9), within=timedelta(minutes=5))
    s5.answer(system.pk, "f" * 64, at=NOON - timedelta(minutes=8))


def test_a_system_that_works_is_normal_in_all_its_parts(system: System) -> None:
    """Every score must come from rows that really exist."""
    populate(system)

    made = services.assess(system, SLOT, now=NOON)

    assert made is not None
    scores = {name: vital["score"] for name, vital in made.subsystems.items()}
    assert scores == pytest.approx({"s1": 0.9, "s2": 1.0, "s3": 0.95, "s4": 1.0, "s5": 1.0})
    assert (made.status, made.score) == ("normal", pytest.approx(0.985))
    assert made.details["performance_indicators"]["operational_capacity"] == pytest.approx(0.27)


def test_an_empty_system_is_unknown(system: System) -> None:
    """Nothing measured is not health."""
    made = services.assess(system, SLOT, now=NOON)

    assert made is not None
    assert (made.score, made.status, made.overall_health) == (None, "unknown", None)
    assert {vital["status"] for vital in made.subsystems.values()} == {"unknown"}


@pytest.mark.parametrize("state", [Unit.State.PAUSED, Unit.State.GONE])
def test_units_that_are_not_watched_do_not_count(system: System, state: str) -> None:
    """Pausing a unit for maintenance must not hurt the score."""
    make_unit(system=system, state="active", score=0.9)
    make_unit(system=system, state=state, score=0.1)

    assert queries.measure(system, now=NOON).units.average == 0.9


def test_a_silent_unit_is_shown_and_not_averaged(system: System) -> None:
    """Its last score is history."""
    make_unit(system=system, state="active", score=0.6)
    make_unit(system=system, state="silent", score=1.0)

    units = queries.measure(system, now=NOON).units

    assert (units.count, units.known, units.silent, units.average) == (2, 1, 1, 0.6)


def test_a_foreign_fleet_that_is_not_heard_dims_s4(system: System) -> None:
    """Each fleet has an equal share, and one that was never heard is late since it was added."""
    Fleet.objects.create(system=system, name="own", own=True, connected_at=NOON)
    Fleet.objects.create(system=system, name="near", connected_at=NOON)
    Fleet.objects.create(system=system, name="far", connected_at=NOON - timedelta(hours=1))
    Fleet.objects.create(system=system, name="never", created_at=NOON - timedelta(hours=1))

    vital = queries.measure(system, now=NOON).vitals["s4"]

    assert (vital.score, vital.measures["unheard_fleets"]) == (0.5, ["far", "never"])


def test_an_alert_nobody_answered_in_time_counts_against_s5(system: System) -> None:
    """Late is not in time, and what still has time is not judged."""
    for key, minutes in {"late": 30, "never": 30, "fresh": 1}.items():
        s5.ask(system.pk, key, asked_at=NOON - timedelta(minutes=minutes), within=timedelta(minutes=5))
    s5.answer(system.pk, "late", at=NOON - timedelta(minutes=1))

    vital = queries.measure(system, now=NOON).vitals["s5"]

    assert (vital.score, vital.measures["asked"], vital.measures["settled"]) == (0.0, 3, 2)


def test_a_slot_is_assessed_once(system: System, pushed: list[Any], django_capture_on_commit_callbacks: Any) -> None:
    """Two beats or a redelivered tick must leave one row, one fact and one push."""
    with django_capture_on_commit_callbacks(execute=True):
        first, second = [services.assess(system, SLOT, now=NOON) for _ in range(2)]

    assert first is not None
    assert second is None
    assert [message.payload["assessment_id"] for message in Message.objects.order_by("number")] == [first.pk]
    assert [(kind, key) for _, kind, key, _ in pushed] == [("assessment", "main")]


def test_every_system_is_assessed_in_its_slot_whoever_comes_first(system: System) -> None:
    """The tree has many systems; a second worker finds the slot taken."""
    make_system("child", parent=system)

    made = [len(services.assess_slot(now=NOON)) for _ in range(2)]

    assert made == [2, 0]


def test_a_system_without_units_is_not_blamed_for_those_of_others(system: System) -> None:
    """Whoever divides an organisation begins with empty parts: nothing of them is late."""
    populate(system)
    CollectionCycle.objects.update(answered_count=0)
    empty = make_system("child", parent=system)

    found = queries.measure(empty, now=NOON).vitals

    assert queries.measure(system, now=NOON).vitals["s3"].measures["collection_coverage"] == 0.0
    assert {each.score for each in found.values()} == {None}


def test_the_first_collection_does_not_wait_for_the_slot(system: System) -> None:
    """A newcomer sees a score within seconds, and the slot still gets its own assessment."""
    early = services.assess_early(now=NOON + timedelta(seconds=3))
    again = services.assess_early(now=NOON + timedelta(seconds=8))
    regular = services.assess_slot(now=NOON + timedelta(seconds=30))

    assert (len(early), len(again), len(regular)) == (1, 0, 1)
    assert Assessment.objects.count() == 2


def test_the_fact_tells_where_the_score_came_from(system: System) -> None:
    """Those above watch changes."""
    populate(system)
    services.assess(system, SLOT - 30, now=NOON)
    services.assess(system, SLOT, now=NOON)

    facts = [message.payload["previous_status"] for message in Message.objects.order_by("number")]

    assert facts == ["unknown", "normal"]


def test_policy_sets_weights_and_thresholds(system: System) -> None:
    """Thresholds are rows that S5 can change without a restart."""
    populate(system)
    amend(system, "viability", {"viability_threshold": 0.99, "weight_s2": 0.0}, by=None, reason="a test")

    made = services.assess(system, SLOT, now=NOON)

    assert made is not None
    assert (made.status, made.parts[1]["contribution"]) == ("warning", 0.0)


@pytest.mark.parametrize("units", [2, 200])
def test_the_number_of_queries_does_not_grow_with_the_units(system: System, units: int) -> None:
    """A thousand units must not make an assessment slow."""
    populate(system, units=units)

    with CaptureQueriesContext(
        connection,
    ) as captured:
        services.assess(system, SLOT, now=NOON)

    assert len(captured) <= 60  # the scores and their proofs among them


def test_history_is_kept_for_seven_days(system: System) -> None:
    """Retention is documented (002-48)."""
    for days in (6, 8):
        services.assess(system, SLOT - days * 86400, now=NOON - timedelta(days=days))

    assert services.forget_history(now=NOON) == 1


def test_viability_before_the_first_assessment_is_unknown(system: System) -> None:
    """The first page may come before the first score."""
    body = queries.viability_body(system)

    assert (body["score"], body["status"], body["assessed_at"]) == (None, "unknown", None)
    assert [part["subsystem"] for part in body["parts"]] == ["s1", "s2", "s3", "s4", "s5", "overall"]


def test_the_body_has_what_the_contract_promises(system: System) -> None:
    """Clients rely on these names."""
    populate(system)
    services.assess(system, SLOT, now=NOON)

    body = queries.viability_body(system)

    promised = {"system", "score", "status", "parts", "weakest_link", "geometric", "structural", "assessed_at"}
    assert promised <= set(body)
    assert (body["assessed_at"], body["score_percent"]) == ("2026-11-20T12:00:00Z", pytest.approx(98.5))
