"""Two real beats on one database, one of them killed or stopped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.utils import timezone

from subsystems.s2_coordination.models import BeatLease, BeatProcess, Schedule, ScheduleRun
from tests.support import beats
from tests.support.scheduled import make_schedule
from tests.support.waiting import wait_for
from vsm_site.celery import app

pytestmark = pytest.mark.django_db(transaction=True)
EVERY_SECONDS = 2
START_SECONDS = 180  # for interpreters on a machine that is busy with other tests


@pytest.fixture
def two_beats(tmp_path: Path) -> Iterator[list[beats.BeatProcess]]:
    """Two beats, both up; what they were about to do at the end dies with them."""
    running = [beats.BeatProcess(tmp_path / name) for name in ("first", "second")]
    try:
        wait_for(lambda: BeatProcess.objects.count() == 2 and leader() is not None, seconds=START_SECONDS)
        yield running
    finally:
        for beat in running:
            beat.go_on()
            beat.kill()
        if not settings.EMBEDDED:
            app.control.purge()


def leader() -> str | None:
    lease = BeatLease.objects.filter(expires_at__gt=timezone.now()).first()
    return lease.holder if lease else None


def sent(schedule: Schedule) -> int:
    return ScheduleRun.objects.filter(schedule=schedule, state="sent").count()


def leading_of(running: list[beats.BeatProcess]) -> beats.BeatProcess:
    name = leader() or ""
    return next(beat for beat in running if beat.name_part in name)


def messages_of_runs() -> Counter[str]:
    """Return how many messages each run has on the broker."""
    found: Counter[str] = Counter()
    with app.connection_for_read() as connection, connection.channel() as channel:
        while message := channel.basic_get("vsm.default.v1", no_ack=True):
            headers = message.headers
            if "schedule_run" in headers:
                found[headers["schedule_run"]] += 1
    return found


def assert_none_missed_none_doubled(schedule: Schedule) -> list[ScheduleRun]:
    runs = list(ScheduleRun.objects.filter(schedule=schedule).order_by("due_at"))
    steps = {later.due_at - earlier.due_at for earlier, later in zip(runs, runs[1:], strict=False)}
    assert steps == {timedelta(seconds=EVERY_SECONDS)}
    assert {run.state for run in runs} <= {"sent", "due"}, [(run.due_at, run.state, run.reason) for run in runs]
    if not settings.EMBEDDED:
        counted = messages_of_runs()
        # The beats were stopped at some moment: perhaps between sending a run and saying so.
        assert {str(run.pk) for run in runs if run.sent_at} <= set(counted) <= {str(run.pk) for run in runs}
        # A leader killed between sending and saying so sends twice; its second message finds the run begun.
        assert counted.total() - len(counted) <= 1
    return runs


def test_when_the_leader_is_killed_the_other_beat_misses_and_doubles_nothing(
    two_beats: list[beats.BeatProcess],
) -> None:
    """The promise that neither Celery's nor django-celery-beat's scheduler makes."""
    schedule = make_schedule(now=timezone.now(), every_seconds=EVERY_SECONDS, overlap="allow")
    wait_for(lambda: sent(schedule) >= 2, seconds=30)

    leading_of(two_beats).kill()
    before = sent(schedule)
    wait_for(lambda: sent(schedule) >= before + 3, seconds=30)
    for beat in two_beats:
        beat.pause()

    runs = assert_none_missed_none_doubled(schedule)
    assert len({run.epoch for run in runs}) == 2


def test_a_leader_that_stood_still_does_not_send_what_its_successor_sent(two_beats: list[beats.BeatProcess]) -> None:
    """A virtual machine that is moved, a process in a debugger: it wakes up sure that it still leads."""
    schedule = make_schedule(now=timezone.now(), every_seconds=EVERY_SECONDS, overlap="allow")
    wait_for(lambda: sent(schedule) >= 1, seconds=30)
    old = leading_of(two_beats)

    old.pause()
    before = sent(schedule)
    wait_for(lambda: sent(schedule) >= before + 3, seconds=30)
    old.go_on()
    wait_for(lambda: b"stands by" in old.log.read_bytes(), seconds=30)
    for beat in two_beats:
        beat.pause()

    assert_none_missed_none_doubled(schedule)
    assert old.name_part not in BeatLease.objects.get().holder
