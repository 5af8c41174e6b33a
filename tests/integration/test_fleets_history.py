"""The history of tasks: rows that any order of events makes alike, counted once, and forgotten in time."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.forms.models import model_to_dict

from subsystems.fleets import counting, queries, rolling_up, services, store
from subsystems.fleets.events import Event
from subsystems.fleets.folding import Batch, Facts, Folder
from subsystems.fleets.listening import Heard, Spell
from subsystems.fleets.masking import Masking
from subsystems.fleets.models import (
    BlindSpell,
    ExceptionGroup,
    HistoryRules,
    Listening,
    Task,
    TaskRetry,
    TaskRollUp,
)
from subsystems.fleets.roll_ups import Tally, opened
from subsystems.fleets.tally import Report
from subsystems.kernel.errors import Invalid
from subsystems.recursion.queries import root_system
from subsystems.s1_operations.models import Fleet
from tests.unit.test_fleets_folding import LIFE, event

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
TRACEBACK = 'Traceback:\n  File "/app/shop.py", line 3, in pay\n'


def make_fleet(name: str = "shop") -> Fleet:
    return Fleet.objects.create(system=root_system(), name=name)


def batch_of(*events: Event) -> Batch:
    folder = Folder(Masking())
    folder.fold_all(events)
    return folder.take()


def row(fleet: Fleet, uuid: str = "t1") -> dict[str, object]:
    return model_to_dict(Task.objects.get(fleet=fleet, uuid=uuid), exclude=["id", "fleet", "counted"])


def test_a_wait_leaves_out_the_time_before_the_eta() -> None:
    """A task that is due in an hour has not waited for an hour: its queue would look clogged."""
    at = NOON.timestamp()
    common = {"fleet": make_fleet(), "state": Task.State.STARTED, "changed_at": at, "seen_at": at, "sent_at": at}
    Task.objects.create(uuid="now", started_at=at + 2, **common)
    Task.objects.create(uuid="later", started_at=at + 3602, eta_at=NOON + timedelta(hours=1), **common)
    Task.objects.create(uuid="unsent", started_at=at, **{**common, "sent_at": None})

    waits = dict(Task.objects.values_list("uuid", "wait_seconds"))

    assert waits == {"now": 2.0, "later": 2.0, "unsent": None}
    assert Task.objects.get(uuid="now").seen_at == NOON


def test_the_database_folds_as_memory_does() -> None:
    """However a life is cut into batches and shuffled, and whatever comes twice: the same row, and one end counted."""
    at_once = make_fleet("at once")
    store.write(at_once.pk, batch_of(*LIFE))
    expected = row(at_once)
    chance = random.Random(5)
    for number in range(30):
        fleet = make_fleet(f"cut {number}")
        events = [*LIFE, *chance.choices(LIFE, k=4)]
        chance.shuffle(events)
        ended = []
        while events:
            size = chance.randint(1, 4)
            ended += store.write(fleet.pk, batch_of(*events[:size])).ended
            events = events[size:]

        assert row(fleet) == expected
        assert [task.uuid for task in ended] == ["t1"]
        assert TaskRetry.objects.filter(fleet=fleet).count() == 1


def test_what_a_batch_says_of_a_new_task_is_what_its_row_says() -> None:
    """Tasks that come whole are counted from the batch, all others from their rows."""
    fleet, chance = make_fleet(), random.Random(7)
    moments = ("sent_at", "started_at", "last_started_at", "eta_at", "runtime_told")
    facts = [
        Facts(f"t{n}", 1.0, state=int(Task.State.SUCCESS), changed_at=9.0, finished_at=chance.uniform(1, 9),
              **{name: chance.choice([None, chance.uniform(1, 9)]) for name in moments})
        for n in range(100)
    ]  # fmt: skip
    batch = Batch()
    batch.tasks = {each.uuid: each for each in facts}

    ended = store.write(fleet.pk, batch).ended

    rows = {task.uuid: (task.runtime_seconds, task.wait_seconds) for task in Task.objects.filter(fleet=fleet)}
    assert {each.uuid: (each.runtime, each.wait) for each in ended} == rows


def test_ends_are_rolled_up_once() -> None:
    """Percentiles come from here and not from a scan of a million rows."""
    fleet = make_fleet()
    events = []
    for number in range(100):
        common = {"uuid": f"n{number}", "name": "shop.pay"}
        events += [event("task-sent", queue="money", **common), event("task-started", 0.5, **common),
                   event("task-succeeded", 1.0, runtime=0.01 * (number + 1), **common)]  # fmt: skip
    for _ in range(2):
        store.write(fleet.pk, batch_of(*events[:150]))
        store.write(fleet.pk, batch_of(*events[150:]))
    before = queries.latencies([fleet.pk], since=NOON.timestamp() - 900, until=NOON.timestamp() + 900, by=["name"])
    rolling_up.add_up(fleet.pk)
    after = queries.latencies([fleet.pk], since=NOON.timestamp() - 900, until=NOON.timestamp() + 900, by=["name"])

    assert before == after  # what is noted counts as what is added up
    assert rolling_up.add_up(fleet.pk) == 0
    roll_up = TaskRollUp.objects.get()

    assert (roll_up.name, roll_up.queue, roll_up.succeeded, roll_up.failed) == ("shop.pay", "money", 100, 0)
    assert opened(bytes(roll_up.runtimes)).quantile(0.5) == pytest.approx(0.5, rel=0.02)
    assert opened(bytes(roll_up.waits)).quantile(0.95) == pytest.approx(0.5, rel=0.02)
    assert Tally.from_row(1, 0, 0, 0, roll_up.runtimes, None).to_row()[4] == bytes(roll_up.runtimes)


def test_too_many_kinds_share_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name per user must not fill the database with roll-ups."""
    monkeypatch.setattr(rolling_up, "MAX_KINDS", 3)
    events = []
    for number in range(10):
        events += [event("task-received", uuid=f"n{number}", name=f"task{number}"),
                   event("task-succeeded", 1.0, uuid=f"n{number}")]  # fmt: skip

    fleet = make_fleet()
    store.write(fleet.pk, batch_of(*events))
    rolling_up.add_up(fleet.pk)

    assert TaskRollUp.objects.count() == 4
    assert TaskRollUp.objects.get(name=rolling_up.OTHERS).succeeded == 7


