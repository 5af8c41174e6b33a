"""Which series exist, and their warm roll-ups. Samples themselves never pass the ORM."""

from __future__ import annotations

from django.db import models
from django.utils import timezone

from subsystems.recursion.models import System


class Series(models.Model):
    """One metric of one source with one set of labels, as an integer id."""

    system = models.ForeignKey(System, on_delete=models.CASCADE, related_name="series")
    source = models.CharField(max_length=200)
    metric = models.CharField(max_length=120)
    labels = models.JSONField(default=dict, blank=True)
    key = models.CharField(max_length=64, unique=True, editable=False)  # hash of the four above
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        verbose_name_plural = "series"
        ordering = ["source", "metric"]
        indexes = [models.Index(fields=["system", "metric", "source"], name="series_by_metric")]

    def __str__(self) -> str:
        return f"{self.source} {self.metric}"


class Rollup(models.Model):
    """Count, sum, minimum, maximum and last value of one series over one step."""

    series = models.ForeignKey(Series, on_delete=models.CASCADE, related_name="rollups")
    step_seconds = models.PositiveIntegerField(default=60)
    at = models.BigIntegerField(help_text="Start of the step, epoch seconds")
    count = models.PositiveIntegerField()
    sum = models.FloatField()
    min = models.FloatField()
    max = models.FloatField()
    last = models.FloatField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["series", "step_seconds", "at"], name="one_rollup_per_step")]
        indexes = [models.Index(fields=["step_seconds", "at"], name="rollup_by_age")]

    def __str__(self) -> str:
        return f"{self.series_id} {self.at}"
