"""What S2 finds, tells and damps, from rows and samples that are really there."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from math import pi, sin

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django_celery_beat.models import PeriodicTask

from subsystems.algedonic.models import Signal
from subsystems.event_log import services as event_log
from subsystems.event_log.streams import Stream
from subsystems.fleets.models import Listening, QueueState, TaskRetry, TaskRollUp
from subsystems.kernel.errors import Invalid
from subsystems.kernel.slots import slot_of
from subsystems.messaging import receiving
from subsystems.messaging.models import Message
from subsystems.recursion.models import System
from subsystems.recursion.queries import root_system
from subsystems.s1_operations.models import Fleet
from subsystems.s2_coordination import damping
from subsystems.s2_coordination.models import Clearing, Damper, ScheduleRun
from subsystems.s2_coordination.monitor import queries, services
from subsystems.s2_coordination.monitor.findings import ADVICE
from subsystems.s2_coordination.monitor.models import CoordinationFinding, CoordinationReading
from subsystems.s3_control import advising
from subsystems.s3_control.models import Recommendation
from subsystems.telemetry import services as telemetry
from subsystems.telemetry.samples import Sample
from subsystems.telemetry.sketch import Sketch
from tests.support.factories import make_message, make_system, make_unit
from tests.support.scheduled import make_schedule

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def make_fleet(name: str, system: System | None = None, broker: str = "amqp://broker/shop") -> Fleet:
    return Fleet.objects.create(system=system or root_system(), name=name, broker_display=broker)


def look(*moments: float) -> None:
    for moment in moments:
        services.look(slot_of(after(moment), 60), now=after(moment))


def ping_pong(subject: str, *, until: datetime, every: float = 300, writers: Sequence[str] = ("scaler",)) -> None:
    """Let acts on *subject* have gone up and down for two hours."""
    damper = Damper.objects.create(system=root_system(), subject=subject, asked_at=until)
    moments = [until - timedelta(seconds=every * number) for number in range(int(7200 // every) - 1, 0, -1)]
    Clearing.objects.bulk_create(
        Clearing(
            damper=damper, writer=writers[number % len(writers)], direction=1 if number % 2 else -1, code="clear",
            asked_at=at, last_at=at, ended_at=at, done=True,
        )
        for number, at in enumerate(moments)
    )  # fmt: skip


# --- What swings ------------------------------------------------------------------------------------------------------
def test_acts_that_go_to_and_fro_are_found_told_and_damped() -> None:
    """The very purpose of S2, from the rows of acts to the damper that stops them."""
    unit = make_unit("workers of mail")
    ping_pong(unit.name, until=NOON)

    look(0, 60)

    finding = CoordinationFinding.objects.get(kind="oscillation")
    assert (finding.area, finding.subject, finding.ended_at) == ("acts", unit.name, None)
    assert finding.evidence["period_seconds"] == pytest.approx(600, rel=0.05)
    assert len(finding.evidence["points_shown"]) <= 120
    assert finding.measure == f"Nothing may be taken away from {unit.name} for now."
    refused = damping.clear(root_system().pk, unit.name, -1, after(61))
    assert (refused.allowed, refused.code) == (False, "held")
    told = Message.objects.get(type="coordination.found")
    assert (told.channel, told.sender, told.recipient, told.reply_state) == ("coordination", "s2", "s1", "open")


def test_what_a_person_let_go_is_not_held_again_for_the_same_finding() -> None:
    """Who looked and decided must not be overruled a minute later."""
    ping_pong("workers", until=NOON)
    look(0, 60)
    damping.lift(Damper.objects.get(), by=None, now=after(70))

    look(120)

    assert Damper.objects.get().held_until is None
    assert CoordinationFinding.objects.get(kind="oscillation").measure == ""


def test_demand_that_swings_is_no_fault_and_lets_its_damper_wait_for_a_period() -> None:
    """Nobody is told that customers come in waves; the workers for them are kept from wave to wave."""
    make_fleet("shop")
    ends = NOON.timestamp()
    rates = [Sample("arrival_rate", ends - 60.0 * back, 1.0 + back % 15, {}) for back in range(58, 0, -1)]
    telemetry.record({"shop/mail": rates}, system_id=root_system().pk, now=ends)
    with_wave, other = (
        Damper.objects.create(system=root_system(), subject=subject, asked_at=NOON) for subject in ("shop/mail", "pay")
    )

    look(0)

    with_wave.refresh_from_db()
    other.refresh_from_db()
    assert with_wave.period_seconds == pytest.approx(900, rel=0.1)
    assert (with_wave.period_at, other.period_seconds) == (NOON, None)
    assert not CoordinationFinding.objects.exists()
    assert CoordinationReading.objects.get(system=root_system()).body["suspects"] == []


def test_what_only_people_can_damp_lies_in_the_inbox_once() -> None:
    """Retries and alerts have no damper: somebody must change a task or a rule. What S2 damps needs nobody."""
    for area, subject in (("retries", "shop"), ("alerts", "Queue\nis full"), ("workers", "shop/mail")):
        CoordinationFinding.objects.create(
            system=root_system(), kind="oscillation", area=area, subject=subject, title=f"{area} swing", summary="Why.",
            suggestion=ADVICE[area], evidence={"period_seconds": 300}, found_at=NOON, seen_at=NOON,
        )  # fmt: skip

    new = [advising.look_around(now=after(seconds)) for seconds in (0, 30)]

    told = Recommendation.objects.order_by("-subject")
    assert new == [2, 0]
    assert [(row.subject, row.act_kind, row.state) for row in told] == [
        ("shop", "", "proposed"), ("Queue is full", "", "proposed"),
    ]  # fmt: skip
    assert "retry_backoff" in told[0].reason
    assert told[0].evidence["period_seconds"] == 300


def test_one_look_is_not_enough_and_more_make_no_more_rows() -> None:
    """Noise looks like a swing once in a hundred looks; a redelivered task must change nothing."""
    ping_pong("workers", until=NOON)

    look(0)
    first = CoordinationFinding.objects.count()
    look(60, 60, 120)

    assert first == 0
    assert CoordinationFinding.objects.filter(kind="oscillation").count() == 1
    assert CoordinationReading.objects.filter(system=root_system()).count() == 3


def test_what_swings_no_more_is_over_and_its_pain_ends() -> None:
    """A finding that stays open for ever is soon ignored."""
    ping_pong("workers", until=after(960))
    look(0, 60, 960)
    hurting = Signal.objects.get(source="s2:acts:workers")
    hurt = (hurting.severity, hurting.state)

    look(4000)

    finding = CoordinationFinding.objects.get(kind="oscillation")
    hurting.refresh_from_db()
    assert hurt == ("medium", "received")
    assert finding.ended_why == "It is so no more."
    assert hurting.state == "resolved"
    assert Message.objects.filter(type="coordination.ended").count() == 1


def test_s1_hears_of_it_and_says_which_of_its_units_are_meant() -> None:
    """A message that nobody hears is a dead letter, and a question without an answer a gap in coordination."""
    unit = make_unit("workers")
    ping_pong("workers", until=NOON)
    look(0, 60)
    asked = Message.objects.get(type="coordination.found")

    receiving.receive([asked.number], worker="test")

    answer = Message.objects.get(correlation_id=asked.id)
    asked.refresh_from_db()
    assert (asked.state, answer.payload) == ("handled", {"units": [unit.pk]})


def test_a_queue_that_fills_and_empties_in_turn_is_found_in_the_samples() -> None:
    """Waves of work are seen in the depth of a queue, wherever they come from; noise is not."""
    fleet = make_fleet("shop")
    for name, height in (("shop/waves", 40), ("shop/calm", 0)):
        depth = [50 + height * sin(2 * pi * minute / 8) + 7919 * minute % 5 for minute in range(60)]
        samples = [
            Sample("ready", after(60 * minute - 3570).timestamp(), value, {}) for minute, value in enumerate(depth)
        ]
        telemetry.record({name: samples}, system_id=fleet.system_id, now=NOON.timestamp())

    look(0, 60)

    finding = CoordinationFinding.objects.get()
    assert (finding.area, finding.subject) == ("queue", "shop/waves")
    assert finding.evidence["period_seconds"] == 480


def test_alerts_that_fire_and_end_in_turn_are_found() -> None:
    """Flapping wakes people for nothing, again and again."""
    for number in range(40):
        type_ = "alert.resolved" if number % 2 else "alert.firing"
        event_log.append(
            Stream.ALERTS, type_, {"title": "Queue is long"}, system_id=root_system().pk, correlation_id="f1",
            at=after(-7200 + 180 * number),
        )  # fmt: skip
    event_log.seal()

    look(0, 60)

    finding = CoordinationFinding.objects.get()
    assert (finding.kind, finding.area, finding.title) == ("oscillation", "alerts", "Alert Queue is long swings")
    assert "threshold to recover" in finding.suggestion
    assert finding.measure == ""


@pytest.mark.parametrize(("heard", "expected"), [pytest.param(True, 1, id="heard"), pytest.param(False, 0, id="not")])
def test_retries_that_come_in_waves_are_found_where_the_fleet_is_heard(heard: bool, expected: int) -> None:
    """A minute in which nobody listened is not a minute without retries."""
    fleet = make_fleet("shop")
    Listening.objects.create(fleet=fleet, since=after(-9000) if heard else None, written_at=after(50))
    start = after(-7200).timestamp()
    TaskRetry.objects.bulk_create(
        TaskRetry(fleet=fleet, uuid=f"{minute}-{number}", at=start + 60 * minute + number)
        for minute in range(120)
        for number in range(round(8 + 7 * sin(2 * pi * minute / 10)))
    )

    look(0, 60)

    assert CoordinationFinding.objects.filter(area="retries", kind="oscillation").count() == expected


def test_many_acts_within_five_minutes_are_told_under_their_own_name() -> None:
    """To be busy is not to swing (004-25)."""
    for number in range(12):
        damping.note(root_system().pk, "workers", 1, after(-300 + 20 * number), writer="scaler")

    look(0, 60)

    finding = CoordinationFinding.objects.get()
    assert finding.kind == "rapid_adjustments"
    assert finding.evidence["adjustments_in_five_minutes"] == 12


# --- Who clashes ------------------------------------------------------------------------------------------------------
def test_two_writers_that_undo_each_other_are_found() -> None:
    """Each is right by itself; only who sees both can tell."""
    ping_pong("workers", until=NOON, writers=("scaler a", "scaler b"))

    look(0, 60)

    finding = CoordinationFinding.objects.get(kind="clash")
    assert finding.evidence["writers"] == ["scaler a", "scaler b"]
    assert finding.evidence["opposed"] >= 10


def test_fleets_that_read_one_queue_are_told_and_strangers_have_no_name() -> None:
    """A tenant must learn that it loses tasks, and not the name of who takes them."""
    other = make_system()
    mine, theirs, far = make_fleet("mine"), make_fleet("theirs", other), make_fleet("far", other, "amqp://elsewhere/")
    for fleet in (mine, theirs, far):
        QueueState.objects.create(fleet=fleet, name="celery", observed_at=after(55), readers=1)

    look(0, 60)

    found = {row.system_id: row for row in CoordinationFinding.objects.filter(kind="shared_queue")}
    assert set(found) == {root_system().pk, other.pk}
    assert "theirs" not in found[root_system().pk].summary + str(found[root_system().pk].evidence)
    assert "a fleet of another system" in found[root_system().pk].summary


def test_schedules_that_run_long_at_the_same_moments_are_found() -> None:
    """Two reports at midnight on one queue make both late."""
    for name in ("report", "backup"):
        schedule = make_schedule(name=name, now=NOON, every_seconds=3600)
        PeriodicTask.objects.filter(pk=schedule.task_id).update(queue="heavy")
        ScheduleRun.objects.bulk_create(
            ScheduleRun(
                schedule=schedule, due_at=after(-3600 * number), state="succeeded", started_at=after(-3600 * number),
                finished_at=after(-3600 * number + 600),
            )
            for number in range(1, 5)
        )  # fmt: skip

    look(0, 60)

    finding = CoordinationFinding.objects.get(kind="collision")
    assert finding.system == root_system()
    assert "11 minutes later" in finding.suggestion


# --- Figures ----------------------------------------------------------------------------------------------------------
def test_lag_efficiency_and_unanswered_questions_are_measured_from_rows() -> None:
    """No number is made up: without rows each of them is unknown."""
    system = root_system()
    empty = queries.coordination_body(system, readable=[], now=NOON)
    make_message(system=system, created_at=after(-60), handled_at=after(-59.5), state="handled")
    make_message(system=system, created_at=after(-50), handled_at=after(-48.5), state="handled", reply_state="expired")
    damping.clear(system.pk, "workers", 1, NOON, writer="a")
    damping.clear(system.pk, "workers", 1, NOON, writer="b")

    full = queries.coordination_body(system, readable=[], now=after(1))

    assert (empty["lag"]["mean_seconds"], empty["efficiency"]["value"]) == (None, None)
    assert (full["lag"]["mean_seconds"], full["lag"]["messages"]) == (1.0, 2)
    assert (full["lag"]["asked"], full["lag"]["unanswered"]) == (1, 1)
    assert full["efficiency"] == {"value": 0.5, "allocations": 2, "conflicts": 1}


def test_fairness_compares_what_tenants_of_one_broker_got() -> None:
    """A loud tenant takes what a quiet one waits for; whose name a stranger may not read."""
    loud, quiet = make_system("loud"), make_system("quiet")
    for system, done, waiting in ((loud, 90, 100), (quiet, 10, 100)):
        fleet = make_fleet("fleet", system)
        Listening.objects.create(fleet=fleet, since=after(-9000), written_at=NOON)
        QueueState.objects.create(fleet=fleet, name="q", observed_at=NOON, ready=waiting)
        runtimes = Sketch()
        runtimes.add_many([2.0] * done)
        TaskRollUp.objects.create(
            fleet=fleet, at=slot_of(after(-600), 300), name="t", succeeded=done, runtimes=runtimes.to_bytes()
        )

    (body,) = queries.fairness_bodies(quiet, readable=[], now=NOON)
    look(-30, 30)

    assert body["tasks"]["index"] == pytest.approx(0.6098, abs=1e-3)
    assert body["worker_seconds"]["index"] == pytest.approx(0.6098, abs=1e-2)
    assert {share["name"] for share in body["tasks"]["shares"]} == {"quiet", "another system"}
    assert queries.fairness_bodies(root_system(), readable=[], now=NOON) == []
    finding = CoordinationFinding.objects.get(kind="unfair")
    assert (finding.system, finding.evidence["above_their_share"]) == (quiet, 1)
    assert "loud" not in finding.summary + str(finding.evidence)


def test_channels_tell_what_is_offered_and_what_they_carry() -> None:
    """The second principle: a channel carries more than is put into it."""
    system = root_system()
    for _ in range(3):
        make_message(system=system, created_at=after(-10))

    channel = next(b for b in queries.channel_bodies(system, now=NOON) if b["channel"] == "coordination")

    assert channel["offered_per_second"] == 0.01
    assert channel["capacity_per_second"] == 160.0
    assert channel["utilisation"] == pytest.approx(0.01 / 160, abs=1e-6)
    assert channel["backlog"] == 3


def test_the_number_of_questions_does_not_grow_with_fleets_and_findings() -> None:
    """A look each minute must stay cheap for whoever has many fleets."""

    def count() -> int:
        with CaptureQueriesContext(connection) as asked:
            services.look(slot_of(NOON, 60), now=NOON)
        CoordinationReading.objects.all().delete()
        return len(asked)

    make_fleet("first")
    few = count()
    for number in range(10):
        make_fleet(f"fleet {number}", make_system())
        damping.note(root_system().pk, f"subject {number}", 1, NOON)

    assert count() <= few + 2


def test_a_minute_is_looked_at_once_whoever_asks() -> None:
    """Two beats, or a message that comes again."""
    assert [services.look_slot(now=after(second)) for second in (0, 1, 61)] == [True, False, True]
    assert CoordinationReading.objects.count() == 2 * System.objects.count()


# --- Keeping ----------------------------------------------------------------------------------------------------------
def test_old_rows_go_and_open_findings_stay() -> None:
    """A reading a minute would fill a small disk within a year."""
    ping_pong("workers", until=NOON)
    look(0, 60)

    services.forget(now=NOON + timedelta(days=60))

    assert not CoordinationReading.objects.exists()
    assert not Clearing.objects.exists()
    assert CoordinationFinding.objects.filter(ended_at=None).exists()
    assert not Damper.objects.exists()


def test_a_weight_that_cannot_be_is_refused() -> None:
    """A tenant of no weight would have no share at all."""
    with pytest.raises(Invalid) as refused:
        services.set_weight(root_system(), 0, by=None, now=NOON)

    assert refused.value.field == "weight"
