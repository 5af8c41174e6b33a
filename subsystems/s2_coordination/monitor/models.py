"""What S2 found, what it measured, and how much each tenant may claim of what is shared."""

from __future__ import annotations

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from subsystems.algedonic.models import Signal
from subsystems.recursion.models import System


class CoordinationFinding(models.Model):
    """Something that swings, is adjusted too often, or gets in something else's way, until it does so no more."""

    class Kind(models.TextChoices):
        OSCILLATION = "oscillation", _("Oscillation")
        RAPID = "rapid_adjustments", _("Rapid adjustments")
        CLASH = "clash", _("Clash of writers")
        SHARED_QUEUE = "shared_queue", _("Shared queue")
        COLLISION = "collision", _("Collision of schedules")
        UNFAIR = "unfair", _("Unfair share")

    system = models.ForeignKey(System, on_delete=models.CASCADE, db_index=False, related_name="coordination_findings")
    kind = models.CharField(max_length=20, choices=Kind.choices)
    area = models.CharField(max_length=12)  # workers, queue, acts, alerts, retries, fleets, schedules
    subject = models.CharField(max_length=300)
    title = models.CharField(max_length=300)
    summary = models.CharField(max_length=1_000)
    suggestion = models.CharField(max_length=1_000)
    measure = models.CharField(
        max_length=300, blank=True, help_text=_("What S2 did about it; empty: nothing by itself")
    )
    evidence = models.JSONField(default=dict)
    found_at = models.DateTimeField(db_index=True)
    seen_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    ended_why = models.CharField(max_length=200, blank=True)
    signal = models.ForeignKey(Signal, null=True, on_delete=models.SET_NULL, related_name="+")

    class Meta:
        ordering = ["-found_at", "-pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["system", "kind", "area", "subject"],
                name="coordination_found_once",
                condition=Q(ended_at__isnull=True),
            )
        ]
        indexes = [models.Index(fields=["system", "found_at"], name="coordination_by_time")]

    def __str__(self) -> str:
        return self.title


class CoordinationReading(models.Model):
    """What S2 measured in one system in one minute."""

    system = models.ForeignKey(System, on_delete=models.CASCADE, related_name="+")
    slot = models.BigIntegerField()
    at = models.DateTimeField(db_index=True)
    body = models.JSONField(default=dict)

    class Meta:
        ordering = ["-slot"]
        constraints = [models.UniqueConstraint(fields=["system", "slot"], name="one_coordination_reading")]

    def __str__(self) -> str:
        return f"{self.system_id} {self.slot}"


class TenantShare(models.Model):
    """How much of what it shares a system may claim, beside others; without a row 1."""

    system = models.OneToOneField(System, on_delete=models.CASCADE, related_name="tenant_share")
    weight = models.FloatField(
        default=1.0,
        validators=[MinValueValidator(0.01), MaxValueValidator(1000.0)],
        help_text=_("From 0.01 to 1000; who has 2 may claim twice what who has 1 may"),
    )

    class Meta:
        verbose_name = _("share of a system")
        verbose_name_plural = _("shares of systems")

    def __str__(self) -> str:
        return f"{self.system}: {self.weight:g}"
