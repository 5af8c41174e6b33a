"""Policy is rows, not settings: every version of it, with who made it and why; and what S5 decided."""

from __future__ import annotations

from datetime import datetime

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from subsystems.recursion.models import System


class Policy(models.Model):
    """One thing that S5 has said of a system: its weights, its limits, a goal, a value. What it says is in versions."""

    system = models.ForeignKey(System, on_delete=models.CASCADE, related_name="policies")
    kind = models.CharField(max_length=20)
    name = models.CharField(max_length=80, blank=True)  # of goals, values and kinds of acts; else there is one each
    made_at = models.DateTimeField(default=timezone.now, editable=False)
    handed_version = models.PositiveIntegerField(default=0, editable=False)  # that those below were given

    class Meta:
        verbose_name_plural = _("policies")
        ordering = ["kind", "name"]
        constraints = [models.UniqueConstraint(fields=["system", "kind", "name"], name="policy_once")]

    def __str__(self) -> str:
        return f"{self.kind} {self.name}".strip()


class PolicyVersionQuerySet(models.QuerySet["PolicyVersion"]):
    def by(self, moment: datetime) -> PolicyVersionQuerySet:
        """Return the versions that had come into force by *moment*, the newest first: the first one holds."""
        return self.filter(effective_at__lte=moment).order_by("policy_id", "-version")


class PolicyVersion(models.Model):
    """What a policy says from a moment on. Never changed: who thinks otherwise writes the next one."""

    policy = models.ForeignKey(Policy, on_delete=models.CASCADE, related_name="versions")
    version = models.PositiveIntegerField()
    fields = models.JSONField(default=dict)
    changed = models.JSONField(default=dict)  # {"field": [before, after]}
    values = models.JSONField(default=list, blank=True)  # names of the declared values that it is to serve
    judgement = models.FloatField(
        null=True, blank=True, help_text=_("How well it serves them, as a person judged: 0-1")
    )
    reason = models.CharField(max_length=500)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    author = models.CharField(max_length=150, blank=True)  # the name stays when the person goes
    made_at = models.DateTimeField(default=timezone.now)
    effective_at = models.DateTimeField(default=timezone.now)

    objects = PolicyVersionQuerySet.as_manager()

    class Meta:
        ordering = ["-version"]
        constraints = [models.UniqueConstraint(fields=["policy", "version"], name="one_row_per_policy_version")]

    def __str__(self) -> str:
        return f"{self.policy} v{self.version}"


class GoalValue(models.Model):
    """What a person says that a goal stands at."""

    goal = models.ForeignKey(Policy, on_delete=models.CASCADE, related_name="goal_values")
    value = models.FloatField()
    note = models.CharField(max_length=500, blank=True)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    author = models.CharField(max_length=150, blank=True)
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-at", "-id"]
        indexes = [models.Index(fields=["goal", "-at"], name="goal_value_by_age")]

    def __str__(self) -> str:
        return f"{self.goal} {self.value}"


class Decision(models.Model):
    """A question to S5 and its answer: one that an alert asks, or one that a person puts down to be reviewed.

    S5's vital is the share of the alerts' questions that were answered in time; the quality of its decisions is the
    share of those reviewed whose outcome met the criterion.
    """

    class Outcome(models.TextChoices):
        MET = "met", _("met the criterion")
        NOT_MET = "not_met", _("did not meet it")

    system = models.ForeignKey(System, on_delete=models.CASCADE, related_name="decisions")
    fingerprint = models.CharField(max_length=64)  # of the alert that asks; of a person's own question a made-up one
    asked_at = models.DateTimeField()
    due_at = models.DateTimeField()
    answered_at = models.DateTimeField(null=True, blank=True)
    title = models.CharField(max_length=200, blank=True)  # empty where an alert asks
    question = models.TextField(blank=True)
    answer = models.TextField(blank=True)
    criterion = models.CharField(max_length=500, blank=True)
    review_by = models.DateTimeField(null=True, blank=True)
    outcome = models.CharField(max_length=8, choices=Outcome.choices, blank=True)
    outcome_note = models.CharField(max_length=500, blank=True)
    reviewed_at = models.DateTimeField(null=True, blank=True)
    values = models.JSONField(default=list, blank=True)
    judgement = models.FloatField(
        null=True, blank=True, validators=[MinValueValidator(0.0), MaxValueValidator(1.0)]
    )  # how well it serves these values, as a person judged
    asked_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    approver = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    decided_by = models.CharField(max_length=150, blank=True)
    reviewed_by = models.CharField(max_length=150, blank=True)

    class Meta:
        ordering = ["-asked_at"]
        constraints = [models.UniqueConstraint(fields=["system", "fingerprint", "asked_at"], name="asked_once")]
        indexes = [
            models.Index(fields=["system", "asked_at"], name="decision_by_age"),
            models.Index(fields=["system", "review_by"], name="decision_to_review", condition=~models.Q(criterion="")),
        ]

    def __str__(self) -> str:
        return self.title or f"{self.fingerprint[:8]} asked {self.asked_at:%Y-%m-%d %H:%M:%S}"


class Emergency(models.Model):
    """A time in which the whole of a system was unhealthy, and what S5 made of it (requirements 002-15)."""

    system = models.ForeignKey(System, on_delete=models.CASCADE, related_name="emergencies")
    began_at = models.DateTimeField()
    responded_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    mode = models.CharField(max_length=8, blank=True)
    score = models.FloatField(null=True)  # the health of the whole when it began
    checklist = models.JSONField(default=list, blank=True)  # [{"what", "why", "subsystem", "done_at", "done_by", ...}]

    class Meta:
        verbose_name_plural = _("emergencies")
        ordering = ["-began_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["system"], condition=models.Q(ended_at=None), name="one_emergency_at_a_time"
            )
        ]

    def __str__(self) -> str:
        return f"{self.system} {self.began_at:%Y-%m-%d %H:%M:%S}"
