"""Which slots of periodic work were claimed, and when they ran."""

from __future__ import annotations

from django.db import models


class SlotRun(models.Model):
    """One slot of one job: the unique row is the claim, so that a slot's work is done once."""

    job = models.CharField(max_length=60)
    slot = models.BigIntegerField(help_text="Start of the slot, epoch seconds")
    period_seconds = models.PositiveIntegerField()
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-slot"]
        constraints = [models.UniqueConstraint(fields=["job", "slot"], name="slot_runs_once")]

    def __str__(self) -> str:
        return f"{self.job} {self.slot}"
