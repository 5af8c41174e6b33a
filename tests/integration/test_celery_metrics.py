"""`celery_*` as the celery-exporter project names them: each query of its dashboards and alerts finds its series.

The queries are held here as what they ask for: a metric and the labels that they match or group by. `job`, `namespace`
and `cluster` are the scraper's own labels, and `le` the bucket's.
"""

from __future__ import annotations

import pytest
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from subsystems.fleets import counting, store
from subsystems.fleets.events import Event
from subsystems.fleets.folding import Folder
from subsystems.fleets.masking import Masking
from subsystems.fleets.models import TaskCount
from subsystems.recursion.queries import root_system
from subsystems.s1_operations.models import Fleet, Unit
from subsystems.telemetry import services
from subsystems.telemetry.samples import Sample
from tests.integration.test_api_workers import PODS, make_fleet
from tests.integration.test_telemetry_exposition import scrape, values
from tests.support.factories import make_system, make_token, make_user

pytestmark = pytest.mark.django_db
STEPS = ("sent", "received", "started", "succeeded", "failed", "rejected", "revoked", "retried")
COUNTED = [f"celery_task_{step}_total" for step in STEPS if step != "started"]
HISTOGRAM = ["celery_task_runtime_bucket", "celery_task_runtime_sum", "celery_task_runtime_count"]
# Where it is asked, the metrics, the labels.
QUERIES = [
    ("overview: workers", ["celery_worker_up"], set()),
    ("overview: active tasks", ["celery_worker_tasks_active"], set()),
    ("overview: tasks received", ["celery_task_received_total"], {"queue_name"}),
    ("overview: success rate", ["celery_task_succeeded_total", "celery_task_failed_total"], {"queue_name"}),
    ("overview: average runtime", HISTOGRAM[1:], {"queue_name"}),
    ("overview: top failed", ["celery_task_failed_total"], {"queue_name", "name"}),
    ("overview: top exceptions", ["celery_task_failed_total"], {"queue_name", "exception"}),
    ("overview: top runtimes", HISTOGRAM[1:], {"queue_name", "name"}),
    ("overview: queue length", ["celery_queue_length"], {"queue_name"}),
    ("overview: stats and completed", COUNTED, {"queue_name"}),
    ("overview: runtime quantiles", HISTOGRAM[:1], {"queue_name", "le"}),
    ("by task: stats and completed", COUNTED, {"name", "queue_name"}),
    ("by task: exceptions", ["celery_task_failed_total"], {"name", "queue_name", "exception"}),
    ("by task: runtime quantiles", HISTOGRAM[:1], {"name", "queue_name", "le"}),
    ("variables: queues and tasks", ["celery_task_received_total"], {"queue_name", "name"}),
    ("alert: high fail rate", ["celery_task_failed_total", "celery_task_succeeded_total"], {"name", "queue_name"}),
    ("alert: high queue length", ["celery_queue_length"], {"queue_name"}),
    ("alert: worker down", ["celery_worker_up"], {"hostname"}),
    # And all that the exporter itself shows.
    ("exporter: tasks", [f"celery_task_{step}_total" for step in STEPS], {"name", "hostname", "queue_name"}),
    ("exporter: runtime", HISTOGRAM, {"name", "hostname", "queue_name"}),
    ("exporter: workers", ["celery_worker_up", "celery_worker_tasks_active"], {"hostname"}),
    ("exporter: queues", ["celery_queue_length", "celery_active_consumer_count", "celery_active_worker_count",
                          "celery_active_process_count"], {"queue_name"}),
    ("exporter: waits", ["celery_task_queue_wait_time_bucket"], {"name", "hostname", "queue_name", "le"}),
]  # fmt: skip


def tell(fleet: Fleet, uuid: str, *steps: str, name: str = "mail", **more: object) -> None:
    """Write the events of one task, as a receiver does."""
    folder = Folder(Masking())
    at = timezone.now().timestamp()
    for place, step in enumerate(steps):
        event = Event(f"task-{step}", PODS[0], at + place / 10, uuid=uuid)
        if step in ("sent", "received"):
            event.name = name
        if step == "sent":
            event.queue = "mails"
        for field, value in (more if step in ("succeeded", "failed", "retried") else {}).items():
            setattr(event, field, value)
        folder.fold(event)
    store.write(fleet.pk, folder.take())


