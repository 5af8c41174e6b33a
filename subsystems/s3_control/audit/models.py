"""What S3* found in each fleet, and when it looks again."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from subsystems.recursion.models import System
from subsystems.s1_operations.models import Fleet


class FleetAudit(models.Model):
    """The audits of one fleet: how it stands, and when it is looked at next."""

    fleet = models.OneToOneField(Fleet, on_delete=models.CASCADE, related_name="audit")
    system = models.ForeignKey(System, on_delete=models.CASCADE, related_name="+")
    next_at = models.DateTimeField(db_index=True)
    audited_at = models.DateTimeField(null=True, blank=True)  # the last time somebody answered
    score = models.FloatField(null=True, blank=True)  # 0-1, null is unknown
    error = models.CharField(max_length=300, blank=True)  # why the last one learned nothing
    worker_count = models.PositiveIntegerField(default=0)
    kept = models.JSONField(default=list)  # rules that apply and are not broken
    not_applicable = models.JSONField(default=list)

    class Meta:
        verbose_name = _("audit of a fleet")
        verbose_name_plural = _("audits of fleets")
        ordering = ["fleet__name"]

    def __str__(self) -> str:
        return f"Audit of {self.fleet_id}"


class AuditRun(models.Model):
    """One audit of one fleet."""

    fleet = models.ForeignKey(Fleet, on_delete=models.CASCADE, related_name="audit_runs")
    system = models.ForeignKey(System, on_delete=models.CASCADE, related_name="+")
    at = models.DateTimeField(db_index=True)
    score = models.FloatField(null=True, blank=True)
    worker_count = models.PositiveIntegerField(default=0)
    found_count = models.PositiveIntegerField(default=0)
    new_count = models.PositiveIntegerField(default=0)
    fixed_count = models.PositiveIntegerField(default=0)
    error = models.CharField(max_length=300, blank=True)

    class Meta:
        ordering = ["-at"]

    def __str__(self) -> str:
        return f"{self.fleet_id} {self.at:%Y-%m-%d %H:%M}"


class Finding(models.Model):
    """One rule broken by one subject of a fleet, from when it was first seen until it is done."""

    class State(models.TextChoices):
        OPEN = "open", _("Open")
        ACCEPTED = "accepted", _("Accepted: known, and left as it is")
        FIXED = "fixed", _("Fixed")

    class Severity(models.TextChoices):
        CRITICAL = "critical", _("Critical")
        HIGH = "high", _("High")
        MEDIUM = "medium", _("Medium")
        LOW = "low", _("Low")

    fleet = models.ForeignKey(Fleet, on_delete=models.CASCADE, related_name="findings")
    system = models.ForeignKey(System, on_delete=models.CASCADE, related_name="+")
    rule = models.CharField(max_length=60)
    subject = models.CharField(max_length=200)
    severity = models.CharField(max_length=8, choices=Severity.choices)
    evidence = models.JSONField(default=dict)
    state = models.CharField(max_length=8, choices=State.choices, default=State.OPEN, db_index=True)
    first_seen_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()
    times_seen = models.PositiveIntegerField(default=1)
    fixed_at = models.DateTimeField(null=True, blank=True)
    times_returned = models.PositiveIntegerField(default=0, help_text=_("Seen again after it was fixed"))
    accepted_at = models.DateTimeField(null=True, blank=True)
    accepted_until = models.DateTimeField(null=True, blank=True)
    accepted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    accepted_reason = models.CharField(max_length=500, blank=True)

    class Meta:
        verbose_name = _("audit finding")
        verbose_name_plural = _("audit findings")
        ordering = ["fleet_id", "rule", "subject"]
        constraints = [models.UniqueConstraint(fields=["fleet", "rule", "subject"], name="finding_once_per_subject")]

    def __str__(self) -> str:
        return f"{self.rule} {self.subject}"
