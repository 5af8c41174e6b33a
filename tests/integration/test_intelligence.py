"""What S4 finds and foretells, from samples to rows, pages and the API."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from subsystems.event_log.models import PendingEvent
from subsystems.fleets.models import WorkerState
from subsystems.kernel.errors import Refused
from subsystems.recursion.models import System
from subsystems.recursion.queries import root_system
from subsystems.s1_operations.models import Fleet, Unit
from subsystems.s3_control import recommending
from subsystems.s3_control.models import Action, Recommendation
from subsystems.s4_intelligence import projecting, queries, services, threats
from subsystems.s4_intelligence.capacity import Plan
from subsystems.s4_intelligence.models import Finding, Forecast, Threat
from subsystems.s4_intelligence.threats import Threat as Threat_
from subsystems.s4_intelligence.watched import DAYS, HOUR
from subsystems.telemetry.models import Series
from subsystems.telemetry.samples import Sample
from subsystems.telemetry.services import record
from subsystems.telemetry.store import hot_tier
from tests.integration.test_api_steering import make_fleet
from tests.support.factories import bearer, make_system, make_token, make_user

pytestmark = pytest.mark.django_db
SLOT = 1_790_000_400  # a multiple of five minutes, and of an hour
NOW = datetime.fromtimestamp(SLOT, UTC)


@pytest.fixture(autouse=True)
def _empty_tier() -> None:
    hot_tier().clear()


def told(
    system: System, source: str, metric: str, values: np.ndarray, *, until: float = SLOT, step: float = 10
) -> None:
    """Record *values*, the last one just before *until*."""
    at = until - step * np.arange(len(values), 0, -1)
    samples = [Sample(metric, float(moment), float(value)) for moment, value in zip(at, values, strict=True)]
    record({source: samples}, system_id=system.pk, now=until)


def noise(n: int = 360) -> np.ndarray:
    return np.random.default_rng(4).normal(50, 1, n)


def test_a_spike_opens_one_finding_and_ends_by_itself() -> None:
    """It is told once in the event log, however long it lasts and however often the slot is looked at."""
    system, values = root_system(), noise()
    values[-3:] = 90
    told(system, "shop/web", "ready", values)

    assert services.look(system, SLOT) > 0
    assert services.look(system, SLOT) == 0

    finding = Finding.objects.get(kind="anomaly", name="spike")
    assert finding.value == pytest.approx(90)
    assert finding.usual == pytest.approx(50, abs=1)
    events = PendingEvent.objects.filter(type="AnomalyFound")
    assert events.count() == Finding.objects.filter(kind="anomaly").count()

    told(system, "shop/web", "ready", noise(30), until=SLOT + 300)
    services.look(system, SLOT + 300)
    services.look(system, SLOT + 360)
    finding.refresh_from_db()
    assert finding.ended_at == SLOT


def test_an_anomaly_of_a_season_lasts_until_its_own_next_look() -> None:
    """It is looked for once an hour: the look of each minute, which cannot see it, must not end it."""
    system = root_system()
    told(system, "shop/web", "ready", noise())
    series = Series.objects.get(source="shop/web", metric="ready")
    about = {"kind": "anomaly", "score": 9.0, "value": 0.0, "usual": 10.0}
    row = Finding.objects.create(system=system, series=series, name="season", started_at=SLOT - 3000,
                                 last_at=SLOT - 3000, **about)  # fmt: skip

    services.look(system, SLOT)
    before = Finding.objects.get(pk=row.pk).ended_at
    services.foresee(system, SLOT, DAYS)

    assert before is None
    assert Finding.objects.get(pk=row.pk).ended_at == SLOT - 3000


def test_what_is_unusual_is_evidence_of_a_threat() -> None:
    """Whoever weighs a threat sees what else is odd about the same source, the strongest first."""
    system = root_system()
    told(system, "db-1", "disk_ratio", noise() / 100)
    series = Series.objects.get(source="db-1")
    for name, score in (("drift", 4.5), ("spike", -9.0)):
        Finding.objects.create(system=system, series=series, kind="anomaly", name=name, score=score, value=1.0,
                               usual=0.5, started_at=SLOT - 60, last_at=SLOT)  # fmt: skip
    made = Threat_("disk db-1", "saturation", "db-1", "The disk of db-1 fills up", 0.9, 0.8, evidence={"limit": 0.95})

    [seen] = projecting._with_anomalies(system, [made])

    assert seen.evidence["limit"] == 0.95
    assert [each["name"] for each in seen.evidence["anomalies"]] == ["spike", "drift"]


def test_a_rise_is_a_trend_and_noise_is_none() -> None:
    """Each in the window where it is more than a trifle; what only trembles is left in peace."""
    system = root_system()
    told(system, "shop/web", "ready", np.linspace(10, 100, 360))
    told(system, "shop/new", "ready", np.linspace(10, 20, 30))
    told(system, "shop/mail", "ready", noise())

    services.look(system, SLOT)

    trends = Finding.objects.filter(kind="trend")
    assert {(row.series.source, row.name) for row in trends} == {("shop/web", "1 h"), ("shop/new", "5 min")}
    assert all(row.score > 0 and row.p < 0.001 for row in trends)


def test_a_slot_is_foretold_once_and_its_rows_are_replaced() -> None:
    """A second beat finds the slot taken; the next slot writes over the rows of the one before."""
    system = root_system()
    told(system, "shop/web", "ready", np.linspace(10, 100, 360))

    assert services.foresee_slot(now=NOW) >= 1
    assert services.foresee_slot(now=NOW) == 0
    row = Forecast.objects.get(series__metric="ready", span="hour")
    services.foresee(system, SLOT, HOUR)

    again = Forecast.objects.get(series__metric="ready", span="hour")
    assert (again.pk, again.slot) == (row.pk, SLOT)
    body = queries.forecast_body(again)
    assert len(body["at"]) == len(body["mean"]) == HOUR.ahead
    assert body["mean"][-1] > 120
    assert body["used"] == "ensemble"


def test_a_forecast_is_judged_when_its_hour_has_passed() -> None:
    """By what came, beside what naive would have said; before that nothing is claimed."""
    system = root_system()
    told(system, "shop/web", "ready", np.linspace(10, 100, 360))
    services.foresee(system, SLOT, HOUR)
    assert queries.accuracy(system)["skill"] is None

    told(system, "shop/web", "ready", np.linspace(100.25, 190, 359), until=SLOT + 3600)
    services.foresee(system, SLOT + 3600, HOUR)

    found = queries.accuracy(system)
    assert found["values"] == HOUR.ahead
    assert found["skill"] > 0.5


def test_what_fell_silent_is_not_foretold() -> None:
    """Unknown is no forecast."""
    system = root_system()
    told(system, "shop/web", "ready", noise(), until=SLOT)

    assert services.foresee(system, SLOT + 1800, HOUR) == 0


def test_queries_do_not_grow_with_the_series(django_assert_max_num_queries: DjangoAssertNumQueries) -> None:
    """A thousand queues are looked at as one is."""
    system = root_system()
    for number in range(30):
        told(system, f"shop/{number}", "ready", np.linspace(number, 100, 120))

    with django_assert_max_num_queries(14):
        services.look(system, SLOT)
    with django_assert_max_num_queries(14):
        assert services.foresee(system, SLOT, HOUR) == 30


def test_viability_becomes_a_series() -> None:
    """So that it can be foretold like any other."""
    system = root_system()

    services.note_viability(system.pk, 0.9, now=NOW)

    assert system.series.get(metric="viability").source == system.slug


def test_old_findings_are_forgotten() -> None:
    """Thirty days after they ended."""
    system, values = root_system(), noise()
    values[-3:] = 90
    told(system, "shop/web", "ready", values)
    services.look(system, SLOT)
    Finding.objects.update(ended_at=SLOT)

    assert services.forget(now=NOW + timedelta(days=29)) == 0
    assert services.forget(now=NOW + timedelta(days=31)) > 0


def test_a_resource_that_runs_out_is_a_threat_and_an_advice() -> None:
    """Said once while it lasts; gone when it is no longer seen, and then it may be said again."""
    system = root_system()
    told(system, "web-1", "memory_ratio", np.linspace(0.3, 0.9, 360))
    services.foresee(system, SLOT, HOUR)

    first = projecting.project(system, SLOT)
    assert projecting.project(system, SLOT) == first

    threat, advice = Threat.objects.get(subject="web-1"), Recommendation.objects.get(subject="web-1")
    assert threat.recommendation == advice.pk
    assert (threat.kind, advice.kind, advice.effect["metric"]) == ("saturation", "resource", "memory_ratio")
    assert threat.earliest is not None
    assert threat.chance >= 0.5

    Forecast.objects.all().delete()
    assert projecting.project(system, SLOT + 300) == first - 1
    threat.refresh_from_db()
    assert threat.gone_at == SLOT + 300


@pytest.fixture
def spare() -> Fleet:
    """A fleet in which one worker has eight slots for a queue that needs few."""
    fleet = make_fleet()
    Unit.objects.create(system=fleet.system, fleet=fleet, kind="celery_queue", name="shop/mail", state="active")
    WorkerState.objects.create(
        fleet=fleet, name="w1@x", role="w1@x", observed_at=SLOT, progress_at=SLOT, pool="prefork", pool_size=8,
        queues=["mail"], active_count=1, reserved_count=0, active=[], reserved=[],
    )  # fmt: skip
    return fleet


def planned(fleet: Fleet, slot: int = SLOT, needed: int = 2) -> Recommendation:
    """Let S4 find that a plan asks for other slots than there are, and return what S3 is advised."""
    WorkerState.objects.update(observed_at=slot)
    made = Plan(0.2, 1.0, 8, 0.2, 0.025, 0.0, needed)
    found = threats.of_plan("shop/mail", made, chance=None, ready=None, evidence={})
    assert found is not None
    projecting._keep(fleet.system, {found.key: found}, slot)
    return Recommendation.objects.get()


def approved(row: Recommendation, at: datetime, monkeypatch: pytest.MonkeyPatch) -> Action:
    """Approve it as a person does; the broker is nowhere, so nobody looks at the worker first."""
    made = Action(
        system=row.system, fleet=row.fleet, kind=row.act_kind, target=row.act_target, parameters=row.act_parameters,
        actor="ann",
    )  # fmt: skip
    monkeypatch.setattr(recommending.steering, "prepare", lambda *_, **__: made)
    recommending.approve(row, by=make_user(), reason="so be it", now=at)
    return Action.objects.get()


def test_a_plan_becomes_advice_with_an_act_that_a_person_approves(
    spare: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Eight slots where four would do: the pool shrinks by what is idle, and only when somebody says so."""
    row = planned(spare)

    action = approved(row, NOW + timedelta(seconds=30), monkeypatch)

    assert (row.source, row.subject, row.kind) == ("s4", "shop/mail", "optimisation")
    assert (action.kind, action.target, action.parameters) == ("worker.shrink", "w1@x", {"by": 4})


