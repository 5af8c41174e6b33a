"""The event log in a database: sealed in order, refused to whoever would change it, proven, and made something of."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction
from django.db.models import F
from django.test.utils import CaptureQueriesContext

from subsystems.event_log import bulk, checkpoints, projections, queries, registry, services
from subsystems.event_log.chain import POSITION
from subsystems.event_log.event_types import OperationExecuted, typed
from subsystems.event_log.models import (
    ChainHead,
    Event,
    EventCheckpoint,
    EventCount,
    HandlerPosition,
    PendingEvent,
)
from subsystems.event_log.queries import Wanted
from subsystems.event_log.recorded import Recorded
from subsystems.event_log.streams import Stream
from subsystems.event_log.verification import Kind
from subsystems.kernel.errors import Invalid, NotListed, Refused
from tests.support.append_only import triggers_off

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC)
STREAMS = [Stream.OPERATIONS, Stream.ALGEDONIC, Stream.AUDIT]


def write(count: int, start: int = 0, **fields: Any) -> None:
    """Record and seal *count* events over three streams and some hours."""
    services.append_many(
        services.pending(STREAMS[n % 3], f"type-{n % 2}", {"n": n}, at=NOON + timedelta(minutes=n), **fields)
        for n in range(start, start + count)
    )
    while services.seal():
        pass


def positions() -> dict[str, int]:
    return dict(HandlerPosition.objects.values_list("name", "position"))


# --- Sealing --------------------------------------------------------------------------------------------------------
def test_events_get_their_places_in_the_order_in_which_they_came() -> None:
    """Positions and sequences without gaps are what makes a missing event show."""
    write(7)
    write(5, start=7)

    rows = list(Event.objects.order_by("position").values_list("position", "stream", "sequence", "data"))

    assert [row[0] for row in rows] == list(range(1, 13))
    assert [row[3] for row in rows] == [f'{{"n":{n}}}' for n in range(12)]
    assert [row[2] for row in rows if row[1] == Stream.AUDIT] == [1, 2, 3, 4]
    assert not PendingEvent.objects.exists()
    assert queries.verify().ok


def test_an_event_goes_with_the_transaction_it_tells_of() -> None:
    """What was rolled back did not happen, and leaves no gap."""
    try:
        with transaction.atomic():
            services.append(Stream.AUDIT, "undone", {})
            raise RuntimeError
    except RuntimeError:
        services.append(Stream.AUDIT, "done", {})

    assert services.seal() == 1
    assert list(Event.objects.values_list("position", "type")) == [(1, "done")]


def test_a_sealer_that_dies_leaves_everything_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between any two of its statements."""
    write(3)
    services.append_many(services.pending(Stream.AUDIT, "t", {}) for _ in range(2_000))
    for step in ("_chained", "_mark"):
        with monkeypatch.context() as patch:
            patch.setattr(services, step, _killed)
            with pytest.raises(KeyboardInterrupt):
                services.seal()

    assert (Event.objects.count(), PendingEvent.objects.count()) == (3, 2_000)
    assert services.seal() == 2_000
    assert queries.verify().checked == 2_003


