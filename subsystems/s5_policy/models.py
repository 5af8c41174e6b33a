"""Thresholds and weights are policy: rows, not settings."""

from __future__ import annotations

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from subsystems.recursion.models import System

_unit_interval = [MinValueValidator(0.0), MaxValueValidator(1.0)]


class ViabilityPolicy(models.Model):
    """Weights and thresholds by which one system's viability is judged (requirements 002-28, 002-32)."""

    system = models.OneToOneField(System, on_delete=models.CASCADE, related_name="viability_policy")
    weight_s1 = models.FloatField(default=0.3, validators=_unit_interval)
    weight_s2 = models.FloatField(default=0.1, validators=_unit_interval)
    weight_s3 = models.FloatField(default=0.2, validators=_unit_interval)
    weight_s4 = models.FloatField(default=0.2, validators=_unit_interval)
    weight_s5 = models.FloatField(default=0.2, validators=_unit_interval)
    viability_threshold = models.FloatField(default=0.7, validators=_unit_interval)
    critical_threshold = models.FloatField(default=0.5, validators=_unit_interval)

    class Meta:
        verbose_name_plural = "viability policies"

    def __str__(self) -> str:
        return f"viability policy of {self.system}"


class AlertPolicy(models.Model):
    """How much alerting one system tolerates, and how soon S5 expects an answer (requirements 002-39)."""

    system = models.OneToOneField(System, on_delete=models.CASCADE, related_name="alert_policy")
    max_alerts_per_hour = models.PositiveIntegerField(default=20)
    answer_critical_within_seconds = models.PositiveIntegerField(default=300)
    answer_warning_within_seconds = models.PositiveIntegerField(default=1800)

    class Meta:
        verbose_name_plural = "alert policies"

    def __str__(self) -> str:
        return f"alert policy of {self.system}"


class Decision(models.Model):
    """A question to S5, and when it was answered; S5's vital is the share answered in time."""

    system = models.ForeignKey(System, on_delete=models.CASCADE, related_name="decisions")
    fingerprint = models.CharField(max_length=64)  # of the alert that asks
    asked_at = models.DateTimeField()
    due_at = models.DateTimeField()
    answered_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-asked_at"]
        constraints = [models.UniqueConstraint(fields=["system", "fingerprint", "asked_at"], name="asked_once")]
        indexes = [models.Index(fields=["system", "asked_at"], name="decision_by_age")]

    def __str__(self) -> str:
        return f"{self.fingerprint[:8]} asked {self.asked_at:%Y-%m-%d %H:%M:%S}"
