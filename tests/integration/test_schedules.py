"""Schedules from due time to the record of their runs, with a clock that is passed in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask, SolarSchedule

from subsystems.algedonic.models import Signal
from subsystems.event_log.models import PendingEvent
from subsystems.kernel.errors import Invalid, Refused
from subsystems.s2_coordination import queries, services
from subsystems.s2_coordination.dispatch import Postman
from subsystems.s2_coordination.models import BeatProcess, Schedule, ScheduleRun
from tests.support.factories import make_user
from tests.support.scheduled import Beat, end, make_schedule, states
from vsm_site.celery import app

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


# --- Running ----------------------------------------------------------------------------------------------------------
def test_each_due_time_is_sent_once() -> None:
    """The simplest promise, with a beat that looks more often than anything is due."""
    schedule, beat = make_schedule(now=NOON, every_seconds=60), Beat(NOON)

    while beat.now < after(300):
        beat.look(beat.now + timedelta(seconds=1))
        for run in ScheduleRun.objects.filter(state="sent"):
            end(run, now=beat.now)

    assert [run.due_at for run in beat.sent] == [after(60 * number) for number in range(1, 6)]
    assert states(schedule) == ["succeeded"] * 5
    assert PeriodicTask.objects.get(pk=schedule.task_id).total_run_count == 5


def test_a_schedule_that_runs_too_long_is_not_started_again() -> None:
    """Two at once of a job that was meant to be alone corrupt what it works on."""
    schedule, beat = make_schedule(now=NOON), Beat(NOON)

    beat.run_until(after(125))
    end(beat.sent[0], now=after(130))
    beat.run_until(after(185))

    assert states(schedule) == ["succeeded", "overlap", "sent"]


def test_a_queued_run_begins_when_the_one_before_it_ends() -> None:
    """Where every due time counts, being late is better than being left out."""
    schedule, beat = make_schedule(now=NOON, overlap="queue"), Beat(NOON)

    beat.run_until(after(125))
    waiting = states(schedule)
    end(beat.sent[0], now=after(130))
    beat.run_until(after(132))

    assert waiting == ["sent", "waiting"]
    assert states(schedule) == ["succeeded", "sent"]


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        pytest.param({"catch_up": "none"}, ["outage"] * 5, id="none"),
        pytest.param({"catch_up": "latest"}, ["outage"] * 4 + ["sent"], id="the latest"),
        pytest.param({"catch_up": "all", "catch_up_limit": 2}, ["outage"] * 3 + ["sent", "waiting"], id="all up to 2"),
    ],
)
def test_an_outage_of_all_beats_is_caught_up_on_as_the_owner_chose(
    policy: dict[str, object], expected: list[str]
) -> None:
    """Five missed minutes: a report wants its latest run, a ledger wants all, a ping wants none."""
    schedule = make_schedule(now=NOON, **policy)
    Beat(NOON).look(after(1))

    Beat(NOON).look(after(330))

    assert states(schedule) == expected


def test_a_long_outage_costs_a_bounded_number_of_rows() -> None:
    """A schedule of every second that was down for a day has 86,400 due times behind it."""
    schedule = make_schedule(now=NOON, every_seconds=1, catch_up="none")
    Beat(NOON).look(after(0.5))

    Beat(NOON).look(after(86_400))

    runs = ScheduleRun.objects.filter(schedule=schedule)
    assert runs.count() == 1000
    assert runs.order_by("due_at").first().note.startswith("85400 older")  # type: ignore[union-attr]


def test_what_was_due_while_a_schedule_was_off_was_not_missed() -> None:
    """Switching a schedule on must not set off everything of the weeks before."""
    schedule, beat = make_schedule(now=NOON, catch_up="all"), Beat(NOON)
    beat.look(after(1))
    PeriodicTask.objects.filter(pk=schedule.task_id).update(enabled=False)  # as the admin's action does
    beat.lead._dispatcher.forget()
    beat.look(after(2))
    beat.look(after(3600))

    PeriodicTask.objects.filter(pk=schedule.task_id).update(enabled=True)
    beat.lead._dispatcher.forget()
    beat.run_until(after(3661))

    assert [run.due_at for run in beat.sent] == [after(3660)]


def test_a_crontab_that_is_changed_starts_afresh() -> None:
    """At three in the afternoon somebody moves the nightly job to ten: it was not missed today."""
    schedule = make_schedule(now=NOON, cron={"hour": "3", "minute": "0"})
    beat = Beat(NOON)
    beat.look(after(1))
    beat.look(after(100))
    CrontabSchedule.objects.update(hour="12", minute="1")
    beat.lead._dispatcher.forget()

    beat.look(after(200))

    assert beat.sent == []
    assert Schedule.objects.get(pk=schedule.pk).next_due_at == NOON + timedelta(days=1, minutes=1)


def test_a_one_off_schedule_runs_once() -> None:
    """Its run is decided before it is switched off, and sent after that."""
    schedule, beat = make_schedule(now=NOON, one_off=True), Beat(NOON)

    beat.run_until(after(200))

    assert len(beat.sent) == 1
    assert not PeriodicTask.objects.get(pk=schedule.task_id).enabled


@pytest.mark.parametrize(
    ("make", "field"),
    [
        pytest.param(lambda: {"interval": IntervalSchedule.objects.create(every=5, period="microseconds")}, "second"),
        pytest.param(
            lambda: {"solar": SolarSchedule.objects.create(event="sunrise", latitude=0, longitude=0)}, "Solar"
        ),
    ],
    ids=["too fast", "solar"],
)
def test_a_schedule_that_cannot_run_says_why_and_leaves_the_others_alone(make: object, field: str) -> None:
    """One row that somebody wrote must not stop a beat."""
    broken, fine, beat = make_schedule(now=NOON, **make()), make_schedule(now=NOON), Beat(NOON)  # type: ignore[operator]

    beat.run_until(after(61))

    assert field in Schedule.objects.get(pk=broken.pk).problem
    assert [run.schedule_id for run in beat.sent] == [fine.pk]


def test_a_run_that_cannot_be_sent_fails_alone() -> None:
    """A queue that does not exist, or arguments that are no list."""
    bad, fine = make_schedule(now=NOON, args='{"a": 1}'), make_schedule(now=NOON)
    beat = Beat(NOON)
    beat.lead._dispatcher._send = Postman(app)

    beat.run_until(after(61))

    beat.lead.leave()
    assert (states(bad), states(fine)) == (["failed"], ["sent"])
    assert ScheduleRun.objects.get(schedule=bad).error


def test_a_broker_that_is_away_costs_a_delay() -> None:
    """What was decided stays in the table, and goes out when there is somebody to take it."""
    schedule, beat = make_schedule(now=NOON), Beat(NOON)
    away = True

    def send(run: ScheduleRun) -> None:
        if away:
            raise ConnectionRefusedError
        beat.sent.append(run)

    beat.lead._dispatcher._send = send
    beat.run_until(after(63))
    waiting = states(schedule)
    away = False
    beat.run_until(after(65))

    assert (waiting, states(schedule)) == (["due"], ["sent"])
    assert len(beat.sent) == 1


def test_an_idle_look_is_cheap() -> None:
    """It happens every second for ever."""
    for _ in range(20):
        make_schedule(now=NOON, every_seconds=3600)
    beat = Beat(NOON)
    beat.look(after(1))

    with CaptureQueriesContext(connection) as asked:
        beat.look(after(2))

    assert len(asked) == 2


def test_many_schedules_that_are_due_at_once_are_decided_together() -> None:
    """Deciding holds the lease's row."""
    for _ in range(30):
        make_schedule(now=NOON)
    beat = Beat(NOON)
    beat.look(after(1))
    with CaptureQueriesContext(connection) as asked:
        beat.look(after(60))

    inserts = [query for query in asked if 'INTO "s2_coordination_schedulerun' in query["sql"]]
    assert len(inserts) == 1
    assert len(beat.sent) == 30