def _killed(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_large_events_are_sealed_a_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Five thousand of a megabyte each would not fit into the memory."""
    monkeypatch.setattr(services, "MAX_CHARACTERS", 2_500)
    services.append_many(services.pending(Stream.AUDIT, "t", {"text": "x" * 1_000}) for _ in range(5))

    assert [services.seal() for _ in range(3)] == [3, 2, 0]


@pytest.mark.django_db(transaction=True)
def test_many_sealers_at_once_make_one_chain() -> None:
    """Two relays, or a paused one that comes back."""
    errors: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for n in range(20):
                services.append(STREAMS[number % 3], "t", {"worker": number, "n": n})
                services.seal(limit=7)
        except BaseException as error:  # noqa: BLE001
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    while services.seal():
        pass

    assert errors == []
    assert queries.verify().checked == 80
    assert queries.verify().ok


SEALING = """
import django
django.setup()
from subsystems.event_log import services
while True:
    services.append_many(services.pending("audit", "t", {"n": n}) for n in range(500))
    services.seal(200)
    services.project()
"""


@pytest.mark.django_db(transaction=True)
def test_a_killed_process_leaves_a_chain_that_goes_on() -> None:
    """kill -9 while it writes, seals and projects: nothing half done, nothing lost, nothing counted twice."""
    variables = {**os.environ, "DATABASE_URL": database_url(), "VSM_LOG_LEVEL": "ERROR"}
    for _ in range(2):
        before = queries.head_position()
        with subprocess.Popen([sys.executable, "-c", SEALING], env=variables) as child:
            while queries.head_position() < before + 1_000 and child.poll() is None:
                threading.Event().wait(0.02)
            assert child.poll() is None
            child.kill()

    sealed, waiting = Event.objects.count(), PendingEvent.objects.count()
    assert (sealed + waiting) % 500 == 0
    assert (sealed % 200, queries.verify().ok) == (0, True)
    assert services.seal() == min(waiting, services.BATCH)


def database_url() -> str:
    """Return the address of the test's database, for another process."""
    at = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{at['NAME']}"
    return f"postgres://{quote(at['USER'])}:{quote(at['PASSWORD'])}@{at['HOST']}:{at['PORT'] or 5432}/{at['NAME']}"


@pytest.mark.parametrize("text", ["\ud800", "\0", "ä€😀", '"\\'], ids=["surrogate", "nul", "unicode", "quotes"])
def test_any_text_can_be_recorded(text: str) -> None:
    """A field that a stranger writes must not keep an event from being recorded, nor its transaction."""
    services.append(Stream.AUDIT, "t", {"text": text})
    services.seal()

    assert queries.recorded(Event.objects.get()).data == {"text": text}
    assert queries.verify().ok


@pytest.mark.parametrize("about", [{"actor": "x" * 151}, {"message_id": "a\0"}, {"correlation_id": "\ud800"}])
def test_what_no_column_holds_is_refused_by_name(about: dict[str, str]) -> None:
    """One database would keep it and another one fail."""
    with pytest.raises(Invalid) as refused:
        services.append(Stream.AUDIT, "t", {}, **about)

    assert refused.value.field in about


def test_a_documented_event_comes_back_as_its_type() -> None:
    """Whoever handles it need not know its JSON."""
    made = OperationExecuted(
        operation_id="op-1", input_variety=2.0, output_variety=1.0, execution_time=12.5, result="ok"
    )
    services.record(made, actor="web-1")
    services.seal()

    row = queries.recorded(Event.objects.get())

    assert typed(row) == made
    assert (row.stream, row.version, row.actor) == (Stream.OPERATIONS, 1, "web-1")


# --- Append-only ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("table", ["event_log_event", "event_log_eventcheckpoint"])
@pytest.mark.parametrize(
    "statement", ["UPDATE {table} SET position = position + 1", "DELETE FROM {table}"], ids=["update", "delete"]
)
def test_the_database_refuses_to_change_what_is_sealed(table: str, statement: str) -> None:
    """Also to the owner of the tables, and whatever program is used."""
    write(3)
    services.checkpoint(now=NOON)

    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement.format(table=table))

    assert queries.verify().checked == 3


def test_a_row_is_neither_replaced_nor_truncated() -> None:
    """The side doors of either database."""
    write(3)
    statement = (
        "TRUNCATE event_log_event"
        if connection.vendor == "postgresql"
        else "REPLACE INTO event_log_event SELECT * FROM event_log_event WHERE position = 2"
    )

    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)


# --- Verifying ------------------------------------------------------------------------------------------------------
def update(at: int, /, **fields: Any) -> None:
    Event.objects.filter(position=at).update(**fields)


def swap(one: int, other: int) -> None:
    update(one, position=0)
    update(other, position=one)
    update(0, position=other)


