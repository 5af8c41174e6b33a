"""A beat schedule without drift: due at each multiple of its period since the epoch."""

from __future__ import annotations

from datetime import datetime

from celery.schedules import schedstate, schedule

from subsystems.kernel.slots import slot_of


class SlotSchedule(schedule):  # type: ignore[misc]
    """Due once per slot, at its start, however long publishing took the last time."""

    def __init__(self, period_seconds: int) -> None:
        self.period_seconds = period_seconds
        super().__init__(run_every=period_seconds)

    def is_due(self, last_run_at: datetime) -> schedstate:
        now = self.now()
        slot = slot_of(now, self.period_seconds)
        wait = slot + self.period_seconds - now.timestamp()
        return schedstate(is_due=slot > slot_of(last_run_at, self.period_seconds), next=max(wait, 0.001))

    def __reduce__(self) -> tuple[type[SlotSchedule], tuple[int]]:
        return type(self), (self.period_seconds,)


def every(period_seconds: int) -> SlotSchedule:
    """Return the schedule that is due at each multiple of *period_seconds*."""
    return SlotSchedule(period_seconds)