# --- Workers ----------------------------------------------------------------------------------------------------------
def sent_run() -> ScheduleRun:
    make_schedule(now=NOON)
    beat = Beat(NOON)
    beat.run_until(after(60))
    return beat.sent[0]


@pytest.mark.parametrize(
    ("state", "message", "begins"),
    [
        pytest.param("sent", {}, True, id="the first message"),
        pytest.param("due", {}, True, id="faster than the beat could write that it was sent"),
        pytest.param("running", {}, False, id="a second message of a run"),
        pytest.param("succeeded", {}, False, id="a second message of a run that is done"),
        pytest.param("running", {"redelivered": True}, True, id="its worker died"),
        pytest.param("succeeded", {"redelivered": True}, False, id="its worker died after the end"),
        pytest.param("retrying", {"retries": 1}, True, id="the task tries again"),
        pytest.param("lost", {}, True, id="given up too early"),
        pytest.param("skipped", {}, False, id="skipped"),
    ],
)
def test_a_run_begins_once(state: str, message: dict[str, int], begins: bool) -> None:
    """A beat that dies between sending and saying so makes its successor send again."""
    run = sent_run()
    ScheduleRun.objects.filter(pk=run.pk).update(state=state)

    began = services.begin(run.pk, worker="w", now=after(61), **{"redelivered": False, "retries": 0, **message})  # type: ignore[arg-type]

    assert began is begins