def insert(position: int) -> None:
    """Put an event between two others, which make room for it."""
    for row in Event.objects.filter(position__gte=position).order_by("-position").values_list("position", flat=True):
        update(row, position=F("position") + 1)
    Event.objects.create(position=position, sequence=9_999, stream=Stream.AUDIT, type="t", hash=b"1" * 32)
    ChainHead.objects.update(position=F("position") + 1)


def cut(start: int) -> None:
    """Cut the tail as thoroughly as the database allows: head and checkpoints fit what is left."""
    Event.objects.filter(position__gte=start).delete()
    EventCheckpoint.objects.filter(position__gte=start).delete()
    last = Event.objects.get(position=start - 1)
    ChainHead.objects.update(position=last.position, hash=last.hash)


def rewrite(position: int) -> None:
    """Change an event and write the chain anew behind it."""
    update(position, data='{"n":"changed"}')
    previous = bytes(Event.objects.get(position=position - 1).hash)
    for event in Event.objects.filter(position__gte=position).order_by("position"):
        row = [getattr(event, name) for name in queries.FIELDS[:-1]]
        previous = services.link(previous, row)
        update(event.position, hash=previous)
    ChainHead.objects.update(hash=previous)


@pytest.mark.parametrize(
    ("tamper", "first", "kind"),
    [
        (lambda: update(500, data="{}"), 500, Kind.ALTERED),
        (lambda: update(500, at=F("at") + timedelta(microseconds=1)), 500, Kind.ALTERED),
        (lambda: update(500, system_id=3), 500, Kind.ALTERED),
        (lambda: update(500, hash=b"0" * 32), 500, Kind.ALTERED),
        (lambda: Event.objects.filter(position=500).delete(), 500, Kind.MISSING),
        (lambda: Event.objects.filter(position__lte=2).delete(), 1, Kind.MISSING),
        (lambda: swap(500, 503), 500, Kind.MOVED),
        (lambda: insert(950), 950, Kind.MOVED),
        (lambda: Event.objects.create(position=1_002, sequence=999, stream="audit", type="t", hash=b"1" * 32), 1_002,
         Kind.INSERTED),
        (lambda: Event.objects.filter(position__gte=999).delete(), 999, Kind.TAIL_MISSING),
        (lambda: rewrite(950), 1_000, Kind.REWRITTEN),
        (lambda: EventCheckpoint.objects.all().delete(), 1_000, Kind.CHECKPOINT_MISSING),
        (lambda: EventCheckpoint.objects.update(hash=b"0" * 32), 1_000, Kind.CHECKPOINT_FORGED),
        (lambda: ChainHead.objects.update(hash=b"0" * 32), 1_001, Kind.HEAD_ALTERED),
        (lambda: ChainHead.objects.update(position=900), 900, Kind.HEAD_ALTERED),
    ],
    ids=[
        "data", "time", "system", "hash", "deleted", "first deleted", "swapped", "inserted between", "appended",
        "tail deleted", "rewritten", "checkpoints deleted", "checkpoint forged", "head's hash", "head moved back",
    ],
)  # fmt: skip
def test_what_a_superuser_does_to_the_table_is_located(tamper: Callable[[], Any], first: int, kind: Kind) -> None:
    """The triggers stop everybody but the superuser; the chain stops nobody and betrays all."""
    write(1_001)
    assert queries.verify().ok

    with triggers_off():
        tamper()

    found = queries.verify()
    assert (found.first_bad, kind in {each.kind for each in found.findings}) == (first, True)


@pytest.mark.parametrize(("tamper", "first"), [(lambda: cut(901), 901), (lambda: rewrite(950), 1_000)])
def test_a_checkpoint_outside_the_database_tells_what_nothing_in_it_can(tamper: Callable[[], Any], first: int) -> None:
    """Whoever owns the database can delete its checkpoints too; the copy in the log is elsewhere."""
    write(1_000)
    outside = [checkpoints.signed(key, row.position, bytes(row.hash)) for row in EventCheckpoint.objects.all()
               for key in queries.signing_keys()[:1]]  # fmt: skip

    with triggers_off():
        tamper()

    assert queries.verify(outside=outside).first_bad == first