@pytest.fixture
def fleet() -> Fleet:
    """A fleet of which a task succeeded, one failed, and one is being received; its workers and queue measured."""
    fleet = make_fleet()
    now = timezone.now().timestamp()
    tell(fleet, "good", "sent", "received", "started", "succeeded", runtime=0.3)
    tell(fleet, "bad", "sent", "received", "started", "failed", exception="ValueError('x')")
    tell(fleet, "late", "sent")
    tell(fleet, "late", "received")
    samples = {
        **{f"shop/{pod}": [Sample("worker_up", now, 1.0), Sample("active", now, 1.0)] for pod in PODS},
        "shop/mails": [Sample("ready", now, 4.0), Sample("consumers", now, 2.0)],
    }
    services.record(samples, system_id=fleet.system_id, now=now)
    return fleet


@pytest.fixture
def secret() -> str:
    return make_token(["read"], user=make_user("rita", role="viewer"))[1]


@pytest.mark.parametrize(("metrics", "labels"), [pytest.param(*row[1:], id=row[0]) for row in QUERIES])
def test_each_query_finds_its_series(fleet: Fleet, secret: str, metrics: list[str], labels: set[str]) -> None:
    """Whoever has these dashboards and alerts keeps them."""
    shown = values(scrape(secret))

    for metric in metrics:
        places = [dict(key) for name, key in shown if name == metric]
        assert places, metric
        assert all(labels <= place.keys() for place in places), metric


def numbers(secret: str, metric: str) -> dict[tuple[str, ...], float]:
    """Return a metric's numbers by name, role, queue, and what else is told."""
    found = {}
    for (name, key), number in values(scrape(secret)).items():
        place = dict(key)
        if name == metric:
            rest = (place[label] for label in ("name", "hostname", "queue_name", "exception", "le") if label in place)
            found[tuple(rest)] = number
    return found


def test_counts_are_by_role_and_what_did_not_happen_is_zero(fleet: Fleet, secret: str) -> None:
    """A rate of failures needs the zero of a task that never failed; ten thousand pods need no series each."""
    tell(fleet, "other", "sent", "received", "started", "succeeded", name="fine", runtime=0.1)
    role = "celery@web-*"

    assert numbers(secret, "celery_task_received_total") == {("mail", role, "mails"): 3, ("fine", role, "mails"): 1}
    assert numbers(secret, "celery_task_failed_total") == {
        ("mail", role, "mails", "ValueError"): 1, ("fine", role, "mails", ""): 0,
    }  # fmt: skip
    assert numbers(secret, "celery_task_sent_total") == {
        ("mail", "generic", "mails"): 3, ("fine", "generic", "mails"): 1,
    }  # fmt: skip


def test_runtimes_are_a_histogram(fleet: Fleet, secret: str) -> None:
    """In the buckets that the exporter has."""
    buckets = numbers(secret, "celery_task_runtime_bucket")

    assert (buckets["mail", "celery@web-*", "mails", "0.25"], buckets["mail", "celery@web-*", "mails", "0.5"]) == (0, 1)
    assert numbers(secret, "celery_task_runtime_sum") == {("mail", "celery@web-*", "mails"): 0.3}


def test_an_end_that_is_heard_twice_is_counted_once(fleet: Fleet, secret: str) -> None:
    """After a crash the broker tells again what was not acknowledged."""
    tell(fleet, "good", "succeeded", runtime=0.3)

    assert numbers(secret, "celery_task_succeeded_total") == {("mail", "celery@web-*", "mails"): 1}


def test_a_silent_worker_is_down_until_it_is_gone(fleet: Fleet, secret: str) -> None:
    """The alert waits for a quarter of an hour: a series that ends after a minute would never fire."""
    Unit.objects.create(system=fleet.system, fleet=fleet, kind="celery_worker", name="shop/dead@1", state="silent")
    shown = values(scrape(secret))

    up = {dict(key)["hostname"]: number for (name, key), number in shown.items() if name == "celery_worker_up"}
    assert up == {PODS[0]: 1.0, PODS[1]: 1.0, "dead@1": 0.0}


def test_another_tenants_tasks_are_not_shown(fleet: Fleet) -> None:
    """Names of tasks tell what a company does."""
    stranger = make_token(["read"], user=make_user("sam", role="viewer", system=make_system("other")))[1]

    assert not [name for name, _ in values(scrape(stranger)) if name.startswith("celery_")]


def test_a_batch_costs_two_statements_more_and_kinds_are_forgotten(
    fleet: Fleet, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    """Counting is on the way of every event."""
    folder = Folder(Masking())
    for n in range(50):
        folder.fold(Event("task-received", PODS[0], 1_000.0 + n, uuid=f"t{n}", name="mail"))
    batch = folder.take()

    with django_assert_max_num_queries(2):
        counting.count(fleet.pk, batch, [])
    counting.forget(now=timezone.now() + 2 * counting.KEEP)

    assert not TaskCount.objects.filter(fleet__system=root_system()).exists()
