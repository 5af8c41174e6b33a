"""`/metrics`: true numbers, to those who may see them, in a form that Prometheus reads."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.contrib.auth.models import AnonymousUser
from django.db import connection
from django.http import HttpResponse
from django.test import RequestFactory
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_open
from prometheus_client.parser import text_string_to_metric_families as parse

from subsystems.health.models import Assessment
from subsystems.kernel.errors import TransientError
from subsystems.recursion.models import System
from subsystems.recursion.queries import root_system
from subsystems.s1_operations.models import CollectionCycle, Fleet
from subsystems.telemetry import services
from subsystems.telemetry.memory import MemoryHotTier
from subsystems.telemetry.samples import Sample
from subsystems.telemetry.store import use_tier
from subsystems.variety import gathering
from subsystems.variety import services as variety
from tests.support.factories import make_message, make_system, make_token, make_unit, make_user
from vsm_site.exposition.view import metrics_view

pytestmark = pytest.mark.django_db
Series = tuple[str, tuple[tuple[str, str], ...]]


def scrape(secret: str, **headers: str) -> HttpResponse:
    request = RequestFactory().get("/metrics", headers={"authorization": f"Bearer {secret}", **headers})
    request.user = AnonymousUser()
    return metrics_view(request)


def values(response: HttpResponse) -> dict[Series, float]:
    """Return every sample by name and labels; two with the same would be an error of ours."""
    found: dict[Series, float] = {}
    for family in parse(response.content.decode()):
        for sample in family.samples:
            key = (sample.name, tuple(sorted(sample.labels.items())))
            assert key not in found
            found[key] = sample.value
    return found


def assess(system: System, *, score: float | None, age: timedelta = timedelta(0)) -> None:
    moment = timezone.now() - age
    Assessment.objects.create(
        system=system,
        slot=int(moment.timestamp()),
        assessed_at=moment,
        score=score,
        status="normal",
        overall_health=score,
        subsystems={
            "s1": {"score": 0.75, "status": "degraded", "measures": {"unit_count": 3, "average_health": None}},
            "s2": {"score": 1.0, "status": "healthy", "measures": {"coordination_lag_seconds": 0.25, "lost_total": 2}},
            "s4": {"score": None, "status": "unknown", "measures": {"unheard_fleets": ["a"]}},
        },
    )


def test_viability_and_health_are_those_of_the_last_assessment() -> None:
    """The documented names: viability 0 to 1, health 0 to 100; what is unknown is absent, never zero."""
    assess(root_system(), score=0.9, age=timedelta(seconds=30))
    assess(root_system(), score=0.8)

    found = values(scrape(make_token()[1]))

    assert found["vsm_viability_score", (("system", "main"),)] == 0.8
    assert found["vsm_system_health", (("subsystem", "s1"), ("system", "main"))] == 75.0
    assert ("vsm_system_health", (("subsystem", "s4"), ("system", "main"))) not in found


def test_the_cards_of_the_subsystems_show_what_they_were_scored_from() -> None:
    """`vsm_system1_…` to `vsm_system5_…`, `vsm_overall_…`: numbers alone, under names that a gauge may have."""
    assess(root_system(), score=0.9)

    found = {name: value for (name, _), value in values(scrape(make_token()[1])).items()}

    cards = {name: value for name, value in found.items() if name.startswith(("vsm_system1", "vsm_system2", "vsm_sys"))}
    assert cards["vsm_system1_units"] == 3
    assert cards["vsm_system2_lost_total_now"] == 2
    assert not [name for name in cards if "average" in name or "unheard" in name]
    assert (found["vsm_coordination_lag"], found["vsm_coordination_lag_seconds"]) == (250.0, 0.25)
    assert found["vsm_overall_health"] == 0.9


def test_what_units_do_is_shown_with_its_errors_and_durations() -> None:
    """The documented four: operations, errors by type, response times (milliseconds and seconds), messages."""
    now = timezone.now().timestamp()
    charge = {"operation": "charge"}
    fleet = Fleet.objects.create(system=root_system(), name="shop")
    make_unit("shop/celery@a", kind="celery_worker", fleet=fleet)
    samples = {
        "shop/celery@a": [Sample("processed_total", now, 12.0), Sample("failed_total", now, 2.0)],
        "billing": [
            Sample("operations_total", now, 5.0, charge),
            Sample("operation_errors_total", now, 1.0, {**charge, "error": "Declined"}),
        ],
    }
    services.record(samples, system_id=root_system().pk)
    make_message(system=root_system(), count=3)

    found = values(scrape(make_token()[1]))

    def of(name: str, **labels: str) -> float:
        return found[name, tuple(sorted({"system": "main", **labels}.items()))]

    assert of("vsm_operations_total", unit="shop/celery@a", operation="task") == 12
    assert of("vsm_operations_total", unit="billing", operation="charge") == 5
    assert of("vsm_errors_total", unit="shop/celery@a", operation="task", type="failed") == 2
    assert of("vsm_errors_total", unit="billing", operation="charge", type="Declined") == 1
    assert of("vsm_messages_total", channel="coordination", sender="s2", recipient="s1") == 3


def test_operations_that_were_told_one_by_one_have_their_durations() -> None:
    """A histogram can be added up over units; the documented name is in milliseconds, the other in seconds."""
    root_system()
    for duration, outcome in ((4.0, "ok"), (80.0, "ok"), (700.0, "Declined")):
        gathering.operation_ended("billing", "charge", outcome=outcome, duration_ms=duration)
    now = timezone.now().timestamp()
    total = Sample("operations_total", now, 99.0, {"operation": "charge"})  # the same, told as a total as well
    services.record({"billing": [total]}, system_id=root_system().pk)
    gathering.flush()
    variety.merge(now=timezone.now() + timedelta(seconds=15))

    found = values(scrape(make_token()[1]))

    place = {"operation": "charge", "system": "main", "unit": "billing"}

    def of(name: str, **labels: str) -> float:
        return found[name, tuple(sorted({**place, **labels}.items()))]

    assert of("vsm_operations_total") == 3
    assert of("vsm_errors_total", type="failed") == 1
    seconds = [of("vsm_response_time_seconds_bucket", le=le) for le in ("0.005", "0.05", "0.1", "1.0", "+Inf")]
    assert seconds == [1, 1, 2, 3, 3]
    assert of("vsm_response_time_bucket", le="100.0") == 2
    assert of("vsm_response_time_sum") == pytest.approx(784.0)
    assert of("vsm_response_time_seconds_sum") == pytest.approx(0.784)


def test_names_from_outside_cannot_make_a_page_endless(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bound rows are left out, and how many is said."""
    monkeypatch.setattr("vsm_site.exposition.operations.MAX_LABELLED", 3)
    now = timezone.now().timestamp()
    told = [Sample("operations_total", now, 1.0, {"operation": f"o{n}"}) for n in range(5)]
    services.record({"a": told}, system_id=root_system().pk)

    found = values(scrape(make_token()[1]))

    assert len([name for name, _ in found if name == "vsm_operations_total"]) == 3
    assert found["vsm_self_exposition_left_out", ()] == 2