def test_a_plan_that_is_old_is_not_acted_on_until_it_was_made_anew(
    spare: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was right ten minutes ago may cost tasks now; the same plan, made again, is as good as new."""
    row = planned(spare)

    with pytest.raises(Refused) as refused:
        approved(row, NOW + timedelta(minutes=11), monkeypatch)
    row = planned(spare, SLOT + 900)
    action = approved(row, NOW + timedelta(seconds=930), monkeypatch)

    assert (refused.value.code, Recommendation.objects.count(), action.kind) == ("stale", 1, "worker.shrink")


def test_a_plan_that_asks_for_something_else_meanwhile_does_not_renew_what_it_said(
    spare: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three are needed now: to take away four of eight would be too many."""
    planned(spare)

    row = planned(spare, SLOT + 900, needed=3)

    with pytest.raises(Refused, match="."):
        approved(row, NOW + timedelta(seconds=930), monkeypatch)
    assert not Action.objects.exists()


def test_what_policy_permits_is_checked_when_the_act_begins(spare: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """Approved in time, begun too late: the action does not take its first step."""
    row = planned(spare)
    action = approved(row, NOW + timedelta(seconds=30), monkeypatch)

    in_time, late = (recommending.unfit(action, now=NOW + timedelta(minutes=minutes)) for minutes in (1, 12))

    assert (in_time, late[:9]) == ("", "Not done:")


class TestDoors:
    """The API and the page, each for one's own systems alone."""

    @pytest.fixture
    def two(self) -> tuple[System, System]:
        mine, other = make_system("mine"), make_system("other")
        for system in (mine, other):
            values = np.linspace(10, 100, 360)
            values[-3:] = 400
            told(system, "shop/web", "ready", values)
            services.look(system, SLOT)
            services.foresee(system, SLOT, HOUR)
        return mine, other

    def test_a_forecast_is_had_with_its_lines(self, client: Client, two: tuple[System, System]) -> None:
        """By source and metric, as a chart asks for it."""
        _, secret = make_token(system=two[0])
        asked = {"source": "shop/web", "metric": "ready", "span": "hour"}
        rows = client.get("/api/v1/forecasts/", asked, headers=bearer(secret)).json()["results"]

        assert [row["system"] for row in rows] == ["mine"]
        one = client.get(f"/api/v1/forecasts/{rows[0]['id']}/", headers=bearer(secret)).json()
        assert len(one["high95"]) == len(one["at"]) == 60

    @pytest.mark.parametrize("path", ["forecasts", "anomalies"])
    def test_a_stranger_sees_nothing(self, client: Client, two: tuple[System, System], path: str) -> None:
        """Neither in the list nor by number."""
        _, secret = make_token(system=two[0])
        table: Any = Forecast if path == "forecasts" else Finding
        theirs = table.objects.filter(system=two[1]).first()

        assert client.get(f"/api/v1/{path}/").status_code in (401, 403)
        found = client.get(f"/api/v1/{path}/", headers=bearer(secret)).json()["results"]
        assert {row["system"] for row in found} == {"mine"}
        assert client.get(f"/api/v1/{path}/{theirs.pk}/", headers=bearer(secret)).status_code == 404

    @pytest.mark.parametrize("query", ["span=year", "kind=odd"])
    def test_a_bad_filter_is_named(self, client: Client, query: str) -> None:
        """An error, and no empty list that looks like peace."""
        root_system()
        _, secret = make_token()
        path = "forecasts" if "span" in query else "anomalies"
        answer = client.get(f"/api/v1/{path}/?{query}", headers=bearer(secret))

        assert answer.status_code == 400
        assert query.split("=")[0] in answer.content.decode()

    def test_capacity_names_a_bad_target(self, client: Client) -> None:
        """And answers an empty list where there are no queues."""
        root_system()
        _, secret = make_token()

        assert client.get("/api/v1/capacity/", headers=bearer(secret)).json() == []
        answer = client.get("/api/v1/capacity/?target_wait_seconds=-1", headers=bearer(secret))
        assert answer.status_code == 400
        assert "target_wait_seconds" in answer.content.decode()

    def test_the_page_shows_findings_and_how_good_forecasts_were(
        self, client: Client, two: tuple[System, System], django_assert_max_num_queries: DjangoAssertNumQueries
    ) -> None:
        """And nothing of the neighbours."""
        client.force_login(make_user(role="viewer", system=two[0]))
        with django_assert_max_num_queries(32):
            page = client.get("/dashboard/intelligence/")

        assert page.status_code == 200
        assert b"shop/web" in page.content
        theirs = client.get("/api/v1/threats/?system=other").json()
        assert theirs["results"] == []
        assert client.get("/dashboard/intelligence/?system=other").status_code in (403, 404)