def test_failures_of_a_kind_are_one_group() -> None:
    """First seen, last seen and how often: what an operator asks first."""
    fleet = make_fleet()
    for number in range(3):
        store.write(
            fleet.pk,
            batch_of(
                event("task-received", number, uuid=f"f{number}", name="shop.pay"),
                event("task-failed", number, uuid=f"f{number}", exception=f"Late('{number}')", traceback=TRACEBACK),
            ),
        )

    group = ExceptionGroup.objects.get()

    assert (group.type, group.count, group.task_name, group.last_uuid) == ("Late", 3, "shop.pay", "f2")
    assert (group.last_seen_at - group.first_seen_at).total_seconds() == 2
    assert set(Task.objects.values_list("fingerprint", flat=True)) == {group.fingerprint}


def test_a_flush_costs_the_same_however_many_tasks_it_has(django_assert_num_queries: Any) -> None:
    """No query in a loop: a thousand tasks a second is nothing unusual."""
    fleet = make_fleet()
    Listening.objects.create(fleet=fleet)
    counting._known(fleet.pk)  # read once in a process
    for size in (3, 300):
        events = [event(type_, uuid=f"{size}-{n}", name="shop.pay")
                  for n in range(size) for type_ in ("task-received", "task-succeeded")]  # fmt: skip
        with django_assert_num_queries(8 if connection.vendor == "postgresql" else 7):
            services.keep(fleet, Heard(batch_of(*events), None, Report()), now=NOON)