def test_a_part_of_the_chain_can_be_verified() -> None:
    """A long log is proven piece by piece."""
    write(50)
    seen: list[tuple[int, int]] = []
    with triggers_off():
        update(20, data="{}")

    before, after, across = (
        queries.verify(1, 19),
        queries.verify(22, 50),
        queries.verify(15, 30, lambda *at: seen.append(at)),
    )

    assert (before.ok, after.ok, across.first_bad) == (True, True, 20)
    assert (before.checked, after.checked, across.checked) == (19, 29, 16)
    assert seen[-1] == (16, 16)


def test_reading_goes_on_behind_a_hole_of_any_size() -> None:
    """Else whoever takes many away would end the walk before its end."""
    write(60)
    with triggers_off():
        Event.objects.filter(position__range=(11, 50)).delete()

    assert [[row[POSITION] for row in bulk.read_events(after, 60, 5)] for after in (8, 10, 58, 60)] == [
        [9, 10], [51, 52, 53, 54, 55], [59, 60], [],
    ]  # fmt: skip


def test_an_empty_log_is_in_order() -> None:
    """The first thing that somebody tries."""
    assert queries.verify().ok


# --- Checkpoints ----------------------------------------------------------------------------------------------------
def test_the_end_of_the_chain_is_signed_every_thousand_events_and_every_minute(
    caplog: pytest.LogCaptureFixture, django_capture_on_commit_callbacks: Any
) -> None:
    """What is not signed yet could be written anew."""
    with caplog.at_level(logging.INFO), django_capture_on_commit_callbacks(execute=True):
        write(2_500)
        services.tend(NOON)
        services.tend(NOON + timedelta(days=30))
        services.tend(NOON + timedelta(days=30, seconds=59))

    signed = list(EventCheckpoint.objects.order_by("position").values_list("position", flat=True))
    copies = checkpoints.parse(record.getMessage() for record in caplog.records)
    assert signed == [1_000, 2_000, 2_500]
    assert [each.position for each in copies] == [2_000, 2_500]
    assert queries.verify(outside=copies).ok


# --- Projecting -----------------------------------------------------------------------------------------------------
@pytest.fixture
def heard() -> Iterator[list[int]]:
    """A handler that hears everything from the beginning, and what it has heard."""
    found: list[int] = []

    @registry.projects("test.heard", start="beginning", reset=found.clear)
    def effect(events: Sequence[Recorded]) -> None:
        found.extend(event.position for event in events)

    yield found
    registry.forget("test.heard")


@pytest.fixture
def failing() -> Iterator[set[int]]:
    """A handler that fails at the positions of a set."""
    bad: set[int] = set()

    @registry.projects("test.failing", start="beginning")
    def effect(events: Sequence[Recorded]) -> None:
        if found := bad & {event.position for event in events}:
            raise ValueError(f"cannot stand {min(found)}")

    yield bad
    registry.forget("test.failing")


def test_each_event_is_heard_once_and_in_order(heard: list[int]) -> None:
    """The checkpoint moves in the transaction of the effect."""
    write(10)
    services.project()
    write(5, start=10)
    services.project()

    assert heard == list(range(1, 16))
    assert set(positions().values()) == {15}


def test_a_new_handler_starts_now_or_at_the_beginning(heard: list[int]) -> None:
    """`current` counts only for its first start: what comes while it is down is not lost (2-45)."""
    write(6)
    services.project()
    write(6, start=6)
    services.project()

    assert heard == list(range(1, 13))
    assert sum(EventCount.objects.values_list("count", flat=True)) == 4


def test_a_handler_that_fails_stands_still_and_harms_no_other(heard: list[int], failing: set[int]) -> None:
    """One mistake in one read model must not stop the rest of the platform."""
    failing.add(6)
    write(10)

    services.project(now=NOON)
    row = HandlerPosition.objects.get(name="test.failing")

    assert heard == list(range(1, 11))
    assert (row.position, row.failures) == (5, 1)
    assert "event 6" in row.last_error
    assert "cannot stand 6" in row.last_error


