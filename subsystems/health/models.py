"""Assessments: one record of all health every 30 seconds, kept 7 days."""

from __future__ import annotations

from django.db import models

from subsystems.recursion.models import System


class Assessment(models.Model):
    """The health of one system in one slot (requirements 002-30)."""

    system = models.ForeignKey(System, on_delete=models.CASCADE, related_name="assessments")
    slot = models.BigIntegerField()
    assessed_at = models.DateTimeField(db_index=True)
    subsystems = models.JSONField(default=dict)  # {"s1": {"score", "status", "measures": {...}, "reason"}, ...}
    overall_health = models.FloatField(null=True)
    score = models.FloatField(null=True)  # viability, 002-32
    status = models.CharField(max_length=10)  # normal, warning, critical, unknown
    parts = models.JSONField(default=list)  # contract: [{"subsystem", "score", "status", "weight", "contribution"}]
    weakest_link = models.JSONField(null=True)  # {"subsystem", "score"}
    geometric = models.FloatField(null=True)
    structural = models.JSONField(default=dict)  # {"score", "checks": [{"name", "ok", "reason"}]}
    details = models.JSONField(default=dict)  # performance indicators, resource utilisation, bottlenecks

    class Meta:
        ordering = ["-slot"]
        constraints = [models.UniqueConstraint(fields=["system", "slot"], name="one_assessment_per_slot")]

    def __str__(self) -> str:
        return f"{self.system} {self.assessed_at:%Y-%m-%d %H:%M:%S} {self.status}"


class ScoreSheet(models.Model):
    """The scores of one system as last made, with what each was made from; their values stay in the assessments."""

    system = models.OneToOneField(System, on_delete=models.CASCADE, related_name="score_sheet")
    at = models.DateTimeField()
    body = models.JSONField(default=dict)  # {"goal_progress": {"value", "reason", "inputs"}, ...}

    def __str__(self) -> str:
        return f"{self.system} {self.at:%Y-%m-%d %H:%M:%S}"