def test_blindness_is_kept_and_shown() -> None:
    """Counts of a time in which nobody listened are estimates, and whoever reads them must know."""
    fleet = make_fleet()
    at = NOON.timestamp()
    heard = Heard(Batch(), None, Report(), [Spell("disconnected", at, at + 30, lost=True)], dropped=5)

    services.keep(fleet, heard, now=NOON)

    spells = set(BlindSpell.objects.values_list("reason", "dropped", "lost"))
    assert spells == {("disconnected", 0, True), ("overflow", 5, True)}


# --- Forgetting -------------------------------------------------------------------------------------------------------
def make_tasks(fleet: Fleet, count: int, *, newest: datetime) -> None:
    at = newest.timestamp()
    Task.objects.bulk_create(
        Task(fleet=fleet, uuid=f"{fleet.pk}-{n}", state=Task.State.SUCCESS, changed_at=at - n, seen_at=at - n)
        for n in range(count)
    )


def test_what_is_past_its_time_is_forgotten_a_part_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """One long DELETE would stop every writer of SQLite; here the next run goes on."""
    monkeypatch.setattr(services, "BATCH", 10)
    fleet = make_fleet()
    make_tasks(fleet, 35, newest=NOON - timedelta(days=20))
    make_tasks(make_fleet("young"), 5, newest=NOON)

    first = services.forget_old(now=NOON, batches=2)
    second = services.forget_old(now=NOON)

    assert (first, second, Task.objects.count()) == (20, 15, 5)


def test_beyond_their_number_the_oldest_are_forgotten() -> None:
    """A burst must not fill the disk before its time is up."""
    fleet = make_fleet()
    HistoryRules.objects.create(fleet=fleet, max_tasks=10)
    make_tasks(fleet, 25, newest=NOON)

    services.forget_old(now=NOON)

    kept = Task.objects.values_list("seen_at", flat=True)
    assert (len(kept), min(kept)) == (10, NOON - timedelta(seconds=9))


def test_the_tasks_of_a_forgotten_fleet_go_too() -> None:
    """Forgetting a fleet answers at once; its million rows leave in the background."""
    fleet = make_fleet()
    make_tasks(fleet, 5, newest=NOON)
    make_tasks(make_fleet("kept"), 5, newest=NOON)
    fleet.delete()

    services.forget_old(now=NOON)

    assert Task.objects.count() == 5


def test_kinds_of_failures_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Messages that have nothing in common must not fill the database; nor stay for ever what is long repaired."""
    monkeypatch.setattr(services, "MAX_GROUPS", 3)
    fleet = make_fleet()
    for number in range(6):
        at = (NOON - timedelta(days=30 * number)).timestamp()
        ExceptionGroup.objects.create(fleet=fleet, fingerprint=number, first_seen_at=at, last_seen_at=at)

    services.forget_old(now=NOON)

    assert set(ExceptionGroup.objects.values_list("fingerprint", flat=True)) == {0, 1, 2, 3}


def test_rules_that_cannot_be_kept_are_refused_by_name() -> None:
    """A mistake in a rule must not silently store what it should have hidden."""
    fleet = make_fleet()

    with pytest.raises(Invalid) as refused:
        services.set_rules(fleet, masked_names=["iban", ""])
    rules = services.set_rules(fleet, masked_names=["iban", " iban "], keep_days=3)

    assert refused.value.field == "masked_names"
    assert (rules.masked_names, rules.keep_days) == (["iban"], 3)
    assert services.masking_of(rules).masked("{'iban': 'DE02'}").endswith("•••}")


@pytest.mark.embedded  # PostgreSQL plans by what it counted
def test_counting_an_end_does_not_read_the_history() -> None:
    """Along the index by state each flush would read everything that ever ended: slower with each task."""
    claim = store.CLAIM.format(among="IN (SELECT value FROM json_each(%s))", final=20, failure=22)
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN QUERY PLAN {claim}", [1, "[]"])
        plan = " ".join(str(row[3]) for row in cursor.fetchall())

    assert "fleet_id=? AND uuid=?" in plan
