"""Alert rules and the alerts they raise."""

from __future__ import annotations

from django.conf import settings
from django.core.validators import MaxValueValidator
from django.db import models
from django.utils import timezone

from subsystems.recursion.models import System
from subsystems.s1_operations.models import Unit


class Severity(models.TextChoices):
    CRITICAL = "critical"
    WARNING = "warning"
    INFO = "info"


class AlertRule(models.Model):
    """A condition on a metric that is watched."""

    class Comparison(models.TextChoices):
        ABOVE = "gt", "is above"
        AT_LEAST = "gte", "is at least"
        BELOW = "lt", "is below"
        AT_MOST = "lte", "is at most"

    system = models.ForeignKey(System, on_delete=models.CASCADE, related_name="alert_rules")
    name = models.CharField(max_length=120)
    metric = models.CharField(max_length=120)
    unit = models.ForeignKey(
        Unit,
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="alert_rules",
        help_text="Only this unit; empty for every unit of the type",
    )
    unit_kind = models.CharField(max_length=40, blank=True, help_text="Only units of this type; empty for all")
    comparison = models.CharField(max_length=3, choices=Comparison.choices, default=Comparison.ABOVE)
    threshold = models.FloatField()
    for_seconds = models.PositiveIntegerField(
        default=0,
        validators=[MaxValueValidator(3600)],
        help_text="How long the condition must hold before the alert fires",
    )
    severity = models.CharField(max_length=8, choices=Severity.choices, default=Severity.WARNING)
    cooldown_seconds = models.PositiveIntegerField(
        default=300,
        validators=[MaxValueValidator(86400)],
        help_text="No second notification of the same alert within this time",
    )
    enabled = models.BooleanField(default=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+", editable=False
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["system", "name"], name="rule_name_per_system")]

    def __str__(self) -> str:
        return self.name


class Alert(models.Model):
    """One instance of a rule (or of the viability watch) for one subject."""

    class State(models.TextChoices):
        PENDING = "pending"
        FIRING = "firing"
        RESOLVED = "resolved"

    class Resolution(models.TextChoices):
        """Why an alert is over."""

        CONDITION = "condition", "the condition no longer holds"
        HAND = "hand", "by hand"
        RULE = "rule", "its rule was changed, disabled or deleted"
        UNIT = "unit", "its unit is no longer watched"

    system = models.ForeignKey(System, on_delete=models.CASCADE, related_name="alerts")
    rule = models.ForeignKey(AlertRule, null=True, blank=True, on_delete=models.SET_NULL, related_name="alerts")
    unit = models.ForeignKey(Unit, null=True, blank=True, on_delete=models.SET_NULL, related_name="alerts")
    type = models.CharField(max_length=40)  # "rule" or "viability"
    title = models.CharField(max_length=200)
    subject = models.CharField(max_length=260)  # the series' source, with labels where there are any
    fingerprint = models.CharField(max_length=64, db_index=True)  # type + rule + subject (requirements 2-29)
    severity = models.CharField(max_length=8, choices=Severity.choices)
    state = models.CharField(max_length=8, choices=State.choices, default=State.PENDING, db_index=True)
    value = models.FloatField(null=True)
    data = models.JSONField(default=dict, blank=True)
    escalation_level = models.PositiveIntegerField(default=0)
    pending_at = models.DateTimeField(default=timezone.now)
    fired_at = models.DateTimeField(null=True, blank=True)
    resolved_at = models.DateTimeField(null=True, blank=True)
    acknowledged_at = models.DateTimeField(null=True, blank=True)
    acknowledged_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    comment = models.CharField(max_length=500, blank=True)
    resolved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    resolution = models.CharField(max_length=20, blank=True, choices=Resolution.choices)
    held = models.BooleanField(
        default=False
    )  # resolved by hand while its condition held: waits until it was once false
    no_data_since = models.DateTimeField(
        null=True, blank=True
    )  # its series is silent: the state is what was last known
    suppressed = models.CharField(max_length=20, blank=True)  # "", "cooldown" or "hourly_limit": why nobody was told

    class Meta:
        ordering = ["-pending_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["fingerprint"], condition=~models.Q(state="resolved"), name="one_open_alert_per_fingerprint"
            )
        ]

    def __str__(self) -> str:
        return f"{self.title} ({self.state})"

    @property
    def open(self) -> bool:
        return self.state != self.State.RESOLVED