def test_a_handler_that_failed_is_tried_again_later_and_later(failing: set[int]) -> None:
    """A broken handler must not eat the machine, and one that was repaired goes on by itself."""
    failing.add(1)
    write(3)
    for seconds in (0, 1, 3):  # the second try comes too early
        services.project(now=NOON + timedelta(seconds=seconds))
    failures = HandlerPosition.objects.get(name="test.failing").failures
    failing.clear()
    services.project(now=NOON + timedelta(seconds=60))

    row = HandlerPosition.objects.get(name="test.failing")
    assert failures == 2
    assert (row.position, row.failures, row.last_error, row.retry_at) == (3, 0, "", None)


def test_an_effect_that_fails_leaves_no_trace(failing: set[int]) -> None:
    """Effect and checkpoint are one transaction."""
    failing.add(2)
    add = registry.find("OperationsHandler").effect

    @registry.projects("test.counts", start="beginning", streams=[Stream.OPERATIONS])
    def effect(events: Sequence[Recorded]) -> None:
        add(events)
        raise ValueError

    services.append(Stream.OPERATIONS, "t", {})
    services.seal()
    try:
        services.project(now=NOON)
    finally:
        registry.forget("test.counts")

    assert not EventCount.objects.exists()


def test_there_is_a_handler_for_each_stream_but_audit() -> None:
    """Requirements 004-17 and 2-45: the seven of the design, and alerts."""
    assert set(projections.HANDLERS) <= set(registry.handlers())
    assert set(projections.HANDLERS.values()) == set(Stream) - {Stream.AUDIT}


def counts() -> list[tuple[Any, ...]]:
    rows = EventCount.objects.order_by("at", "system_id", "stream", "type")
    return list(rows.values_list("at", "system_id", "stream", "type", "count"))


def test_a_replay_builds_the_same_again() -> None:
    """A read model that was lost or is wrong costs a command."""
    services.tend(NOON)
    write(400)
    services.project()
    before = counts()
    EventCount.objects.filter(type="type-0").update(count=7)
    seen: list[tuple[int, int]] = []

    for name in projections.HANDLERS:
        services.replay(name, lambda *at: seen.append(at))

    assert counts() == before != []
    assert seen[-1] == (400, 400)
    assert HandlerPosition.objects.filter(replay_seen_at=None).count() == len(registry.handlers())


