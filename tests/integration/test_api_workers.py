"""Workers, roles, queues, findings and declarations as a program uses them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from subsystems.fleets import detection, watching
from subsystems.fleets.models import ExpectedWorkers, Listening, StuckFinding, Task
from subsystems.recursion.models import System
from subsystems.recursion.queries import root_system
from subsystems.s1_operations.adapters.celery_link import FleetRound
from subsystems.s1_operations.models import Fleet, Unit
from subsystems.telemetry.samples import Sample
from subsystems.telemetry.services import record
from tests.support.factories import bearer, make_system, make_token, make_user

pytestmark = pytest.mark.django_db
PODS = ("celery@web-7d9f8b5c6d-x2k4j", "celery@web-7d9f8b5c6d-bbbbb")


class Api:
    def __init__(self, client: Client, secret: str) -> None:
        self._client, self._headers = client, bearer(secret)

    def __call__(self, method: str, address: str, body: Any = None) -> Any:
        more = {} if method == "get" else {"content_type": "application/json", "data": body or {}}
        return getattr(self._client, method)(f"/api/v1/{address}", **more, headers=self._headers)


@pytest.fixture
def api(client: Client) -> Api:
    return Api(client, make_token(["read", "operate"], user=make_user("olga", role="operator"))[1])


def make_fleet(name: str = "shop", *, system: System | None = None, pods: tuple[str, ...] = PODS) -> Fleet:
    """A fleet whose workers and queue answered twice a minute ago and now."""
    fleet = Fleet.objects.create(system=system or root_system(), name=name)
    now = timezone.now()
    for age in range(60, -1, -5):
        hear(fleet, pods, ready=100.0 + age, at=now - timedelta(seconds=age))
    return fleet


def hear(fleet: Fleet, pods: tuple[str, ...], *, ready: float, at: Any, consumers: float = 2.0) -> None:
    running = {"id": "t1", "name": "mail", "time_start": at.timestamp() - 5, "delivery_info": {"priority": 3}}
    answers = {
        "stats": {"pool": {"max-concurrency": 2}, "total": {"mail": int(at.timestamp())}, "prefetch_count": 8},
        "active": [running], "reserved": [], "active_queues": [{"name": "mails"}],
    }  # fmt: skip
    queues = {"mails": {"ready": ready, "consumers": consumers, "unacked": 1.0}}
    workers = dict.fromkeys(pods, answers)
    watching.keep_rounds({fleet.pk: FleetRound("", workers, queues, {}, {"mails": {0: ready}}, True)}, at)
    for kind, names in (("celery_worker", pods), ("celery_queue", ("mails",))):
        for name in names:
            Unit.objects.update_or_create(
                system=fleet.system, kind=kind, name=f"{fleet.name}/{name}",
                defaults={"fleet": fleet, "state": Unit.State.ACTIVE, "last_seen_at": at},
            )  # fmt: skip


def test_a_worker_is_shown_with_its_pool_and_what_it_runs(api: Api) -> None:
    """The first page of Flower, with what Flower forgets: since when nothing was started."""
    fleet = make_fleet()
    now = timezone.now().timestamp()
    record({f"shop/{PODS[0]}": [Sample("memory_bytes", now, 5e7)]}, system_id=fleet.system_id, now=now)

    shown = api("get", f"workers/?fleet=shop&search={PODS[0]}").json()["results"]

    assert [(each["name"], each["role"], each["pool_size"], each["prefetch"]) for each in shown] == [
        (PODS[0], "celery@web-*", 2, 8)
    ]
    assert (shown[0]["queues"], shown[0]["active_count"], shown[0]["memory_bytes"]) == (["mails"], 1, 5e7)
    (held,) = shown[0]["active"]
    assert (held["id"], held["name"], held["priority"]) == ("t1", "mail", 3)
    assert held["age_seconds"] >= 5


def test_pods_roll_up_into_their_role(api: Api) -> None:
    """Ten thousand pods a month are one row: those that are gone are counted, and not missed."""
    fleet = make_fleet()
    Unit.objects.create(
        system=fleet.system, fleet=fleet, kind="celery_worker", name="shop/celery@web-7d9f8b5c6d-zzzzz", state="gone"
    )

    (role,) = api("get", "workers/roles/").json()

    assert (role["role"], role["active_workers"], role["gone_workers"], role["pool_size"]) == ("celery@web-*", 2, 1, 4)
    assert (role["queues"], role["workers"]) == (["mails"], sorted(PODS))


def test_a_queue_is_shown_with_its_depth_and_when_it_will_be_empty(api: Api) -> None:
    """A hundred wait, one a second leaves: a hundred seconds."""
    make_fleet()

    (queue,) = api("get", "queues/").json()["results"]

    assert (queue["name"], queue["ready"], queue["unacked"], queue["consumers"]) == ("mails", 100.0, 1.0, 2.0)
    assert (queue["by_priority"], queue["draining"], queue["rate_in"]) == ({"0": 100.0}, True, None)
    assert queue["drain_seconds"] == pytest.approx(100, rel=0.05)


def test_rates_and_ages_come_from_what_clients_tell(api: Api) -> None:
    """No broker is needed that counts: what came and how the depth changed tells what left."""
    fleet = make_fleet()
    now = timezone.now()
    Listening.objects.create(fleet=fleet, since=now - timedelta(hours=1), hears_sending=True)
    for n in range(30):
        at = now.timestamp() - 40 + n
        Task.objects.create(fleet=fleet, uuid=str(n), queue="mails", sent_at=at, seen_at=at, changed_at=at)

    (queue,) = api("get", "queues/").json()["results"]

    assert (queue["rate_in"], queue["rate_out"]) == (0.5, 1.5)
    assert queue["oldest_age_seconds"] == pytest.approx(40, abs=2)


def test_what_is_stuck_is_listed_with_its_evidence(api: Api) -> None:
    """And at the queue that it is about."""
    fleet = make_fleet()
    now = timezone.now()
    for age in (20, 15, 10, 5, 0):
        hear(fleet, (), ready=9.0, at=now - timedelta(seconds=age), consumers=0.0)
    detection.look(now=now)

    (found,) = api("get", "stuck/?open=true&kind=queue_without_consumer").json()["results"]
    (queue,) = api("get", "queues/").json()["results"]

    assert (found["subject"], found["evidence"]["ready"], found["ended_at"]) == ("mails", 9.0, None)
    assert found["signal"] == StuckFinding.objects.get().signal_id
    assert [each["id"] for each in queue["findings"]] == [found["id"]]
    assert api("get", f"stuck/{found['id']}/").json()["kind"] == "queue_without_consumer"


def test_what_is_here_is_declared_and_one_row_changed(api: Api) -> None:
    """The API has what the page has."""
    fleet = make_fleet()

    declared = api("post", "expected-workers/declare-present/", {"fleet": fleet.pk}).json()
    changed = api(
        "post", "expected-workers/", {"fleet": fleet.pk, "role": "celery@web-*", "queue": "mails", "workers": 5}
    )

    assert [(row["role"], row["queue"], row["workers"]) for row in declared] == [("celery@web-*", "mails", 2)]
    assert (changed.status_code, changed.json()["workers"], ExpectedWorkers.objects.count()) == (201, 5, 1)
    assert api("delete", f"expected-workers/{changed.json()['id']}/").status_code == 204


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "fleet"),
        ({"fleet": 10**15, "role": "w"}, "fleet"),
        ({"fleet": "mine"}, "role"),
        ({"fleet": "mine", "role": "w", "workers": 0}, "workers"),
        ({"fleet": "mine", "role": "w", "workers": "many"}, "workers"),
        ({"fleet": "mine", "queue": "q" * 300}, "queue"),
        ({"fleet": "mine", "role": "a\u200bb"}, "role"),
        ({"fleet": "theirs", "role": "w"}, "fleet"),
    ],
)
def test_a_declaration_that_makes_no_sense_names_the_field(api: Api, body: dict[str, Any], field: str) -> None:
    """And nothing is written."""
    keys = {"mine": make_fleet().pk, "theirs": make_fleet("their", system=make_system("other"), pods=()).pk}
    if body.get("fleet") in keys:
        body = {**body, "fleet": keys[body["fleet"]]}

    answer = api("post", "expected-workers/", body)

    assert answer.status_code == 400, answer.content
    assert field in answer.content.decode()
    assert not ExpectedWorkers.objects.exists()


def test_another_tenants_workers_queues_and_findings_do_not_exist(client: Client) -> None:
    """Names of pods and queues tell what a company does."""
    other = make_system("other")
    stranger = Api(client, make_token(["read", "operate"], user=make_user("sam", role="operator", system=other))[1])
    fleet = make_fleet()
    now = timezone.now()
    row = ExpectedWorkers.objects.create(fleet=fleet, role="w")
    StuckFinding.objects.create(
        fleet=fleet, kind="lost_tasks", subject="x", summary="x", confidence=1, since=now, found_at=now, seen_at=now
    )

    lists = ["workers/", "queues/", "stuck/", "expected-workers/"]
    assert [stranger("get", each).json()["results"] for each in lists] == [[], [], [], []]
    assert stranger("get", "workers/roles/").json() == []
    assert stranger("delete", f"expected-workers/{row.pk}/").status_code == 404
    assert stranger("get", f"workers/{Unit.objects.filter(kind='celery_worker')[0].pk}/").status_code == 404


@pytest.mark.parametrize("address", ["workers/", "queues/", "workers/roles/", "stuck/"])
def test_a_list_costs_the_same_however_long_it_is(
    api: Api, address: str, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    """Fleets have hundreds of workers."""
    make_fleet(pods=tuple(f"w{n}@host" for n in range(30)))

    with django_assert_max_num_queries(14):
        answer = api("get", address)

    assert answer.status_code == 200
