"""Findings from the first evidence to their end: rows, signals, declarations, and what is not known."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pytest_django import DjangoAssertNumQueries

from subsystems.algedonic.models import Signal
from subsystems.fleets import detection, topology, watching
from subsystems.fleets.models import (
    DetectionRules,
    ExpectedWorkers,
    Listening,
    QueueState,
    Redelivery,
    StuckFinding,
    Task,
    WorkerState,
)
from subsystems.fleets.redeliveries import Again
from subsystems.kernel.errors import Invalid
from subsystems.recursion.queries import root_system
from subsystems.s1_operations.adapters.celery_link import FleetRound
from subsystems.s1_operations.models import Fleet, Unit
from subsystems.s3_control.models import Action, StandingOrder

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
AT = NOON.timestamp()


@pytest.fixture
def fleet() -> Fleet:
    fleet = Fleet.objects.create(system=root_system(), name="shop", broker_display="amqp://shop")
    Listening.objects.create(
        fleet=fleet, since=NOON - timedelta(hours=1), written_at=NOON + timedelta(hours=1), hears_sending=True,
        workers={"w@1": {"tells_tasks": True}},
    )  # fmt: skip
    return fleet


def a_round(
    *, started: int = 5, ready: float = 0.0, consumers: float = 1.0, workers: tuple[str, ...] = ("w@1",), **other: Any
) -> FleetRound:
    """What workers of `mails` and its broker answer."""
    stats = {"pool": {"max-concurrency": 2}, "total": {"mail": started}, "uptime": 100}
    answers: dict[str, Any] = {"stats": stats, "active": [], "reserved": [], "active_queues": [{"name": "mails"}]}
    return FleetRound(
        workers={name: {**answers, **other} for name in workers},
        queues={"mails": {"ready": ready, "consumers": consumers}},
        counts_consumers=True,
    )


def hear(fleet: Fleet, found: FleetRound, at: datetime) -> None:
    """Keep a round, and the workers of it as units that were heard."""
    watching.keep_rounds({fleet.pk: found}, at)
    for name in found.workers:
        Unit.objects.update_or_create(
            system=fleet.system, kind="celery_worker", name=f"{fleet.name}/{name}",
            defaults={"fleet": fleet, "state": Unit.State.ACTIVE, "last_seen_at": at},
        )  # fmt: skip


def rounds_until(fleet: Fleet, seconds: int, **answers: Any) -> datetime:
    """Let the same be answered every five seconds; return the last moment."""
    for second in range(0, seconds + 1, 5):
        hear(fleet, a_round(**answers), NOON + timedelta(seconds=second))
    return NOON + timedelta(seconds=seconds)


def open_findings() -> dict[str, StuckFinding]:
    return {finding.kind: finding for finding in StuckFinding.objects.filter(ended_at=None)}


def test_a_stalled_worker_is_found_told_and_forgotten_when_it_works_again(fleet: Fleet) -> None:
    """One pain with its evidence, however often it is seen; it ends by itself."""
    now = rounds_until(fleet, 40, ready=7.0, consumers=0.0, reserved=[])
    looks = [detection.look(now=now), detection.look(now=now + timedelta(seconds=1))]
    finding = open_findings()["stalled_worker"]
    signal = Signal.objects.get(pk=finding.signal_id)
    hear(fleet, a_round(started=9), now + timedelta(seconds=5))
    detection.look(now=now + timedelta(seconds=6))

    assert looks == [2, 2]  # and the queue that nobody reads
    assert (finding.subject, finding.evidence["how"], finding.evidence["waiting_queues"]) == ("w@1", "deaf", ["mails"])
    assert (signal.severity, signal.source, signal.data["kind"]) == ("high", "shop/w@1", "stalled_worker")
    assert open_findings() == {}
    assert Signal.objects.get(pk=signal.pk).state == Signal.State.RESOLVED


def test_a_busy_worker_is_left_alone_however_long_its_task_takes(fleet: Fleet) -> None:
    """The alarm that cries at every long task is switched off before it is needed."""
    running = [{"id": str(n), "name": "train", "time_start": AT} for n in range(2)]

    now = rounds_until(fleet, 600, ready=50.0, active=running)

    assert detection.look(now=now) == 0


def test_what_cannot_be_judged_stays_as_it_was(fleet: Fleet) -> None:
    """A broker that is away neither acquits nor accuses."""
    now = rounds_until(fleet, 40, ready=7.0, consumers=0.0)
    detection.look(now=now)
    before = set(open_findings())
    Unit.objects.update(last_seen_at=now + timedelta(seconds=50))  # hearts beat, and nobody answers

    detection.look(now=now + timedelta(seconds=55))

    assert set(open_findings()) == before == {"stalled_worker", "queue_without_consumer"}


def test_a_slot_is_looked_at_once(fleet: Fleet) -> None:
    """Two beats, or a message that comes twice, must not double the work."""
    assert [detection.detect(now=NOON), detection.detect(now=NOON + timedelta(seconds=3))] == [0, -1]


def test_declared_workers_that_are_gone_are_missing_and_others_are_not(fleet: Fleet) -> None:
    """In containers names change at each start: the role is what must be there."""
    ExpectedWorkers.objects.create(fleet=fleet, role="w@1", queue="mails", workers=1)
    ExpectedWorkers.objects.create(fleet=fleet, role="w@2", queue="mails", workers=1)
    hear(fleet, a_round(workers=("w@1", "w@2")), NOON)
    later = NOON + timedelta(seconds=20)
    for second in (5, 10, 15, 20):
        hear(fleet, a_round(workers=("w@1",)), NOON + timedelta(seconds=second))

    detection.look(now=later)

    finding = open_findings()["missing_workers"]
    assert (finding.subject, finding.evidence["left_last"]) == ("w@2 on mails", ["w@2"])
    assert (finding.since, StuckFinding.objects.count()) == (NOON, 1)


def a_task(fleet: Fleet, uuid: str, age: float, state: Task.State = Task.State.PENDING, **more: Any) -> Task:
    at = AT - age
    values: Mapping[str, Any] = {"sent_at": at, "queue": "mails", "name": "mail", **more}
    return Task.objects.create(fleet=fleet, uuid=uuid, state=state, changed_at=at, seen_at=at, **values)


def test_lost_tasks_are_named(fleet: Fleet) -> None:
    """Sent and never received with an empty queue; received by a worker that is gone."""
    a_task(fleet, "gone", 100)
    a_task(fleet, "new", 20)
    a_task(fleet, "dead", 90, Task.State.STARTED, worker="w@9")
    hear(fleet, a_round(workers=("w@9",)), NOON - timedelta(seconds=85))
    hear(fleet, a_round(), NOON)

    detection.look(now=NOON + timedelta(seconds=1))

    found = {f.subject: f.evidence for f in StuckFinding.objects.filter(kind="lost_tasks")}
    assert {subject: each["tasks"] for subject, each in found.items()} == {"in mails": ["gone"], "on w@9": ["dead"]}
    assert Signal.objects.filter(data__kind="lost_tasks").count() == 2


def test_low_priority_tasks_that_are_overtaken_starve(fleet: Fleet) -> None:
    """Tasks sent later start, and those three wait."""
    for n in range(3):
        a_task(fleet, f"low{n}", 90)
    for n in range(12):
        a_task(fleet, f"high{n}", 10, Task.State.SUCCESS, started_at=AT - 9, finished_at=AT - 8)
    for second in range(-100, 1, 5):
        hear(fleet, a_round(started=second, ready=5.0), NOON + timedelta(seconds=second))

    detection.look(now=NOON + timedelta(seconds=1))

    assert open_findings()["starved_priority"].evidence["old_tasks"] == 3


def test_a_poison_task_is_a_loop_until_it_ends(fleet: Fleet) -> None:
    """The count of a receiver that began anew is not the smaller truth."""
    hear(fleet, a_round(), NOON)
    watching.note_redeliveries(fleet, [Again("t", "mail", "w@1", AT - 9, AT - 1, 5)])
    watching.note_redeliveries(fleet, [Again("t", "mail", "w@2", AT - 1, AT, 1)])
    detection.look(now=NOON + timedelta(seconds=1))
    found = open_findings()["redelivery_loop"]
    a_task(fleet, "t", 1, Task.State.FAILURE, finished_at=AT)
    detection.look(now=NOON + timedelta(seconds=2))

    assert (found.subject, found.evidence["most_redeliveries"], found.evidence["last_worker"]) == ("mail", 5, "w@2")
    assert Redelivery.objects.get().count == 5
    assert open_findings() == {}


def test_rules_set_patience_and_leave_out_kinds(fleet: Fleet) -> None:
    """A fleet whose queues wait for the night shift is not stuck all day."""
    DetectionRules.objects.create(fleet=fleet, stalled_seconds=600, left_out=["queue_without_consumer"])

    now = rounds_until(fleet, 40, ready=7.0, consumers=0.0)

    assert detection.look(now=now) == 0


def test_a_queue_that_is_paused_by_hand_is_not_accused(fleet: Fleet) -> None:
    """Somebody said that nobody is to read it for an hour; when the pause ends, the patience begins."""
    action = Action.objects.create(system=fleet.system, fleet=fleet, kind="pause_queue", target="mails", actor="olga")
    order = StandingOrder.objects.create(fleet=fleet, kind="pause", key="mails", action=action)
    ExpectedWorkers.objects.create(fleet=fleet, queue="mails", workers=3)

    now = rounds_until(fleet, 40, ready=7.0, consumers=0.0, workers=())
    paused = detection.look(now=now)
    StandingOrder.objects.filter(pk=order.pk).update(ended_at=now)
    detection.look(now=now)

    assert paused == 0
    assert "queue_without_consumer" in open_findings()


def test_queues_that_only_clients_name_are_measured_from_now_on(fleet: Fleet) -> None:
    """A queue that no worker ever read is the one that needs to be found most."""
    a_task(fleet, "typo", 10, queue="mials")
    a_task(fleet, "ours", 10, queue="vsm.default.v1")  # the platform's, which is heard on a broker that both use

    hear(fleet, a_round(), NOON)

    assert Unit.objects.filter(kind="celery_queue").values_list("name", flat=True).get() == "shop/mials"


def test_a_round_costs_the_same_however_many_answer(
    fleet: Fleet, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    """Every five seconds, for every fleet."""
    many = a_round(workers=tuple(f"w@{n}" for n in range(50)))
    watching.keep_rounds({fleet.pk: a_round()}, NOON)

    with django_assert_num_queries(5):
        watching.keep_rounds({fleet.pk: many}, NOON + timedelta(seconds=5))

    assert (WorkerState.objects.count(), QueueState.objects.count()) == (50, 1)


def test_looking_costs_the_same_however_much_there_is(
    fleet: Fleet, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    """Ten looks a minute and fleet."""
    hear(fleet, a_round(workers=tuple(f"w@{n}" for n in range(20))), NOON)
    for n in range(50):
        a_task(fleet, f"t{n}", 20)

    with django_assert_max_num_queries(14):
        detection.look(now=NOON + timedelta(seconds=1))


def test_states_of_workers_that_left_are_forgotten(fleet: Fleet) -> None:
    """Ten thousand pods a week leave no ten thousand rows."""
    hear(fleet, a_round(), NOON)

    watching.forget_states(now=NOON + timedelta(days=2))

    assert not WorkerState.objects.exists()


def test_what_is_here_now_becomes_the_declaration(fleet: Fleet) -> None:
    """One click when all is well, instead of a table typed by hand."""
    topology.declare(fleet, role="old", queue="", workers=3)
    hear(fleet, a_round(workers=("celery@web-7d9f8b5c6d-x2k4j", "celery@web-7d9f8b5c6d-bbbbb")), NOON)

    topology.declare_present(fleet, now=NOON)

    assert [str(each) for each in ExpectedWorkers.objects.all()] == ["2 x celery@web-* on mails"]


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"role": "", "queue": " ", "workers": 1}, "role"),
        ({"role": "a\0", "queue": "", "workers": 1}, "role"),
        ({"role": "", "queue": "q" * 201, "workers": 1}, "queue"),
        ({"role": "", "queue": "q", "workers": 0}, "workers"),
    ],
    ids=["nothing named", "not printable", "too long", "none expected"],
)
def test_a_declaration_that_makes_no_sense_is_refused(fleet: Fleet, given: dict[str, Any], field: str) -> None:
    """The field at fault is named, and nothing is written."""
    with pytest.raises(Invalid) as caught:
        topology.declare(fleet, **given)

    assert (caught.value.field, ExpectedWorkers.objects.count()) == (field, 0)


def test_nothing_can_be_declared_while_nobody_answers(fleet: Fleet) -> None:
    """An empty declaration would wipe out the one that stands."""
    topology.declare(fleet, role="w", queue="", workers=1)

    with pytest.raises(Invalid):
        topology.declare_present(fleet, now=NOON)

    assert ExpectedWorkers.objects.count() == 1