def test_live_projection_leaves_a_handler_alone_that_is_replayed(
    heard: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both at once would count twice; and a replay that died is finished by the living."""
    write(10)
    monkeypatch.setattr(services, "_step", _killed)
    with pytest.raises(KeyboardInterrupt):
        services.replay("test.heard")
    HandlerPosition.objects.filter(name="test.heard").update(replay_seen_at=NOON)

    services.project(now=NOON + timedelta(seconds=60))
    during = list(heard)
    HandlerPosition.objects.filter(name="test.heard").update(replay_seen_at=datetime.now(UTC))
    with pytest.raises(Refused, match="replayed already"):
        services.replay("test.heard")
    services.project(now=datetime.now(UTC) + timedelta(minutes=3))

    assert (during, heard) == ([], list(range(1, 11)))


def test_only_what_can_be_emptied_is_replayed(failing: set[int]) -> None:
    """Else everything would be there twice."""
    with pytest.raises(Refused, match="nothing that could be built again"):
        services.replay("test.failing")
    with pytest.raises(NotListed):
        services.replay("nobody")


def test_one_turn_does_all_there_is_to_do(heard: list[int]) -> None:
    """What the relay calls five times a second; the very first event is heard too."""
    services.append(Stream.POLICY, "t", {})

    done = services.tend(NOON)

    assert done > 0
    assert heard == [1]
    assert EventCount.objects.get().count == 1
    assert EventCheckpoint.objects.get().position == 1


def test_a_turn_with_nothing_to_do_is_cheap() -> None:
    """It comes five times a second, day and night."""
    write(3)
    services.tend(NOON)

    with CaptureQueriesContext(connection) as captured:
        assert services.tend(NOON) == 0

    assert len(captured) <= 3


# --- Searching ------------------------------------------------------------------------------------------------------
def test_events_are_found_by_what_is_known_of_them() -> None:
    """The search page."""
    write(12, correlation_id="c-1", system_id=4)
    write(3, start=12, correlation_id="c-2", message_id="m", actor="ada")

    def found(**wanted: Any) -> int:
        return queries.search(Wanted(**wanted)).count()

    assert (found(), found(stream=Stream.AUDIT), found(type="type-1"), found(system_id=4)) == (15, 5, 7, 12)
    assert (found(message_id="m"), found(text="ADA"), found(text='"n":11')) == (3, 3, 1)
    assert found(since=NOON + timedelta(minutes=2), until=NOON + timedelta(minutes=4)) == 3
    assert [event.position for event in queries.chain_of("c-2")] == [13, 14, 15]
    assert queries.search(Wanted(), within=queries.visible([4])).count() == 12


def test_a_text_is_looked_for_in_so_many_events_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """No index holds it: without a bound one question reads the whole log. What was read is told, and one can go on."""
    monkeypatch.setattr(queries, "SEARCHED", 5)
    write(12, correlation_id="c-1")
    steps, before = [], None
    for _ in range(3):
        wanted = Wanted(text="type", before=before)
        before = queries.searched(wanted)[0]
        steps.append((queries.searched(wanted), queries.search(wanted).count()))

    assert steps == [((8, 12), 5), ((3, 7), 5), ((1, 2), 2)]
    assert queries.searched(Wanted(text="type", until=NOON + timedelta(minutes=4)))[1] == 5


def test_pages_go_on_where_the_last_one_ended() -> None:
    """By position: what comes meanwhile shifts nothing."""
    write(7)
    first = queries.page(queries.search(Wanted()), limit=3)
    write(2, start=7)

    second = queries.page(queries.search(Wanted()), before=first[-1].position, limit=3)

    assert [event.position for event in [*first, *second]] == [7, 6, 5, 4, 3, 2]


# --- Commands -------------------------------------------------------------------------------------------------------
def test_the_command_says_that_all_is_as_sealed() -> None:
    """And with what it has looked at."""
    write(20)
    out = StringIO()

    call_command("verify_events", stdout=out, stderr=StringIO())

    assert out.getvalue() == "20 events verified, from 1 to 20: all as sealed.\n"


def test_the_command_names_the_first_bad_position_and_fails() -> None:
    """A cron job looks at the exit code, a person at the number."""
    write(20)
    out = StringIO()
    with triggers_off():
        update(13, type="other")

    with pytest.raises(SystemExit) as ended:
        call_command("verify_events", "--from", "5", stdout=out, stderr=StringIO())

    assert ended.value.code == 1
    assert "The first bad position is 13." in out.getvalue()


def test_the_command_holds_the_log_against_a_copy(tmp_path: Path) -> None:
    """The copy of the checkpoints is a log file."""
    write(1_000)
    row = EventCheckpoint.objects.get()
    copy = tmp_path / "copy.log"
    copy.write_text(f"x {checkpoints.Checkpoint(row.position, bytes(row.hash), row.signature).line()}\n")
    with triggers_off():
        cut(901)

    with pytest.raises(SystemExit):
        call_command("verify_events", "--checkpoints", str(copy), stdout=StringIO(), stderr=StringIO())
    with pytest.raises(CommandError, match="Cannot read"):
        call_command("verify_events", "--checkpoints", str(tmp_path / "none"), stdout=StringIO())


def test_the_command_replays() -> None:
    """With the names of those that can be."""
    services.tend(NOON)
    write(9)
    out = StringIO()

    call_command("replay", "AlgedonicHandler", stdout=out, stderr=StringIO())

    assert out.getvalue() == "AlgedonicHandler went through 9 events.\n"
    with pytest.raises(CommandError, match="There are: AlertsHandler, AlgedonicHandler"):
        call_command("replay", "nobody", stdout=StringIO(), stderr=StringIO())