def test_a_run_without_a_row_does_not_begin() -> None:
    """Its schedule was deleted while the message was on its way."""
    assert not services.begin(uuid4(), worker="w", redelivered=False, retries=0, now=NOON)


def test_a_run_without_an_end_is_given_up_and_holds_up_nobody() -> None:
    """A worker that was killed never tells."""
    schedule, beat = make_schedule(now=NOON, longest_run_seconds=100), Beat(NOON)
    beat.run_until(after(61))
    services.begin(beat.sent[0].pk, worker="w", redelivered=False, retries=0, now=after(62))
    beat.run_until(after(121))

    services.watch(now=after(161))
    early = states(schedule)
    services.watch(now=after(162))
    beat.run_until(after(181))

    assert (early, states(schedule)) == (["running", "overlap"], ["lost", "overlap", "sent"])


def test_a_message_that_expired_ends_its_run() -> None:
    """Celery drops it without a word."""
    schedule, beat = make_schedule(now=NOON, expire_seconds=20), Beat(NOON)
    beat.run_until(after(61))

    services.watch(now=after(86))

    assert states(schedule) == ["expired"]


# --- Leading ----------------------------------------------------------------------------------------------------------
def test_of_two_beats_one_leads_and_the_other_takes_over_within_one_interval() -> None:
    """Kill the leader at any moment: nothing is missed, and nothing is doubled."""
    schedule = make_schedule(now=NOON, every_seconds=5, overlap="allow")
    first, second = Beat(NOON), Beat(NOON)
    for number in range(1, 38):
        first.look(after(number * 0.5))
        assert not second.look(after(number * 0.5))

    second.run_until(after(60), step=timedelta(seconds=0.5))

    runs = list(ScheduleRun.objects.filter(schedule=schedule).order_by("due_at"))
    assert [run.due_at for run in runs] == [after(5 * number) for number in range(1, 13)]
    assert all(run.sent_at - run.due_at <= timedelta(seconds=5) for run in runs if run.sent_at)
    assert len(first.sent) + len(second.sent) == 12
    assert {run.epoch for run in runs} == {1, 2}


def test_a_beat_that_was_paused_writes_nothing_when_it_wakes() -> None:
    """A leader that stood still for half a minute believes that it still leads: the epoch tells it apart."""
    make_schedule(now=NOON, every_seconds=5, overlap="allow")
    first, second = Beat(NOON), Beat(NOON)
    first.run_until(after(6))
    second.now = after(11)
    second.run_until(after(40))

    leads = first.look(after(40))

    assert not leads
    assert len(first.sent) == 1
    assert ScheduleRun.objects.count() == 8
    assert len(second.sent) == 7


def test_a_beat_that_stops_leaves_the_lead_at_once() -> None:
    """A deployment restarts it; nobody should wait for a lease to run out."""
    first, second = Beat(NOON), Beat(NOON)
    first.look(after(1))

    first.lead.leave()

    assert second.look(after(1.1))
    assert list(BeatProcess.objects.values_list("name", flat=True)) == [second.lead.name]


def test_the_view_of_leaders_names_who_leads_and_who_stands_by() -> None:
    """Two beats that both believe to lead are every team's fear."""
    first, second = Beat(NOON), Beat(NOON)
    first.look(after(1))
    second.look(after(1))

    seen = queries.leader_body(now=after(2))

    assert (seen["leader"], seen["epoch"]) == (first.lead.name, 1)
    assert {beat["name"]: beat["leads"] for beat in seen["beats"]} == {first.lead.name: True, second.lead.name: False}
    assert queries.leader_body(now=after(60))["leader"] is None