def test_a_scrape_asks_as_often_for_many_systems_as_for_one() -> None:
    """Each query of a scrape is one for all systems."""
    root_system()
    _, secret = make_token()
    scrape(secret)  # a token's first use is written down
    with CaptureQueriesContext(connection) as one:
        scrape(secret)
    for _ in range(5):
        assess(make_system(), score=0.5)
    with CaptureQueriesContext(connection) as many:
        scrape(secret)

    assert len(many) <= len(one)


def test_an_old_assessment_does_not_pass_for_now() -> None:
    """When assessing has stopped, an alert on absence must be able to fire."""
    assess(root_system(), score=0.9, age=timedelta(minutes=3))

    assert not [name for name, _ in values(scrape(make_token()[1])) if name == "vsm_viability_score"]


def test_celery_goes_by_the_names_that_published_dashboards_know() -> None:
    """`hostname` and `queue_name` as in the celery-exporter project; values from the last samples."""
    fleet = Fleet.objects.create(system=root_system(), name="shop")
    now = timezone.now().timestamp()
    samples = {
        "shop/celery@a": [Sample("worker_up", now, 1.0), Sample("active", now, 3.0)],
        "shop/celery@b": [Sample("worker_up", now - 300, 1.0)],
        "shop/orders": [Sample("ready", now, 7.0)],
    }
    for name in samples:
        make_unit(name, kind="celery_worker" if "@" in name else "celery_queue", fleet=fleet)
    services.record(samples, system_id=root_system().pk)

    found = values(scrape(make_token()[1]))

    place = (("fleet", "shop"),)
    celery = {key: value for key, value in found.items() if key[0].startswith("celery_")}
    assert celery == {
        ("celery_worker_up", (*place, ("hostname", "celery@a"), ("system", "main"))): 1.0,
        ("celery_worker_tasks_active", (*place, ("hostname", "celery@a"), ("system", "main"))): 3.0,
        ("celery_queue_length", (*place, ("queue_name", "orders"), ("system", "main"))): 7.0,
    }


