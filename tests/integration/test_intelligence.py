"""What S4 finds and foretells, from samples to rows, pages and the API."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from subsystems.event_log.models import PendingEvent
from subsystems.recursion.models import System
from subsystems.recursion.queries import root_system
from subsystems.s3_control.models import Recommendation
from subsystems.s4_intelligence import projecting, queries, services
from subsystems.s4_intelligence.models import Finding, Forecast, Threat
from subsystems.s4_intelligence.watched import HOUR
from subsystems.telemetry.samples import Sample
from subsystems.telemetry.services import record
from subsystems.telemetry.store import hot_tier
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
