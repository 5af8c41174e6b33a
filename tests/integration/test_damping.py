"""The dampers' rows: one writer per subject, holds that last, and a switch for each system."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection

from subsystems.event_log.models import PendingEvent
from subsystems.kernel.errors import Invalid, Refused
from subsystems.recursion.queries import root_system
from subsystems.s2_coordination import damping
from subsystems.s2_coordination.damping import Clearance
from subsystems.s2_coordination.models import Clearing, Damper
from tests.support.factories import make_system

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
SUBJECT = "fleet 1: queue mail"


def after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


@pytest.mark.django_db(transaction=True)
def test_of_many_writers_at_once_one_wins() -> None:
    """Two scalers that both act on one queue are how a fleet swings."""
    system = root_system()
    damping.note(system.pk, SUBJECT, 0, NOON)
    ready, answers = threading.Barrier(4), list[Clearance]()

    def ask(number: int) -> None:
        try:
            ready.wait(10)
            answers.append(damping.clear(system.pk, SUBJECT, 1, NOON, writer=f"scaler {number}"))
        finally:
            connection.close()

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(answer.allowed for answer in answers) == [False, False, False, True]
    assert {answer.code for answer in answers if not answer.allowed} == {"taken"}
    assert {answer.retry_at for answer in answers if not answer.allowed} == {after(60)}
    assert Clearing.objects.filter(code="clear", told=False).count() == 1


@pytest.mark.django_db
def test_a_lease_ends_with_its_act_or_by_itself() -> None:
    """A writer that dies must not keep a subject for ever, one that lives need not keep it a minute."""
    system = root_system()

    first = damping.clear(system.pk, SUBJECT, 1, NOON)
    taken = damping.clear(system.pk, SUBJECT, 1, after(1))
    damping.note(system.pk, SUBJECT, 1, after(2), token="somebody else's")
    still = damping.clear(system.pk, SUBJECT, 1, after(3))
    damping.note(system.pk, SUBJECT, 1, after(4), token=first.token)
    second = damping.clear(system.pk, SUBJECT, 1, after(5))
    third = damping.clear(system.pk, SUBJECT, 1, after(65))

    assert [each.allowed for each in (first, taken, still, second, third)] == [True, False, False, True, True]


@pytest.mark.django_db
def test_a_reversal_is_refused_with_the_moment_from_which_it_may_be_tried() -> None:
    """What steers must know when to come back, and people why nothing happens."""
    system = root_system()
    cleared = damping.clear(system.pk, SUBJECT, 1, NOON)
    damping.note(system.pk, SUBJECT, 1, NOON, token=cleared.token)

    refused = [damping.clear(system.pk, SUBJECT, -1, after(60 * number)) for number in range(1, 4)]
    allowed = damping.clear(system.pk, SUBJECT, -1, after(300))

    assert {(each.allowed, each.retry_at) for each in refused} == {(False, after(300))}
    assert "Something was added 60 s ago" in refused[0].reason
    assert allowed.allowed
    assert list(Clearing.objects.filter(code="reversal").values_list("times", flat=True)) == [3]


@pytest.mark.django_db
def test_an_act_that_was_not_done_leaves_no_trace_in_the_direction() -> None:
    """A scaler that was cleared and failed has not turned anything round."""
    system = root_system()
    cleared = damping.clear(system.pk, SUBJECT, 1, NOON)
    damping.note(system.pk, SUBJECT, 1, NOON, token=cleared.token, done=False)

    assert damping.clear(system.pk, SUBJECT, -1, after(1)).allowed


@pytest.mark.django_db
def test_one_system_damps_and_another_does_not() -> None:
    """With and without can be compared side by side, and no tenant feels another's dampers."""
    mine, other = make_system(), make_system()
    damping.set_rules(mine.pk, {"enabled": False}, by=None, now=NOON)
    for system in (mine, other):
        damping.note(system.pk, SUBJECT, 1, NOON)

    answers = [damping.clear(system.pk, SUBJECT, -1, after(1)) for system in (mine, other)]

    assert [(each.allowed, each.code) for each in answers] == [(True, "off"), (False, "reversal")]
    event = PendingEvent.objects.get(type="damping.changed")
    assert event.system_id == mine.pk


@pytest.mark.django_db
def test_what_is_held_is_let_go_by_hand() -> None:
    """A person who knows better than S2 must not wait for it."""
    system = root_system()
    held = damping.hold(system.pk, SUBJECT, after(600), "It swings.", now=NOON)
    shorter = damping.hold(system.pk, SUBJECT, after(300), "It swings less.", now=NOON)
    refused = damping.clear(system.pk, SUBJECT, -1, after(1))
    damper = Damper.objects.get()

    damping.lift(damper, by=None, now=after(2))

    assert (held, shorter, refused.reason) == (True, False, "It swings.")
    assert damping.clear(system.pk, SUBJECT, -1, after(3)).allowed
    with pytest.raises(Refused, match="No damper"):
        damping.lift(damper, by=None, now=after(4))


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("subject", "direction", "field"),
    [
        pytest.param("", 1, "subject", id="no subject"),
        pytest.param("x" * 201, 1, "subject", id="a subject that is too long"),
        pytest.param("queue", 0.5, "direction", id="half a direction"),
    ],
)
def test_what_cannot_be_asked_is_refused_by_field(subject: str, direction: int, field: str) -> None:
    """A mistake of the caller must not become a row that nobody understands."""
    with pytest.raises(Invalid) as refused:
        damping.clear(root_system().pk, subject, direction, NOON)

    assert refused.value.field == field
    assert not Damper.objects.exists()


@pytest.mark.django_db
def test_rules_that_cannot_be_are_refused_whole() -> None:
    """A factor below one would make each swing wait less."""
    system = root_system()

    with pytest.raises(Invalid) as refused:
        damping.set_rules(system.pk, {"enabled": False, "factor": 0.5}, by=None, now=NOON)

    assert refused.value.field == "factor"
    assert damping.terms_of(system.pk).enabled


@pytest.mark.django_db
def test_what_is_old_is_forgotten_and_what_is_held_is_not() -> None:
    """Rows must not grow for ever; a hold must not end because nobody asked."""
    system = root_system()
    damping.clear(system.pk, "old", 1, NOON)
    damping.clear(system.pk, "held", 1, NOON)
    late = NOON + timedelta(days=31)
    damping.hold(system.pk, "held", late + timedelta(days=1), "It swings.", now=late)

    damping.forget_clearings(now=late)

    assert [row.subject for row in Damper.objects.all()] == ["held"]
    assert not Clearing.objects.exists()