def test_the_platform_tells_of_its_own_blindness() -> None:
    """Late ticks, refused samples and facts that wait are measured like anything else."""
    now = timezone.now()
    CollectionCycle.objects.create(
        slot=int(now.timestamp()) - 10, started_at=now, duration_ms=250.0, unit_count=4, answered_count=3
    )
    make_message(created_at=now - timedelta(seconds=40))
    future = Sample("m", now.timestamp() + 600, 1.0)
    services.record({"a": [future, Sample("m", now.timestamp(), 1.0)]}, system_id=root_system().pk)

    found = {name: value for (name, _), value in values(scrape(make_token()[1])).items()}

    assert 10 <= found["vsm_self_tick_lag_seconds"] < 11
    assert found["vsm_self_cycle_duration_seconds"] == 0.25
    assert (found["vsm_self_cycle_units"], found["vsm_self_cycle_units_answered"]) == (4, 3)
    assert found["vsm_self_outbox_unsent"] == 1
    assert found["vsm_self_outbox_oldest_age_seconds"] >= 40
    assert (found["vsm_self_hot_samples"], found["vsm_self_dropped_samples_total"]) == (1, 1)
    assert found["vsm_self_hot_tier_up"] == 1


class Unreachable(MemoryHotTier):
    def latest(self, *_: object) -> None:  # type: ignore[override]
        raise TransientError("down")


@pytest.fixture
def _unreachable() -> Iterator[None]:
    use_tier(Unreachable(10))
    yield
    use_tier(None)


@pytest.mark.usefixtures("_unreachable")
def test_a_hot_tier_that_is_down_is_said_and_the_rest_still_shown() -> None:
    """A scrape that fails whole would hide the very reason."""
    assess(root_system(), score=0.9)

    found = {name: value for (name, _), value in values(scrape(make_token()[1])).items()}

    assert (found["vsm_self_hot_tier_up"], found["vsm_viability_score"]) == (0, 0.9)
    assert "vsm_self_hot_samples" not in found


def test_a_tenant_sees_its_own_systems_only() -> None:
    """Neither another tenant's numbers nor the platform's own are its business."""
    acme, other = make_system("acme"), make_system("other")
    for system in (root_system(), acme, other):
        assess(system, score=0.5)
    _, secret = make_token(user=make_user(role="viewer", system=acme))

    found = values(scrape(secret))

    assert {dict(labels)["system"] for _, labels in found if "system" in dict(labels)} == {"acme"}
    assert not [name for name, _ in found if name.startswith("vsm_self_") and name != "vsm_self_hot_tier_up"]


def test_strangers_and_tokens_without_read_get_nothing() -> None:
    """401 says who are you, 403 says not you; neither says a number."""
    root_system()
    _, ingest_only = make_token(["ingest"])

    answers = [scrape(""), scrape("vsm_wrong"), scrape(ingest_only)]

    assert [answer.status_code for answer in answers] == [401, 401, 403]
    assert answers[0].headers["WWW-Authenticate"].startswith("Bearer")
    assert not [answer for answer in answers if b"vsm_" in answer.content]


def test_a_person_who_is_logged_in_may_look() -> None:
    """A session is enough for a look by hand."""
    request = RequestFactory().get("/metrics")
    request.user = make_user(superuser=True)

    root_system()

    assert metrics_view(request).status_code == 200


def test_prometheus_may_ask_for_open_metrics() -> None:
    """Its scraper prefers that form, whose parser is strict."""
    assess(root_system(), score=0.9)
    answer = scrape(make_token()[1], accept="application/openmetrics-text; version=1.0.0")

    names = {family.name for family in parse_open(answer.content.decode())}

    assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
    assert {"vsm_viability_score", "vsm_self_ingest_refused", "process_cpu_seconds"} <= names