# --- Pauses -----------------------------------------------------------------------------------------------------------
def test_a_pause_ends_by_itself() -> None:
    """Whoever paused a schedule for the night must not have to come back in the morning."""
    person = make_user()
    schedule, beat = make_schedule(now=NOON), Beat(NOON)

    services.pause(schedule, after(150), by=person, reason="moving house", now=after(1))
    beat.run_until(after(181))

    assert states(schedule) == ["paused", "paused", "sent"]
    assert [event.type for event in PendingEvent.objects.all()] == ["schedule.paused"]


def test_a_pause_can_be_ended_early_and_only_once() -> None:
    """And a pause into the past, or for ever, is a mistake."""
    schedule = make_schedule(now=NOON)
    services.pause(schedule, after(150), by=None, reason="", now=NOON)

    services.resume(schedule, by=None, now=after(10))

    assert not Schedule.objects.get(pk=schedule.pk).terms.paused(after(11))
    with pytest.raises(Refused):
        services.resume(schedule, by=None, now=after(11))
    for until in (NOON, NOON + timedelta(days=400)):
        with pytest.raises(Invalid):
            services.pause(schedule, until, by=None, reason="", now=NOON)


# --- What was missed --------------------------------------------------------------------------------------------------
def pains() -> list[tuple[str, bool]]:
    """Return the cause of each pain and whether it is open, oldest first."""
    return [(signal.data["cause"], signal.open) for signal in Signal.objects.order_by("raised_at")]


def test_a_run_that_nobody_sends_raises_pain_within_its_grace_and_ends_it_by_itself() -> None:
    """Beat cannot tell of its own death, so something else looks."""
    schedule, beat = make_schedule(now=NOON, grace_seconds=30), Beat(NOON)
    beat.look(after(1))

    services.watch(now=after(89))
    quiet = pains()
    for seconds in (91, 96):
        services.watch(now=after(seconds))
    raised = pains()
    beat.look(after(100))
    end(beat.sent[0], now=after(101))
    services.watch(now=after(102))

    assert quiet == [("schedules_leaderless", True)]
    assert raised == [("schedules_leaderless", True), ("schedule_missed", True)]
    assert pains() == [("schedules_leaderless", False), ("schedule_missed", False)]
    pain = Signal.objects.get(data__cause="schedule_missed")
    assert schedule.task.name in pain.description
    assert pain.data["due_at"] == "2026-11-20T12:01:00Z"


def test_a_run_that_no_worker_begins_raises_pain() -> None:
    """It was sent in time, into a queue that nobody reads."""
    make_schedule(now=NOON, grace_seconds=30)
    beat = Beat(NOON)
    beat.run_until(after(91))

    services.watch(now=after(91))

    pain = Signal.objects.get()
    assert pain.data["cause"] == "schedule_missed"
    assert "not begun" in pain.description


def test_a_paused_or_disabled_schedule_is_not_missed() -> None:
    """An alarm about what somebody switched off is how alarms come to be ignored."""
    paused, off = make_schedule(now=NOON), make_schedule(now=NOON)
    Beat(NOON).look(after(1))
    services.pause(paused, after(7200), by=None, reason="", now=after(2))
    services.change(off, {"enabled": False}, by=None, now=after(2))

    services.watch(now=after(3600))

    assert [cause for cause, _ in pains()] == ["schedules_leaderless"]


def test_watching_is_cheap_however_many_schedules_there_are() -> None:
    """It happens every five seconds."""
    for _ in range(25):
        make_schedule(now=NOON)
    Beat(NOON).run_until(after(61))

    with CaptureQueriesContext(connection) as asked:
        services.watch(now=after(62))

    assert len(asked) == 6


# --- Forgetting -------------------------------------------------------------------------------------------------------
def test_old_runs_are_forgotten_and_so_is_the_surplus(monkeypatch: pytest.MonkeyPatch) -> None:
    """A schedule of every second must not fill the disk within its thirty days."""
    monkeypatch.setattr(services, "KEEP_RUNS", 3)
    busy, calm = make_schedule(now=NOON), make_schedule(now=NOON)
    rows = [ScheduleRun(schedule=busy, due_at=after(number)) for number in range(5)]
    rows += [ScheduleRun(schedule=calm, due_at=NOON - timedelta(days=31)), ScheduleRun(schedule=calm, due_at=NOON)]
    ScheduleRun.objects.bulk_create(rows)

    assert services.forget_runs(now=after(10)) == 3
    assert set(ScheduleRun.objects.filter(schedule=busy).values_list("due_at", flat=True)) == {
        after(2), after(3), after(4),
    }  # fmt: skip
